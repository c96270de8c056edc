"""What the operation posts: plants of the core, and the amplifiers' copies of them.

In: a scenario, its accounts and entities. Out: ``Operation``, whose edges are the planted truth.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gpu_coord.simulation.draws import open_stream, pick
from gpu_coord.simulation.times import draw_lag_ms, draw_lags, draw_office_times
from gpu_coord.simulation.words import KINDS, draw_phrases

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gpu_coord.simulation.accounts import Accounts
    from gpu_coord.simulation.draws import Bools, Ints
    from gpu_coord.simulation.entities import Entities
    from gpu_coord.simulation.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Operation:
    """Posts of the operation, camouflage apart: first the plants, then the copies."""

    n_plants: int
    account: Ints
    time: Ints  # milliseconds since 1970
    kind: Ints  # position in KINDS
    entity: Ints
    origin: Ints  # the post copied; itself for plants
    retweet: Bools
    phrases: Ints  # (n_posts, N_PHRASES)

    @property
    def n_posts(self) -> int:
        """Plants and copies."""
        return len(self.account)

    @property
    def n_copies(self) -> Ints:
        """How often each plant was copied (n_plants,)."""
        return np.bincount(self.origin[self.n_plants :], minlength=self.n_plants)

    @property
    def edges(self) -> Ints:
        """(n_edges, 2): the pairs core, amplifier that were followed at least once, sorted."""
        copies = slice(self.n_plants, None)
        pairs = np.stack([self.account[self.origin[copies]], self.account[copies]], axis=1)
        return np.unique(pairs, axis=0)


def plan_operation(
    scenario: Scenario, accounts: Accounts, entities: tuple[Entities, ...], seed: int
) -> Operation:
    """Draw what the core plants and who copies it when."""
    rng = open_stream(seed, "operation")
    group, account = _list_plants(scenario)
    n_plants = len(group)
    kind = pick(np.cumsum((2, 1, 1)), n_plants, rng)
    entity = _draw_campaign_entities(scenario, entities, group, kind, rng)
    planted = scenario.start_ms + draw_office_times(scenario, n_plants, rng)
    origin, amplifier = np.nonzero(
        rng.random((n_plants, scenario.n_amplifiers)) < scenario.follow_probability
    )
    copier = group[origin] * scenario.group_size + scenario.n_core + amplifier
    copied = _draw_copy_times(scenario, planted[origin], seed, rng)
    since = copied - scenario.start_ms
    # Those who are not there copy nothing.
    there = (since >= accounts.active_from[copier]) & (since < accounts.active_until[copier])
    origin, copier, copied = origin[there], copier[there], copied[there]
    account = np.r_[account, copier]
    origin = np.r_[np.arange(n_plants), origin]
    style = np.where(np.arange(len(origin)) < n_plants, 1.0, rng.random(len(origin)))
    retweet = style < scenario.copy_retweet_share
    phrases = draw_phrases(accounts.language[account], rng)
    same = style < scenario.copy_retweet_share + scenario.copy_wording_share
    return Operation(
        n_plants=n_plants,
        account=account,
        time=np.r_[planted, copied],
        kind=kind[origin],
        entity=entity[origin],
        origin=origin,
        retweet=retweet,
        phrases=np.where(same[:, None], phrases[origin], phrases),
    )


def _draw_copy_times(
    scenario: Scenario, planted: Ints, seed: int, rng: np.random.Generator
) -> Ints:
    """When each copy is posted: anywhere in its bin, and in the bin of the plant after that.

    With ``lag_seconds`` after a lognormal lag, whatever the bins.
    """
    width = scenario.lag_bin_ms
    if scenario.lag_seconds > 0:
        own = open_stream(seed, "lags")
        most = scenario.max_lag_bins * width
        return planted + draw_lag_ms(
            len(planted), scenario.lag_seconds, scenario.lag_sigma, most, own
        )
    start = (planted // width + draw_lags(scenario, len(planted), rng)) * width
    inside = rng.integers(0, width, size=len(planted))
    first = np.maximum(start, planted)
    times: Ints = first + inside * (start + width - first) // width
    return times


def join_operations(parts: Sequence[Operation]) -> Operation:
    """Put the posts of several together: all plants, then all copies."""
    offsets = np.cumsum([0, *(part.n_plants for part in parts)])

    def join(arrays: Sequence[Any]) -> Any:
        plants = [values[: part.n_plants] for values, part in zip(arrays, parts, strict=True)]
        copies = [values[part.n_plants :] for values, part in zip(arrays, parts, strict=True)]
        return np.concatenate([*plants, *copies])

    names = ("account", "time", "kind", "entity", "retweet", "phrases")
    return Operation(
        n_plants=int(offsets[-1]),
        origin=join([part.origin + at for part, at in zip(parts, offsets[:-1], strict=True)]),
        **{name: join([getattr(part, name) for part in parts]) for name in names},
    )


def _list_plants(scenario: Scenario) -> tuple[Ints, Ints]:
    """Group and account of each plant."""
    n_plants = scenario.n_groups * scenario.n_core * scenario.n_plants
    core = np.arange(n_plants) // scenario.n_plants
    group = core // scenario.n_core
    return group, group * scenario.group_size + core % scenario.n_core


def _draw_campaign_entities(
    scenario: Scenario,
    entities: tuple[Entities, ...],
    group: Ints,
    kind: Ints,
    rng: np.random.Generator,
) -> Ints:
    """Entity of each plant: one of its group's few, from the less used half of its topic."""
    size = np.array([of_kind.topic_size for of_kind in entities])
    shape = (scenario.n_groups, len(KINDS), scenario.n_campaign_entities)
    half = (size // 2)[None, :, None]
    ranks = half + np.floor(rng.random(shape) * (size[None, :, None] - half)).astype(np.int64)
    chosen = rng.integers(0, scenario.n_campaign_entities, size=len(group))
    return np.asarray(group % scenario.n_topics * size[kind] + ranks[group, kind, chosen])
