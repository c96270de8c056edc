"""What the columns of other tools' exports mean: one entry for each layout.

A layout says which column holds the account, the post, the time, and what the post refers to. A new
one is an entry of `LAYOUTS` and a test. Names are compared without case, spaces and underscores;
``a.b`` in a JSON line is the value under ``b`` of the object under ``a``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

# What a record can tell: who, which post, when; then what it refers to, as kinds of entity.
REQUIRED = ("account_id", "timestamp_share")
KINDS = {
    "hashtags": "hashtag", "urls": "url", "mentions": "mention", "retweet": "retweet",
    "reply": "reply", "quote": "quote", "objects": "object",
}  # fmt: skip
LISTS = ("hashtags", "urls", "mentions", "objects")
COUNTS = {
    "likes": "like_count", "replies": "reply_count", "retweets": "retweet_count",
    "quotes": "quote_count",
}  # fmt: skip
FIELDS = (*REQUIRED, "content_id", *KINDS, "text", "platform", "is_retweet", *COUNTS)


@dataclass(frozen=True)
class Layout:
    """The columns of an export, by what they tell."""

    name: str  # as people call it
    checked: str  # where the columns were read
    marks: frozenset[str]  # plain names that a file of this layout has, and no other layout
    columns: Mapping[str, tuple[str, ...]]  # field -> columns, of which the first present is read
    platform: str | None = None
    split: str = ","  # between items of a list that is written without brackets
    is_json: bool | None = None  # None: either
    constants: Mapping[str, str] = field(default_factory=dict)

    def find(self, present: Collection[str]) -> dict[str, str]:
        """Return the column of each field that a file has.

        Parameters
        ----------
        present
            Plain names of the columns of the file.
        """
        found = {
            name: next((column for column in columns if column in present), None)
            for name, columns in self.columns.items()
        }
        return {name: column for name, column in found.items() if column is not None}


def recognise_layout(present: Collection[str], *, is_json: bool) -> Layout | None:
    """Return the layout whose marks a file has; of several the one with the most."""
    names = {*present}
    matching = [
        layout for layout in LAYOUTS if layout.marks <= names and layout.is_json in (None, is_json)
    ]
    return max(matching, key=lambda layout: len(layout.marks), default=None)


def map_layout(mapping: Mapping[str, str], split: str) -> Layout:
    """Return the layout that a user describes: field -> column.

    Raises
    ------
    ValueError
        A field is none that there is, or who or when is missing.
    """
    if unknown := sorted({*mapping} - {*FIELDS, "object_id", "kind"}):
        raise ValueError(
            f"map has the fields {', '.join(unknown)}; the fields are object_id, kind, "
            f"{', '.join(FIELDS)}."
        )
    if missing := [name for name in REQUIRED if name not in mapping]:
        raise ValueError(
            f"map lacks {' and '.join(missing)}; write --map account_id=COLUMN,"
            "timestamp_share=COLUMN,… with the columns of the file."
        )
    columns = {name: (plain(column),) for name, column in mapping.items()}
    return Layout("a mapped table", "--map", frozenset(), columns, split=split)


def plain(name: str) -> str:
    """Return a column name without case, spaces and underscores."""
    return "".join(name.split()).replace("_", "").casefold()


LAYOUTS: tuple[Layout, ...] = ()
