"""What an archive is asked to be: its parameters, their bounds, and the presets.

In: the name of a preset and what to change in it. Out: a ``Scenario``, which refuses values that
contradict each other before anything is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import date
from math import sqrt
from typing import Any

from gpu_coord.simulation.words import N_SLOTS

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Every parameter of a simulated archive; any of them can be overridden by name.

    Rates are means per post. Shares and probabilities lie between 0 and 1.
    """

    n_accounts: int  # accounts that post, the operation's included
    n_posts: int
    start: str  # first day, YYYY-MM-DD, UTC
    n_days: int

    # The operation: groups of core accounts, and the amplifiers that copy them.
    n_groups: int
    n_core: int  # per group
    n_amplifiers: int  # per group
    n_plants: int  # posts that each core account plants
    n_campaign_entities: int = 8  # per group and kind, from the less used half of one topic
    follow_probability: float = 0.35  # of each amplifier, for each plant of its group
    lag_bin_seconds: int = 3600
    lag_decay: float = 0.1  # lag = least + geometric, in bins: P(least + k) ~ lag_decay**k
    min_lag_bins: int = 1  # 0: copies may come in the bin of the plant, after it
    max_lag_bins: int = 4
    lag_seconds: float = 0.0  # median of a lognormal lag in the place of bins; 0: lags in bins
    lag_sigma: float = 1.0  # of its logarithm; no lag is longer than max_lag_bins
    copy_retweet_share: float = 0.2  # copies that retweet the core's post
    copy_wording_share: float = 0.2  # copies that repeat its words as a post of their own
    camouflage_share: float = 0.4  # of the operation's posts, drawn like anyone's; if any, one each
    operation_timezone_hours: int = 8
    ramp_factor: float = 1.0  # plants per day on the last day over those on the first
    churn_share: float = 0.0  # of the amplifiers: half join late, half leave early

    # Everyone else, and what the operation hides in.
    n_silent: int = 0  # accounts in users.csv that never post
    organic_alpha: float = 1.35  # tail of posts per account (Pareto)
    operation_alpha: float = 2.31  # tail of camouflage posts per operation account
    max_activity: float = 10_000.0  # where the tails end: the largest weight over the smallest
    n_topics: int = 6
    topic_share: float = 0.7  # of uses that stay inside the account's topic
    n_hashtags: int = 300
    n_urls: int = 300
    n_mentions: int = 300
    n_sources: int = 2000  # posts from outside that are retweeted, answered and quoted
    n_viral: int = 12  # viral events per kind, fading over 6 to 24 hours
    viral_factor: float = 60.0  # rate of the entity at the peak, over its usual rate
    n_bursts: int = 80  # ordinary bursts per kind, fading over 1 to 6 hours
    burst_factor: float = 15.0
    diurnal_amplitude: float = 0.8  # 0: no daily rhythm
    diurnal_power: float = 1.0  # of the rhythm; 3: time zones are sharp cohorts
    cohort_share: float = 0.0  # of all but the operation: in one time zone, with one topic
    cohort_timezone_hours: int = 7

    # Those who act together and belong to no operation; they count among the unaffiliated posts.
    n_fan_clubs: int = 0
    fan_club_size: int = 20
    n_fan_calls: int = 40  # per club: posts of a member that the others take up
    fan_follow_probability: float = 0.4
    fan_lag_seconds: float = 900.0  # median of a lognormal lag
    n_news_feeds: int = 0  # all post each item in the same minute
    n_news_items: int = 200
    feed_follow_probability: float = 0.8
    n_celebrities: int = 0
    audience_size: int = 60  # accounts that retweet one celebrity
    n_celebrity_posts: int = 40
    audience_follow_probability: float = 0.2
    audience_lag_seconds: float = 3600.0  # median of a lognormal lag

    n_platforms: int = 1  # in share tables; archives have one

    hashtags_per_post: float = 0.35
    urls_per_post: float = 0.1
    mentions_per_post: float = 0.9
    retweets_per_post: float = 0.5
    replies_per_post: float = 0.3
    quotes_per_post: float = 0.14

    def __post_init__(self) -> None:
        _check_values(self)
        _check_sizes(self)
        _check_rates(self)

    @property
    def group_size(self) -> int:
        """Accounts of one group."""
        return self.n_core + self.n_amplifiers

    @property
    def n_operation(self) -> int:
        """Accounts of the operation; they have the smallest account numbers."""
        return self.n_groups * self.group_size

    @property
    def n_organic(self) -> int:
        """Accounts that post and are not of the operation; the crowds are among them."""
        return self.n_accounts - self.n_operation

    @property
    def n_crowd(self) -> int:
        """Accounts of fan clubs, news feeds and audiences; they come right after the operation."""
        audiences = self.n_celebrities * (1 + self.audience_size)
        return self.n_fan_clubs * self.fan_club_size + self.n_news_feeds + audiences

    @property
    def start_ms(self) -> int:
        """First millisecond, since 1970."""
        return (date.fromisoformat(self.start) - date(1970, 1, 1)).days * DAY_MS

    @property
    def span_ms(self) -> int:
        """Length of the archive in milliseconds."""
        return self.n_days * DAY_MS

    @property
    def lag_bin_ms(self) -> int:
        """Width of the bins that the lag law counts, in milliseconds."""
        return self.lag_bin_seconds * 1000

    @property
    def longest_lag_days(self) -> int:
        """Days that cover the longest lag."""
        return -(-(self.max_lag_bins + 1) * self.lag_bin_ms // DAY_MS)


BOUNDS: dict[tuple[float, float], str] = {
    (0, 1): "follow_probability copy_retweet_share copy_wording_share topic_share "
    "diurnal_amplitude retweets_per_post replies_per_post quotes_per_post churn_share "
    "cohort_share fan_follow_probability feed_follow_probability audience_follow_probability",
    (0, 0.99): "lag_decay camouflage_share",
    (0, N_SLOTS[0]): "hashtags_per_post",
    (0, N_SLOTS[1]): "urls_per_post",
    (0, 1 + N_SLOTS[2]): "mentions_per_post",
    (0.5, 100): "organic_alpha operation_alpha",
    (0, 10): "diurnal_power",
    (-12, 14): "operation_timezone_hours cohort_timezone_hours",
    (0, 86_400): "lag_seconds",
    (1, 86_400): "fan_lag_seconds audience_lag_seconds",
    (0, 5): "lag_sigma",
    (0.01, 100): "ramp_factor",
    (1, 26): "n_platforms",
    (0, 10**3): "viral_factor burst_factor",
    (1, 10**6): "max_activity",
    (0, 10**5): "n_groups n_viral n_bursts n_fan_clubs n_news_feeds n_celebrities",
    (0, 10**4): "min_lag_bins",
    (0, 10**7): "n_silent",
    (1, 10**4): "n_days n_topics max_lag_bins",
    (1, 10**5): "n_core n_amplifiers n_plants n_campaign_entities audience_size n_fan_calls "
    "n_news_items n_celebrity_posts",
    (2, 10**5): "fan_club_size",
    (1, 10**7): "n_accounts n_hashtags n_urls n_mentions n_sources lag_bin_seconds",
    # The low bits of a tweet id tell 2**21 posts apart, the milliseconds of a second the rest.
    (1, 2 * 10**9): "n_posts",
}


_TYPES: dict[Any, type] = {"int": int, "float": float, "str": str}


def _check_values(scenario: Scenario) -> None:
    for field in fields(scenario):
        value = getattr(scenario, field.name)
        is_number = field.type == "float" and isinstance(value, int)
        if isinstance(value, bool) or not (is_number or isinstance(value, _TYPES[field.type])):
            raise ValueError(f"{field.name}={value!r} must be of type {field.type}")
    for (least, most), names in BOUNDS.items():
        for name in names.split():
            if not least <= getattr(scenario, name) <= most:
                raise ValueError(
                    f"{name}={getattr(scenario, name)!r} must lie between {least} and {most}"
                )
    # Tweet ids carry a time only from November 2010 on, and run out of bits in 2080.
    if not date(2010, 12, 1) <= date.fromisoformat(scenario.start) <= date(2050, 1, 1):
        raise ValueError(
            f"start={scenario.start!r} must lie between 2010-12-01 and 2050-01-01, "
            "where tweet ids carry a time"
        )


def _check_sizes(scenario: Scenario) -> None:
    if scenario.n_accounts <= scenario.n_operation:
        raise ValueError(
            f"n_accounts={scenario.n_accounts} must exceed the operation's {scenario.n_operation}; "
            "raise it, or lower n_groups, n_core or n_amplifiers"
        )
    if scenario.n_organic < scenario.n_crowd:
        raise ValueError(
            f"n_accounts={scenario.n_accounts} must hold the operation's {scenario.n_operation} "
            f"and the {scenario.n_crowd} of fan clubs, news feeds and audiences; raise it, or "
            "lower their numbers"
        )
    if min(scenario.n_hashtags, scenario.n_urls, scenario.n_mentions) < 2 * scenario.n_topics:
        raise ValueError(
            f"n_topics={scenario.n_topics} needs two entities per topic and kind; lower it, "
            "or raise n_hashtags, n_urls and n_mentions"
        )
    if scenario.min_lag_bins > scenario.max_lag_bins:
        raise ValueError(
            f"min_lag_bins={scenario.min_lag_bins} must not exceed "
            f"max_lag_bins={scenario.max_lag_bins}; lower it, or raise that"
        )
    if scenario.n_days < 9 + scenario.longest_lag_days:
        raise ValueError(
            f"n_days={scenario.n_days} must exceed the longest lag by nine days; raise it, "
            "or lower max_lag_bins or lag_bin_seconds"
        )


def _check_rates(scenario: Scenario) -> None:
    answers = scenario.retweets_per_post + scenario.replies_per_post
    if answers > min(1.0, scenario.mentions_per_post):
        raise ValueError(
            f"retweets_per_post + replies_per_post = {answers:g} must not exceed 1 nor "
            f"mentions_per_post={scenario.mentions_per_post:g}, as each mentions an author"
        )
    if scenario.copy_retweet_share + scenario.copy_wording_share > 1:
        raise ValueError(
            f"copy_retweet_share={scenario.copy_retweet_share:g} and copy_wording_share="
            f"{scenario.copy_wording_share:g} must not exceed 1 together; lower one"
        )
    if scenario.quotes_per_post > 1 - scenario.retweets_per_post:
        raise ValueError(
            f"quotes_per_post={scenario.quotes_per_post:g} must not exceed the share of posts that "
            "are no retweets; lower it, or retweets_per_post"
        )


_DEMO = Scenario(
    n_accounts=400,
    n_posts=20_000,
    start="2021-03-01",
    n_days=28,
    n_groups=1,
    n_core=5,
    n_amplifiers=35,
    n_plants=40,
    n_silent=20,
    max_activity=50.0,
    hashtags_per_post=0.8,
    urls_per_post=0.3,
    retweets_per_post=0.3,
    replies_per_post=0.2,
    quotes_per_post=0.1,
)

_COLUMNS = (
    "n_accounts", "n_posts", "start", "n_days", "n_groups", "n_core", "n_amplifiers", "n_plants",
    "n_topics", "n_hashtags", "n_urls", "n_mentions", "n_sources", "n_viral", "n_bursts",
)  # fmt: skip
# Those named after a year have the numbers of accounts and posts, and the activity tails, of
# published takedowns (august2019: accounts, and 200 amplifiers for one core account; its posts are
# as many per account as in june2020). What is planted in them, the spans of all but cnhu2021 and
# all else is invented.
_TAKEDOWNS: dict[str, tuple[Any, ...]] = {
    "august2019": (936, 13_739, "2019-01-07", 210, 1, 1, 200, 60,
                   6, 1_000, 1_000, 1_500, 3_000, 12, 80),
    "june2020": (23_750, 348_608, "2019-12-02", 182, 68, 5, 30, 12,
                 20, 8_000, 12_000, 20_000, 40_000, 100, 1_000),
    "cnhu2021": (2_016, 31_269, "2019-04-20", 716, 8, 3, 18, 10,
                 10, 1_500, 2_000, 3_000, 6_000, 200, 2_000),
    "cncc2021": (112, 35_924, "2019-01-07", 720, 1, 2, 12, 120,
                 4, 1_000, 1_500, 2_000, 6_000, 200, 2_000),
    "russia2020": (1_152, 3_430_000, "2015-01-05", 1_900, 4, 6, 36, 80,
                   20, 30_000, 40_000, 60_000, 200_000, 1_000, 10_000),
    "turkey2020": (7_340, 36_900_000, "2012-01-02", 3_000, 20, 5, 40, 40,
                   20, 80_000, 100_000, 150_000, 1_000_000, 2_000, 20_000),
}  # fmt: skip
_PUBLISHED = {
    name: Scenario(**dict(zip(_COLUMNS, row, strict=True))) for name, row in _TAKEDOWNS.items()
}
PRESETS: dict[str, Scenario] = {
    "demo": _DEMO,
    "small": replace(
        _DEMO,
        n_accounts=200,
        n_posts=9_000,
        n_hashtags=200,
        n_urls=200,
        n_mentions=200,
        n_sources=900,
    ),
    "null": replace(_DEMO, n_groups=0),
    "crowds": replace(
        _DEMO,
        n_accounts=700,
        n_posts=40_000,
        n_fan_clubs=3,
        n_news_feeds=12,
        n_celebrities=2,
        cohort_share=0.15,
    ),
    "swift": replace(_DEMO, lag_seconds=20.0, n_platforms=3),
    **_PUBLISHED,
    "august2019": replace(_PUBLISHED["august2019"], follow_probability=0.1),
}


def choose_scenario(preset: str, *, n_posts: int | None = None, **overrides: Any) -> Scenario:
    """Take the parameters of a preset, scaled to ``n_posts`` and changed by name.

    Scaling keeps the operation, the crowds and the posts per organic account. Sources grow like
    the posts, entities like their square root, as vocabularies do.

    Raises
    ------
    ValueError
        For an unknown preset or parameter, or values that contradict each other.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset={preset!r} is unknown; choose one of {', '.join(PRESETS)}")
    names = [field.name for field in fields(Scenario)]
    unknown = sorted(overrides.keys() - set(names))
    if unknown:
        raise ValueError(
            f"no parameter is called {', '.join(unknown)}; there are {', '.join(names)}"
        )
    sizes = {} if n_posts is None else _scale(PRESETS[preset], n_posts)
    return replace(PRESETS[preset], **{**sizes, **overrides})


def _scale(scenario: Scenario, n_posts: int) -> dict[str, int]:
    ratio = n_posts / scenario.n_posts
    if ratio <= 0:
        raise ValueError(f"n_posts={n_posts} must be positive")
    sizes = {
        name: max(2 * scenario.n_topics, round(getattr(scenario, name) * sqrt(ratio)))
        for name in ("n_hashtags", "n_urls", "n_mentions")
    }
    n_others = scenario.n_organic - scenario.n_crowd
    n_organic = scenario.n_crowd + max(1, round(n_others * ratio))
    n_sources = max(1, round(scenario.n_sources * ratio))
    n_accounts = scenario.n_operation + n_organic
    return {**sizes, "n_posts": n_posts, "n_accounts": n_accounts, "n_sources": n_sources}


def parse_parameter(text: str) -> tuple[str, Any]:
    """Read ``name=value`` as a parameter of :class:`Scenario`.

    Raises
    ------
    ValueError
        For text of another form, an unknown name, or a value that is no such number.

    Examples
    --------
    >>> parse_parameter("n_core=3"), parse_parameter("lag_decay=0.5")
    (('n_core', 3), ('lag_decay', 0.5))
    """
    name, equals, value = text.partition("=")
    types = {field.name: field.type for field in fields(Scenario)}
    if not equals or name not in types:
        raise ValueError(
            f"{text!r} is no parameter; write name=value, with a name of {', '.join(types)}"
        )
    try:
        return name, _TYPES[types[name]](value)
    except ValueError:
        raise ValueError(f"{name}={value!r} must be of type {types[name]}") from None
