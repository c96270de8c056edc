"""Kinds of entities: what is known of them by their name."""

from typing import Literal

UrlRule = Literal["canonical", "paper"]  # what makes two URLs the same

RESERVED = frozenset({"all"})  # stands for the kinds together in tables


def names_accounts(kind: str) -> bool:
    """Tell whether the entities of a kind are accounts: hashed under a key, never shown as ids."""
    return kind == "mention" or kind.endswith("_user")


def names_posts(kind: str) -> bool:
    """Tell whether the entities of a kind are posts: whoever looks one up knows the account."""
    return kind in ("retweet", "reply", "quote", "fast_retweet")
