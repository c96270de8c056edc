"""Every choice of `ingest`."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from gpu_coord.ground.choices import ANALYSED, Choices, Spelling, Unit, choose
from gpu_coord.ground.kinds import UrlRule

Format = Literal["auto", "x-archive", "shares", "crowdtangle", "exports"]
TimeSource = Literal["auto", "stamp"]


def read_mapping(words: Iterable[str]) -> dict[str, str]:
    """Return field -> column of words like ``account_id=author``.

    Raises
    ------
    ValueError
        A word is none, or a field stands twice.
    """
    mapping: dict[str, str] = {}
    for word in words:
        name, equals, column = (part.strip() for part in word.partition("="))
        if not (name and equals and column):
            raise ValueError(f"map has {word!r}; write FIELD=COLUMN, such as account_id=author.")
        if name in mapping:
            raise ValueError(f"map names {name} twice; a field has one column.")
        mapping[name] = column
    return mapping


def _spell_mapping(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(f"{name}={column}" for name, column in read_mapping(words).items()))


MAPPING = Unit("words", _spell_mapping)


@dataclass(frozen=True, kw_only=True)
class IngestSettings(Choices):
    """Every choice that can change what a store holds; its manifest has them."""

    format: Format = choose(
        "auto",
        "What the files are.",
        detail="auto accepts any, but not two sorts together.",
        panel=ANALYSED,
    )
    map: tuple[str, ...] | None = choose(
        None,
        "What columns mean, such as account_id=author,object_id=link,timestamp_share=created_at.",
        detail="field=column, of all files; in Python also a mapping. The fields are those of a "
        "share table (object_id, kind), or of posts: hashtags, urls, mentions, objects, retweet, "
        "reply, quote, text, is_retweet, likes, replies, retweets, quotes.",
        unit=MAPPING,
        panel=ANALYSED,
    )
    split: str = choose(",", "Between the items of a list cell without brackets.", panel=ANALYSED)
    time_format: str | None = choose(
        None,
        "How times are written where they are no seconds or ISO 8601, such as %d/%m/%Y %H:%M.",
        detail="As of strptime; UTC where it has no %z. For share tables, exports and mapped "
        "tables.",
        panel=ANALYSED,
    )
    max_rejects: float = choose(
        0.5,
        "Share of rows set aside above which nothing is stored, and why is said.",
        at_least=0,
        at_most=1,
        advice="1 stores whatever can be read",
    )
    exclude: tuple[str, ...] = choose(
        (),
        "Entities to leave out, such as search terms.",
        detail="Hashtags, mentions, URLs or hosts, whose events are dropped and counted; upper and "
        "lower case are equal, #tag also means tag, and a host (a term with a dot) also means what "
        "is under it.",
        spellings=(
            Spelling(
                "exclude", "Entity to leave out, such as a search term.", list[str], default=()
            ),
        ),
        panel=ANALYSED,
    )
    url_rule: UrlRule = choose(
        "canonical",
        "What makes two URLs the same.",
        detail="See `gpu_coord.ground.urls`; URLs of share tables are taken as they are.",
    )
    time: TimeSource = choose(
        "auto",
        "Time from the tweet id where it agrees, or the stamp.",
        detail="auto takes the milliseconds from a tweetid whose minute is that of tweet_time; "
        "stamp always takes tweet_time.",
    )
    texts: bool = choose(
        False,
        "Keep what posts say, for similarity of texts.",
        detail="Normalised, in the table texts; under a key without the names behind @.",
    )

    @property
    def wanted(self) -> dict[str, Any]:
        """What `gpu_coord.archive.sources.Wanted` is made of."""
        return {
            "format": self.format, "map": self.mapping, "split": self.split,
            "time_format": self.time_format,
        }  # fmt: skip

    @property
    def mapping(self) -> dict[str, str]:
        """What columns mean: field -> column."""
        return read_mapping(self.map or ())

    def check(self) -> None:
        """Refuse an empty term, and items that nothing parts."""
        if not self.split:
            raise ValueError(
                "split is empty; write what stands between two items, such as a comma."
            )
        if any(not term.strip(" #@") for term in self.exclude):
            raise ValueError(
                "A term to exclude is empty; give a hashtag, a mention, a URL or a host."
            )
