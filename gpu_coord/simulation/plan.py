"""All that posts refer to, drawn before them.

In: a scenario and a seed. Out: a ``Plan``, which also says how often everyone posts, and how often
the other posts must do what the operation's do not, so that the archive has its declared means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gpu_coord.simulation.accounts import plan_accounts
from gpu_coord.simulation.calls import plan_calls
from gpu_coord.simulation.draws import draw_pareto, open_stream
from gpu_coord.simulation.entities import plan_entities
from gpu_coord.simulation.episodes import plan_episodes
from gpu_coord.simulation.operation import join_operations, plan_operation
from gpu_coord.simulation.sources import plan_sources
from gpu_coord.simulation.words import KINDS, N_SLOTS, compose_phrases

if TYPE_CHECKING:
    import polars as pl

    from gpu_coord.simulation.accounts import Accounts
    from gpu_coord.simulation.draws import Ints
    from gpu_coord.simulation.entities import Entities
    from gpu_coord.simulation.episodes import Episodes
    from gpu_coord.simulation.operation import Operation
    from gpu_coord.simulation.scenario import Scenario
    from gpu_coord.simulation.sources import Sources


@dataclass(frozen=True, slots=True)
class Rates:
    """What posts outside the operation must do for the archive to have its declared means."""

    slots: tuple[float, ...]  # probability that a place for an entity is used, by kind
    episodes: tuple[float, ...]  # probability that a post belongs to an episode, by kind
    retweet: float
    reply: float
    quote: float  # of posts that are no retweets


def balance_rates(
    scenario: Scenario, operation: Operation, episodes: tuple[Episodes, ...]
) -> Rates:
    """Spread over the other posts what the operation's do not use.

    Raises
    ------
    ValueError
        When the operation alone exceeds a declared mean, or episodes need too many posts.
    """
    n_others = scenario.n_posts - operation.n_posts
    n_retweets = int(operation.retweet.sum())
    planted = np.bincount(operation.kind, minlength=len(KINDS))
    planted[KINDS.index("mention")] += n_retweets
    retweet = (scenario.retweets_per_post * scenario.n_posts - n_retweets) / n_others
    reply = scenario.replies_per_post * scenario.n_posts / n_others
    quote = scenario.quotes_per_post * scenario.n_posts / n_others
    declared = (scenario.hashtags_per_post, scenario.urls_per_post, scenario.mentions_per_post)
    answers = np.array((0, 0, retweet + reply))
    uses = (np.array(declared) * scenario.n_posts - planted) / n_others - answers
    in_episodes = uses * [of_kind.load / (1 + of_kind.load) for of_kind in episodes]
    slots = (uses - in_episodes) / (np.array(N_SLOTS) - in_episodes)
    quote /= max(1 - retweet, 1e-9)
    shares = np.r_[slots, in_episodes.sum(), retweet, reply + retweet, quote]
    if shares.min() < 0 or shares.max() > 1:
        raise ValueError(
            f"n_posts={scenario.n_posts} with {operation.n_posts} of the operation cannot have the "
            "declared means per post; raise n_posts, or change the means or n_plants"
        )
    return Rates(tuple(slots), tuple(in_episodes), retweet, reply, quote)


@dataclass(frozen=True, slots=True)
class Plan:
    """All that posts refer to; its size does not grow with the text."""

    scenario: Scenario
    seed: int
    accounts: Accounts
    entities: tuple[Entities, ...]
    episodes: tuple[Episodes, ...]
    sources: Sources
    operation: Operation
    joint: Operation  # posts of the operation, then of the crowds; the smallest post numbers
    rates: Rates
    posts_until: Ints  # (n_accounts,) cumulative number of posts outside ``joint``
    phrases: pl.Series


def plan_archive(scenario: Scenario, seed: int) -> Plan:
    """Draw everything but the posts.

    Raises
    ------
    ValueError
        When the posts do not suffice for the operation and one per account.
    """
    accounts = plan_accounts(scenario, seed)
    entities = plan_entities(scenario, accounts)
    rng = open_stream(seed, "episodes")
    episodes = tuple(plan_episodes(scenario, of_kind, rng) for of_kind in entities)
    operation = plan_operation(scenario, accounts, entities, seed)
    joint = join_operations((operation, *plan_calls(scenario, accounts, entities, seed)))
    n_crowd_posts = joint.n_posts - operation.n_posts
    return Plan(
        scenario=scenario,
        seed=seed,
        accounts=accounts,
        entities=entities,
        episodes=episodes,
        sources=plan_sources(scenario, entities[KINDS.index("mention")], seed),
        operation=operation,
        joint=joint,
        posts_until=count_posts(scenario, operation.n_posts, n_crowd_posts, seed),
        rates=balance_rates(scenario, joint, episodes),
        phrases=compose_phrases(seed),
    )


def count_posts(scenario: Scenario, n_operation_posts: int, n_crowd_posts: int, seed: int) -> Ints:
    """Cumulative posts per account, without those planned; everyone has at least one."""
    rng = open_stream(seed, "counts")
    share = scenario.camouflage_share
    least = scenario.n_operation if share > 0 else 0
    n_camouflage = max(least, round(n_operation_posts * share / (1 - share)))
    n_left = scenario.n_posts - n_operation_posts - n_camouflage - n_crowd_posts
    if n_left < scenario.n_organic:
        raise ValueError(
            f"n_posts={scenario.n_posts} leaves {n_left} posts to {scenario.n_organic} organic "
            f"accounts after {n_operation_posts} posts and {n_camouflage} camouflage posts of the "
            f"operation and {n_crowd_posts} of crowds; raise n_posts, or lower n_accounts, "
            "n_plants or camouflage_share"
        )
    most = scenario.max_activity
    camouflage = draw_pareto(scenario.n_operation, scenario.operation_alpha, most, rng)
    organic = draw_pareto(scenario.n_organic, scenario.organic_alpha, most, rng)
    return np.cumsum(np.r_[share_out(n_camouflage, camouflage), share_out(n_left, organic)])


def share_out(n_posts: int, weights: Ints) -> Ints:
    """Split ``n_posts`` over accounts by weight, at least one each; zeros if there are none."""
    if n_posts == 0 or len(weights) == 0:
        return np.zeros(len(weights), dtype=np.int64)
    spare = n_posts - len(weights)
    cumulative = np.cumsum(weights)
    cuts = np.floor(cumulative / cumulative[-1] * spare).astype(np.int64)
    cuts[-1] = spare
    return np.asarray(1 + np.diff(cuts, prepend=0))
