"""Crowds that act together and belong to no operation: fan clubs, news feeds, audiences.

In: a scenario. Out: who is in which crowd. They are the hard cases: a detector that finds them is
right about the co-activity and wrong about the operation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gpu_coord.simulation.draws import Ints
    from gpu_coord.simulation.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Crowd:
    """Groups of equal size that take up what one of them posts."""

    label: str
    leader: str  # role of the first account of a group, if it leads; else that of all
    member: str  # role of the others
    first_account: int
    n_groups: int
    group_size: int
    n_calls: int  # posts per group that the others take up
    follow_probability: float
    lag_seconds: float  # median; 0: in the same minute
    kind_weights: tuple[int, int, int]  # of hashtag, url, mention
    is_retweet: bool = False  # whether the others retweet
    is_same_wording: bool = False

    @property
    def n_accounts(self) -> int:
        """Accounts of all groups."""
        return self.n_groups * self.group_size

    @property
    def accounts(self) -> slice:
        """Their account numbers."""
        return slice(self.first_account, self.first_account + self.n_accounts)

    @property
    def groups(self) -> Ints:
        """Group of each account."""
        return np.arange(self.n_accounts) // self.group_size

    @property
    def has_leader(self) -> bool:
        """Whether the first account of a group alone is followed."""
        return self.leader != self.member


def list_crowds(scenario: Scenario) -> tuple[Crowd, ...]:
    """List the crowds in the order of their accounts, which follow those of the operation."""
    fans = Crowd(
        label="fan_club",
        leader="authentic",
        member="authentic",
        first_account=scenario.n_operation,
        n_groups=scenario.n_fan_clubs,
        group_size=scenario.fan_club_size,
        n_calls=scenario.n_fan_calls,
        follow_probability=scenario.fan_follow_probability,
        lag_seconds=scenario.fan_lag_seconds,
        kind_weights=(3, 1, 0),
    )
    feeds = Crowd(
        label="news_feed",
        leader="feed",
        member="feed",
        first_account=fans.accounts.stop,
        n_groups=min(1, scenario.n_news_feeds),
        group_size=max(1, scenario.n_news_feeds),
        n_calls=scenario.n_news_items,
        follow_probability=scenario.feed_follow_probability,
        lag_seconds=0.0,
        kind_weights=(0, 1, 0),
        is_same_wording=True,
    )
    audiences = Crowd(
        label="unaffiliated",
        leader="celebrity",
        member="audience",
        first_account=feeds.accounts.stop,
        n_groups=scenario.n_celebrities,
        group_size=1 + scenario.audience_size,
        n_calls=scenario.n_celebrity_posts,
        follow_probability=scenario.audience_follow_probability,
        lag_seconds=scenario.audience_lag_seconds,
        kind_weights=(2, 1, 1),
        is_retweet=True,
        is_same_wording=True,
    )
    return tuple(crowd for crowd in (fans, feeds, audiences) if crowd.n_groups)
