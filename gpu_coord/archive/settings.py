"""Every choice of `ingest`."""

from dataclasses import dataclass
from typing import Literal

from gpu_coord.ground.choices import Choices, Spelling, choose
from gpu_coord.ground.kinds import UrlRule

Format = Literal["auto", "x-archive", "shares", "crowdtangle"]
TimeSource = Literal["auto", "stamp"]


@dataclass(frozen=True, kw_only=True)
class IngestSettings(Choices):
    """Every choice that can change what a store holds; its manifest has them."""

    format: Format = choose(
        "auto",
        "What the files are.",
        detail="auto accepts any, but not two sorts together.",
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

    def check(self) -> None:
        """Refuse an empty term."""
        if any(not term.strip(" #@") for term in self.exclude):
            raise ValueError(
                "A term to exclude is empty; give a hashtag, a mention, a URL or a host."
            )
