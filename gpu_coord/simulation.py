"""Archives with a planted operation, and the truth about it.

In: a preset, a seed, parameters. Out: a folder in the form of an X archive (tweets.csv, users.csv)
with truth_accounts.parquet, truth_edges.parquet and simulation.json. All that posts refer to is
planned first; posts are then drawn and written in chunks, so that memory stays flat.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from datetime import date
from itertools import count
from math import gcd, log, pi, sin, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from gpu_coord import __version__
from gpu_coord.folders import replace_folder, write_json

if TYPE_CHECKING:
    from collections.abc import Callable

    Progress = Callable[[str, int, int], None]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# The archive's bytes depend on this number: each chunk has its own stream.
POSTS_PER_CHUNK = 100_000

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
SNOWFLAKE_EPOCH_MS = 1_288_834_974_657
SNOWFLAKE_LOW_BITS = 22

KINDS = ("hashtag", "url", "mention")
N_SLOTS = (3, 2, 2)  # places for entities of a kind in one post
N_PHRASES = 3  # phrases in one text
PHRASES_PER_LANGUAGE = 256
SOURCE_LEAD_MS = 7 * DAY_MS  # posts from outside begin this long before the archive

MARKER = "simulation.json"
FILES = {MARKER, "tweets.csv", "users.csv", "truth_accounts.parquet", "truth_edges.parquet"}
PROFILE_COLUMNS = (
    "userid user_display_name user_screen_name user_reported_location user_profile_description "
    "user_profile_url follower_count following_count account_creation_date account_language"
).split()
TWEET_COLUMNS = [
    "tweetid",
    *PROFILE_COLUMNS,
    *(
        "tweet_language tweet_text tweet_time tweet_client_name in_reply_to_userid "
        "in_reply_to_tweetid quoted_tweet_tweetid is_retweet retweet_userid retweet_tweetid "
        "latitude longitude quote_count reply_count like_count retweet_count hashtags urls "
        "user_mentions"
    ).split(),
]

WORDS = {
    "en": "harbour river council price lantern orchard ferry winter market school bridge window "
    "honest morning voice garden paper signal station island copper meadow train weather answer "
    "question engine theatre mountain coffee ticket promise",
    "es": "puerto río consejo precio farol huerto invierno mercado escuela puente ventana honesto "
    "mañana voz jardín papel señal estación isla cobre pradera tren tiempo respuesta pregunta",
    "ru": "гавань река совет цена фонарь сад паром зима рынок школа мост окно утро голос бумага "
    "сигнал станция остров медь луг поезд погода ответ вопрос театр гора кофе билет обещание",
    "th": "ท่าเรือ แม่น้ำ สภา ราคา โคมไฟ สวน เรือ ฤดูหนาว ตลาด โรงเรียน สะพาน หน้าต่าง เช้า เสียง "
    "กระดาษ สัญญาณ สถานี เกาะ ทุ่งหญ้า รถไฟ อากาศ คำตอบ คำถาม ภูเขา กาแฟ ตั๋ว",
    "ar": "ميناء نهر مجلس سعر فانوس بستان شتاء سوق مدرسة جسر نافذة صباح صوت حديقة ورق إشارة محطة "
    "جزيرة نحاس مرج قطار طقس جواب سؤال مسرح جبل قهوة تذكرة وعد",
    "zh": "港口 河流 议会 价格 灯笼 果园 渡船 冬天 市场 学校 桥梁 窗户 早晨 声音 花园 纸张 信号"
    " 车站 岛屿 铜 草地 火车 天气 回答 问题 剧院 山 咖啡 车票 诺言",
}
LANGUAGES = tuple(WORDS)
LANGUAGE_WEIGHTS = (44, 12, 12, 12, 10, 10)
UNSPACED = ("th", "zh")
PHRASE_ENDINGS = (".", "!", "…", "?", " 🙂", " 🚢🌊", " — ok", "\n", ":\n\n", ",", ";", *[""] * 9)

# Cells that a careless reader, spreadsheet or page would run, split or reorder.
HOSTILE_CELLS = (
    "=1+1",
    '=HYPERLINK("http://example.com","open")',
    "@SUM(A1:A9)",
    "-2+3",
    "<script>alert(1)</script>",
    '<img src=x onerror="alert(1)">',
    'say "yes", or "no"',
    "it's; a,b\tc",
    "right \u202eot tfel\u202c",
    "zero\u200bwidth \ufeffmark",
    "bell \x07 and escape \x1b[31m",
    "back\\slash \\n \\",
    "&lt;b&gt; &amp; %00 ${x} {{y}}",
    "null",
)
HOSTILE_SHARE = 1 / 128
PLACES = ("", "", "", "Harbour Town", "North Island", "เกาะใต้", "Речной", "مرفأ", "🌍")
PROFILES = ("", "", "", "Morning coffee, evening trains.", "I like bridges.\nAnd ferries.", "สวัสดี")
ADDRESSES = ("", "", "", "https://www.example.com/about", "https://example.org/me?lang=en")
CLIENTS = ("Twitter Web App", "Twitter for Android", "Twitter for iPhone", "Scheduler")
TIME_ZONES = (-8, -5, -3, 0, 1, 2, 3, 5, 7, 8, 9)  # hours east of UTC
N_HOSTS = 40


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
    lag_decay: float = 0.1  # lag = 1 + geometric, in bins: P(1 + k) ~ lag_decay**k; 0: always 1
    max_lag_bins: int = 4
    copy_retweet_share: float = 0.2  # copies that retweet the core's post
    copy_wording_share: float = 0.2  # copies that repeat its words as a post of their own
    camouflage_share: float = 0.4  # of the operation's posts, drawn like anyone's; if any, one each
    operation_timezone_hours: int = 8

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

    hashtags_per_post: float = 0.35
    urls_per_post: float = 0.1
    mentions_per_post: float = 0.9
    retweets_per_post: float = 0.5
    replies_per_post: float = 0.3
    quotes_per_post: float = 0.14

    def __post_init__(self) -> None:
        _check_types(self)
        _check_bounds(self)
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
        """Accounts that post and are not of the operation."""
        return self.n_accounts - self.n_operation

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
    "diurnal_amplitude retweets_per_post replies_per_post quotes_per_post",
    (0, 0.99): "lag_decay camouflage_share",
    (0, N_SLOTS[0]): "hashtags_per_post",
    (0, N_SLOTS[1]): "urls_per_post",
    (0, 1 + N_SLOTS[2]): "mentions_per_post",
    (0.5, 100): "organic_alpha operation_alpha",
    (-12, 14): "operation_timezone_hours",
    (0, 10**3): "viral_factor burst_factor",
    (1, 10**6): "max_activity",
    (0, 10**5): "n_groups n_viral n_bursts",
    (0, 10**7): "n_silent",
    (1, 10**4): "n_days n_topics max_lag_bins",
    (1, 10**5): "n_core n_amplifiers n_plants n_campaign_entities",
    (1, 10**7): "n_accounts n_hashtags n_urls n_mentions n_sources lag_bin_seconds",
    # The low bits of a tweet id tell 2**21 posts apart, the milliseconds of a second the rest.
    (1, 2 * 10**9): "n_posts",
}


def _check_types(scenario: Scenario) -> None:
    kinds: dict[Any, type | tuple[type, ...]] = {"int": int, "float": (int, float), "str": str}
    for field in fields(scenario):
        value = getattr(scenario, field.name)
        if not isinstance(value, kinds[field.type]) or isinstance(value, bool):
            raise ValueError(f"{field.name}={value!r} must be of type {field.type}")


def _check_bounds(scenario: Scenario) -> None:
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
    if min(scenario.n_hashtags, scenario.n_urls, scenario.n_mentions) < 2 * scenario.n_topics:
        raise ValueError(
            f"n_topics={scenario.n_topics} needs two entities per topic and kind; lower it, "
            "or raise n_hashtags, n_urls and n_mentions"
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

# june2020 and cnhu2021 have the sizes and activity tails of published takedowns; what is planted in
# them, the span of june2020 and all else is invented.
PRESETS: dict[str, Scenario] = {
    "demo": _DEMO,
    "null": replace(_DEMO, n_groups=0),
    "june2020": Scenario(
        n_accounts=23_750,
        n_posts=348_608,
        start="2019-12-02",
        n_days=182,
        n_groups=68,
        n_core=5,
        n_amplifiers=30,
        n_plants=12,
        n_topics=20,
        n_hashtags=8_000,
        n_urls=12_000,
        n_mentions=20_000,
        n_sources=40_000,
        n_viral=100,
        n_bursts=1_000,
    ),
    "cnhu2021": Scenario(
        n_accounts=2_016,
        n_posts=31_269,
        start="2019-04-20",
        n_days=716,
        n_groups=8,
        n_core=3,
        n_amplifiers=18,
        n_plants=10,
        n_topics=10,
        n_hashtags=1_500,
        n_urls=2_000,
        n_mentions=3_000,
        n_sources=6_000,
        n_viral=200,
        n_bursts=2_000,
    ),
}


def choose_scenario(preset: str, *, n_posts: int | None = None, **overrides: Any) -> Scenario:
    """Take the parameters of a preset, scaled to ``n_posts`` and changed by name.

    Scaling keeps the operation and the posts per organic account. Sources grow like the posts,
    entities like their square root, as vocabularies do.

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
    growth = {"n_hashtags": sqrt(ratio), "n_urls": sqrt(ratio), "n_mentions": sqrt(ratio)}
    sizes = {
        name: max(2 * scenario.n_topics, round(getattr(scenario, name) * factor))
        for name, factor in growth.items()
    }
    n_organic = max(1, round(scenario.n_organic * ratio))
    n_sources = max(1, round(scenario.n_sources * ratio))
    n_accounts = scenario.n_operation + n_organic
    return {**sizes, "n_posts": n_posts, "n_accounts": n_accounts, "n_sources": n_sources}


# Draws. Machines round logarithms and powers differently in the last bit, so whatever is drawn
# comes from integers and exactly rounded operations, or is quantised far above that bit.

STREAMS = ("accounts", "episodes", "sources", "operation", "counts", "phrases", "posts")


def open_stream(seed: int, part: str, chunk: int = 0) -> np.random.Generator:
    """Open the numbers of one part of the archive, independent of those of all others."""
    return np.random.default_rng((seed, STREAMS.index(part), chunk))


def pick(cumulative: Ints, n: int, rng: np.random.Generator) -> Ints:
    """Draw ``n`` indices with integer weights, given as their cumulative sum."""
    return find_interval(cumulative, rng.integers(0, cumulative[-1], size=n))


def find_interval(cumulative: Ints, values: Ints) -> Ints:
    """Index of the first cumulative sum above each value."""
    return np.asarray(np.searchsorted(cumulative, values, side="right"), dtype=np.int64)


def draw_pareto(n: int, alpha: float, most: float, rng: np.random.Generator) -> Ints:
    """Draw ``n`` Pareto values from 1 to ``most``, in units of 1/1024."""
    values = np.minimum((1.0 - rng.random(n)) ** (-1.0 / alpha), most)
    return np.asarray(np.floor(values * 1024), dtype=np.int64)


def _tabulate_exponential() -> npt.NDArray[np.float64]:
    n_steps = 4096
    quantiles = [-log(1 - step / n_steps) for step in range(n_steps)] + [log(2 * n_steps)]
    return np.round(np.array(quantiles) * 2**20) / 2**20


EXPONENTIAL = _tabulate_exponential()


def draw_exponential(n: int, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Draw ``n`` exponential values of mean 1, by interpolation in a table of quantiles."""
    position = rng.random(n) * (len(EXPONENTIAL) - 1)
    step = position.astype(np.int64)
    return EXPONENTIAL[step] + (position - step) * (EXPONENTIAL[step + 1] - EXPONENTIAL[step])


def draw_lags(scenario: Scenario, n: int, rng: np.random.Generator) -> Ints:
    """Draw ``n`` lags in bins: one plus a geometric number, at most ``max_lag_bins``."""
    powers = np.cumprod(np.r_[1.0, np.full(scenario.max_lag_bins - 1, scenario.lag_decay)])
    return 1 + pick(np.cumsum(np.floor(powers * 2**40).astype(np.int64)), n, rng)


def _weigh_hours(amplitude: float) -> Ints:
    """How active each local hour is: a sine with its peak at 15 h."""
    weights = [1 + amplitude * sin(2 * pi * (hour - 9) / 24) for hour in range(24)]
    return np.maximum(1, np.round(np.array(weights) * 2**16)).astype(np.int64)


OFFICE_HOURS = np.array([1] * 8 + [4] + [40] * 9 + [4] + [1] * 5, dtype=np.int64)


def draw_times(scenario: Scenario, timezones: Ints, rng: np.random.Generator) -> Ints:
    """Milliseconds since the start, by the daily rhythm of each time zone (hours east)."""
    n = len(timezones)
    days = rng.integers(0, scenario.n_days, size=n)
    hours = pick(np.cumsum(_weigh_hours(scenario.diurnal_amplitude)), n, rng)
    local = days * DAY_MS + hours * HOUR_MS + rng.integers(0, HOUR_MS, size=n)
    return (local - timezones * HOUR_MS) % scenario.span_ms


def draw_office_times(scenario: Scenario, n: int, rng: np.random.Generator) -> Ints:
    """Milliseconds since the start, on workdays of the operation and mostly in its office hours."""
    first_weekday = date.fromisoformat(scenario.start).weekday()
    days = np.arange(1, scenario.n_days - 1 - scenario.longest_lag_days)
    workdays = days[(first_weekday + days) % 7 < 5]
    day = workdays[rng.integers(0, len(workdays), size=n)]
    hour = pick(np.cumsum(OFFICE_HOURS), n, rng) - scenario.operation_timezone_hours
    times: Ints = day * DAY_MS + hour * HOUR_MS + rng.integers(0, HOUR_MS, size=n)
    return times


def separate_times(times: Ints, posts: Ints, n_posts: int) -> Ints:
    """Move times inside their second: posts with equal low id bits never share a millisecond."""
    n_lanes = -(-n_posts // 2**21)
    milli = times % 1000 % (1000 // n_lanes * n_lanes)
    return times - times % 1000 + milli - milli % n_lanes + (posts >> 21)


def mint_tweet_ids(times: Ints, posts: Ints, *, outside: bool = False) -> Ints:
    """Snowflake ids of posts: milliseconds in the high bits; odd numbers are posts from outside."""
    low = (posts % 2**21) * 2 + outside
    return ((times - SNOWFLAKE_EPOCH_MS) << SNOWFLAKE_LOW_BITS) | low


# The plan: accounts, entities, episodes, sources and the operation.


@dataclass(frozen=True, slots=True)
class Accounts:
    """Who there is: operation (group by group, core first), then organic, then silent accounts."""

    profile: pl.DataFrame  # one row per account, PROFILE_COLUMNS
    topic: Ints
    timezone: Ints  # hours east of UTC
    language: Ints  # position in LANGUAGES

    @property
    def ids(self) -> pl.Series:
        """Account ids as text."""
        return self.profile["userid"]


def plan_accounts(scenario: Scenario, seed: int) -> Accounts:
    """Draw every account and its profile."""
    rng = open_stream(seed, "accounts")
    n = scenario.n_accounts + scenario.n_silent
    operation = np.arange(n) < scenario.n_operation
    group = np.arange(n) // scenario.group_size
    topic = np.where(operation, group, rng.integers(0, scenario.n_topics, size=n))
    zones = np.array(TIME_ZONES)[rng.integers(0, len(TIME_ZONES), size=n)]
    timezone = np.where(operation, scenario.operation_timezone_hours, zones)
    language = pick(np.cumsum(LANGUAGE_WEIGHTS), n, rng)
    profile = _draw_profiles(scenario, operation, language, rng)
    return Accounts(profile, topic % scenario.n_topics, timezone, language)


def _draw_profiles(
    scenario: Scenario, operation: Bools, language: Ints, rng: np.random.Generator
) -> pl.DataFrame:
    n = len(operation)
    ids = _draw_account_ids(n, rng)
    age = np.where(operation, rng.integers(7, 90, size=n), rng.integers(7, 3000, size=n))
    cells = {
        **dict.fromkeys(PROFILE_COLUMNS[:3], ids),
        "user_reported_location": _draw_cells(PLACES, n, rng),
        "user_profile_description": _draw_cells(PROFILES, n, rng),
        "user_profile_url": _draw_cells(ADDRESSES, n, rng),
        "follower_count": _draw_audience(operation, rng),
        "following_count": _draw_audience(operation, rng),
        "account_creation_date": _write_times(scenario.start_ms - age * DAY_MS, "%Y-%m-%d"),
        "account_language": pl.Series(LANGUAGES).gather(language),
    }
    return pl.DataFrame(cells)


def _draw_account_ids(n: int, rng: np.random.Generator) -> pl.Series:
    """Base64 of 256 random bits with the slashes removed, as the 2020-09 release writes it."""
    alphabet = np.frombuffer(
        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", dtype=np.uint8
    )
    letters = alphabet[rng.integers(0, 64, size=(n, 43), dtype=np.uint8)]
    hashes = pl.Series(letters.view("S43").ravel().astype("U43"))
    return hashes.str.replace_all("/", "", literal=True) + "="


def _draw_cells(choices: tuple[str, ...], n: int, rng: np.random.Generator) -> pl.Series:
    """Profile cells, a few of them hostile."""
    usual = rng.integers(0, len(choices), size=n)
    hostile = len(choices) + rng.integers(0, len(HOSTILE_CELLS), size=n)
    drawn = np.where(rng.random(n) < HOSTILE_SHARE, hostile, usual)
    return pl.Series(choices + HOSTILE_CELLS).gather(drawn)


def _draw_audience(operation: Bools, rng: np.random.Generator) -> Ints:
    """Followers: under 5,000, as in hashed accounts; of an operation 78 % none, 95 % under 8."""
    share = rng.random(len(operation))
    usual = np.minimum(60 * share / (1 - share), 4999).astype(np.int64)
    small = np.where(share < 0.95, rng.integers(1, 8, size=len(share)), usual % 500 + 8)
    return np.where(operation, np.where(share < 0.78, 0, small), usual)


@dataclass(frozen=True, slots=True)
class Entities:
    """What posts of one kind can use: topics of equal size, each with the same popularity law."""

    kind: str
    n_topics: int
    topic_size: int
    popularity: Ints  # cumulative weights by rank inside a topic
    spellings: pl.Series  # three spellings of each entity: the first of all, the second of all, …

    @property
    def n(self) -> int:
        """Number of entities."""
        return self.n_topics * self.topic_size


def plan_entities(scenario: Scenario, accounts: Accounts) -> tuple[Entities, ...]:
    """Name the entities of each kind, in the order of KINDS."""
    sizes = (scenario.n_hashtags, scenario.n_urls, scenario.n_mentions)
    spellers: tuple[Callable[[Ints], pl.Series], ...] = (
        _spell_hashtags,
        _spell_urls,
        lambda numbers: _spell_mentions(numbers, accounts.ids, scenario.n_accounts),
    )
    return tuple(
        _plan_kind(kind, scenario.n_topics, size // scenario.n_topics, spell)
        for kind, size, spell in zip(KINDS, sizes, spellers, strict=True)
    )


def _plan_kind(
    kind: str, n_topics: int, topic_size: int, spell: Callable[[Ints], pl.Series]
) -> Entities:
    popularity = np.cumsum(2**24 // np.arange(5, topic_size + 5))
    spellings = spell(np.arange(n_topics * topic_size))
    return Entities(kind, n_topics, topic_size, popularity, spellings)


def _spell_hashtags(numbers: Ints) -> pl.Series:
    n_words = 20
    words = pl.Series([word for text in WORDS.values() for word in text.split()[:n_words]])
    language, number = numbers % len(WORDS), numbers // len(WORDS)
    first = words.gather(language * n_words + number % n_words)
    second = words.gather(language * n_words + number // n_words % n_words)
    turn = pl.Series(number // n_words**2)
    tags = first + second + turn.cast(pl.String).replace("0", "")
    return pl.concat([tags, tags.str.to_uppercase(), tags])


def _spell_urls(numbers: Ints) -> pl.Series:
    number, host = pl.col("number").cast(pl.String), (pl.col("number") % N_HOSTS).cast(pl.String)
    page = pl.concat_str(pl.lit("https://news"), host, pl.lit(".example.com/2021/story-"), number)
    url = (
        pl.when(pl.col("number") % 8 == 3)
        .then(pl.lit("https://www.youtube.com/watch?v=") + number.str.zfill(11))
        .when(pl.col("number") % 11 == 7)
        .then(pl.lit("https://twitter.com/paper/status/13") + number.str.zfill(17))
        .when(pl.col("number") % 17 == 5)
        .then(page + ",part,2/")
        .otherwise(page)
    )
    plain = pl.select(number=numbers).select(url.alias("url"))["url"]
    marks = pl.select(
        pl.when(plain.str.contains("?", literal=True)).then(pl.lit("&")).otherwise(pl.lit("?"))
    )
    tracked = plain + marks.to_series() + "utm_source=feed&utm_medium=social"
    return pl.concat([plain, tracked, plain + "#top"])


def _spell_mentions(numbers: Ints, ids: pl.Series, n_accounts: int) -> pl.Series:
    inside = find_mentioned_accounts(numbers, n_accounts)
    outside = pl.Series(10_000_019 + numbers * 982_451_653).cast(pl.String)
    known = ids.gather(np.maximum(inside, 0))
    mentions = known.zip_with(pl.Series(inside >= 0), outside)
    return pl.concat([mentions, mentions, mentions])


def find_mentioned_accounts(mentions: Ints, n_accounts: int) -> Ints:
    """Account of each mention entity: one in twenty; -1 for those outside the archive."""
    account = n_accounts - 1 - mentions // 20
    return np.where((mentions % 20 == 13) & (account >= 0), account, -1)


def draw_entities(
    scenario: Scenario, entities: Entities, topics: Ints, rng: np.random.Generator
) -> Ints:
    """One entity for each account's topic, by interest and popularity."""
    n = len(topics)
    own = rng.random(n) < scenario.topic_share
    topic = np.where(own, topics, rng.integers(0, scenario.n_topics, size=n))
    ranks = pick(entities.popularity, n, rng)
    return np.asarray(topic * entities.topic_size + ranks)


@dataclass(frozen=True, slots=True)
class Episodes:
    """Organic bursts and viral events of one kind, sorted by topic."""

    entity: Ints
    start: Ints  # milliseconds since the start of the archive
    decay: Ints  # milliseconds
    cumulative: Ints  # of the expected sizes
    topic_bounds: Ints  # (n_topics + 1,) in units of ``cumulative``
    load: float  # expected uses in episodes over uses outside of them


def plan_episodes(scenario: Scenario, entities: Entities, rng: np.random.Generator) -> Episodes:
    """Draw when which entity is suddenly in demand, and by how much."""
    viral = np.arange(scenario.n_viral + scenario.n_bursts) < scenario.n_viral
    n = len(viral)
    entity = rng.integers(0, scenario.n_topics, size=n) * entities.topic_size
    entity += pick(entities.popularity, n, rng)
    start = rng.integers(0, scenario.span_ms, size=n)
    hours = np.where(viral, rng.integers(6, 25, size=n), rng.integers(1, 7, size=n))
    factor = np.where(viral, scenario.viral_factor, scenario.burst_factor)
    usual = np.diff(entities.popularity, prepend=0)[entity % entities.topic_size]
    size = np.floor(usual * factor * hours).astype(np.int64)
    # An entity's usual rate is usual / popularity[-1] / n_topics of all uses, per hour of the span.
    base = int(entities.popularity[-1]) * scenario.n_topics * scenario.n_days * 24
    order = np.argsort(entity // entities.topic_size, kind="stable")
    cumulative = np.cumsum(size[order])
    first = np.searchsorted(
        entity[order] // entities.topic_size, np.arange(scenario.n_topics + 1), side="left"
    )
    bounds = np.r_[0, cumulative][first]
    load = int(bounds[-1]) / base
    return Episodes(entity[order], start[order], hours[order] * HOUR_MS, cumulative, bounds, load)


def draw_episodes(
    scenario: Scenario, episodes: Episodes, topics: Ints, rng: np.random.Generator
) -> Ints:
    """One episode for each account's topic; where its topic has none, any."""
    n = len(topics)
    low, high = episodes.topic_bounds[topics], episodes.topic_bounds[topics + 1]
    own = (rng.random(n) < scenario.topic_share) & (high > low)
    low, high = np.where(own, low, 0), np.where(own, high, episodes.topic_bounds[-1])
    return find_interval(episodes.cumulative, rng.integers(low, high))


def draw_episode_times(
    scenario: Scenario,
    episodes: Episodes,
    chosen: Ints,
    timezones: Ints,
    rng: np.random.Generator,
) -> Ints:
    """Milliseconds since the start: exponential after the onset, thinned by each account's night.

    Whoever finds no waking moment before the archive ends in four tries posts at any usual time.
    """
    n = len(chosen)
    weights = _weigh_hours(scenario.diurnal_amplitude)
    times = draw_times(scenario, timezones, rng)
    open_ = np.ones(n, dtype=np.bool_)
    for _ in range(4):
        delay = np.floor(draw_exponential(n, rng) * episodes.decay[chosen]).astype(np.int64)
        tried = episodes.start[chosen] + delay
        hour = (tried // HOUR_MS + timezones) % 24
        awake = rng.integers(0, weights.max(), size=n) < weights[hour]
        accepted = open_ & awake & (tried < scenario.span_ms)
        times = np.where(accepted, tried, times)
        open_ &= ~accepted
    return times


@dataclass(frozen=True, slots=True)
class Sources:
    """Posts from outside the archive that are retweeted, answered and quoted, sorted by time."""

    time: Ints  # milliseconds since 1970
    tweet_id: Ints
    author: Ints  # mention entity
    account: Ints  # the author's account, -1 outside the archive
    phrases: Ints  # (n_sources, N_PHRASES)


def plan_sources(scenario: Scenario, mentions: Entities, seed: int) -> Sources:
    """Draw the posts from outside."""
    rng = open_stream(seed, "sources")
    n = scenario.n_sources
    offset = rng.integers(-SOURCE_LEAD_MS, scenario.span_ms, size=n)
    # The first lies before the archive, so that every post has something to answer.
    time = scenario.start_ms + np.sort(np.r_[-SOURCE_LEAD_MS, offset[1:]])
    topics = rng.integers(0, scenario.n_topics, size=n)
    author = draw_entities(scenario, mentions, topics, rng)
    phrases = draw_phrases(pick(np.cumsum(LANGUAGE_WEIGHTS), n, rng), rng)
    tweet_id = mint_tweet_ids(time, np.arange(n), outside=True)
    account = find_mentioned_accounts(author, scenario.n_accounts)
    return Sources(time, tweet_id, author, account, phrases)


def draw_sources(sources: Sources, times: Ints, rng: np.random.Generator) -> Ints:
    """Choose what a post at each time refers to: one of the last eight in half of the cases."""
    share = rng.random(len(times))
    back = np.floor(8 * share / (1 - share)).astype(np.int64)
    latest = find_interval(sources.time, times) - 1
    return np.asarray(np.maximum(latest - back, 0))


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
    bins = planted[origin] // scenario.lag_bin_ms + draw_lags(scenario, len(origin), rng)
    inside = rng.integers(0, scenario.lag_bin_ms, size=len(origin))
    account = np.r_[account, copier]
    origin = np.r_[np.arange(n_plants), origin]
    style = np.where(np.arange(len(origin)) < n_plants, 1.0, rng.random(len(origin)))
    retweet = style < scenario.copy_retweet_share
    phrases = draw_phrases(accounts.language[account], rng)
    same = style < scenario.copy_retweet_share + scenario.copy_wording_share
    return Operation(
        n_plants=n_plants,
        account=account,
        time=np.r_[planted, bins * scenario.lag_bin_ms + inside],
        kind=kind[origin],
        entity=entity[origin],
        origin=origin,
        retweet=retweet,
        phrases=np.where(same[:, None], phrases[origin], phrases),
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


def draw_phrases(languages: Ints, rng: np.random.Generator) -> Ints:
    """Phrases of one text per language, -1 where it is shorter; (n, N_PHRASES)."""
    shape = (len(languages), N_PHRASES)
    phrases = languages[:, None] * PHRASES_PER_LANGUAGE
    phrases = phrases + rng.integers(0, PHRASES_PER_LANGUAGE, size=shape)
    spare = np.arange(N_PHRASES) == N_PHRASES - 1
    return np.where(spare & (rng.random(shape) < 0.25), -1, phrases)


def compose_phrases(seed: int) -> pl.Series:
    """Every phrase that texts are made of, language by language."""
    rng = open_stream(seed, "phrases")
    return pl.concat([_compose_language(language, rng) for language in LANGUAGES])


def _compose_language(language: str, rng: np.random.Generator) -> pl.Series:
    n_words = 18 if language in UNSPACED else 10
    words = pl.Series(WORDS[language].split())
    drawn = rng.integers(0, len(words), size=(n_words, PHRASES_PER_LANGUAGE))
    lengths = rng.integers(n_words // 2, n_words + 1, size=PHRASES_PER_LANGUAGE)
    endings = rng.integers(0, len(PHRASE_ENDINGS), size=PHRASES_PER_LANGUAGE)
    columns = [
        pl.select(pl.when(pl.Series(lengths > place)).then(words.gather(row))).to_series()
        for place, row in enumerate(drawn)
    ]
    separator = "" if language in UNSPACED else " "
    phrases = pl.select(pl.concat_str(columns, separator=separator, ignore_nulls=True)).to_series()
    return phrases + pl.Series(PHRASE_ENDINGS).gather(endings)


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
    rates: Rates
    posts_until: Ints  # (n_accounts,) cumulative number of posts outside the operation
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
    return Plan(
        scenario=scenario,
        seed=seed,
        accounts=accounts,
        entities=entities,
        episodes=episodes,
        sources=plan_sources(scenario, entities[KINDS.index("mention")], seed),
        operation=operation,
        posts_until=count_posts(scenario, operation.n_posts, seed),
        rates=balance_rates(scenario, operation, episodes),
        phrases=compose_phrases(seed),
    )


def count_posts(scenario: Scenario, n_operation_posts: int, seed: int) -> Ints:
    """Cumulative posts per account, without the operation's; everyone has at least one."""
    rng = open_stream(seed, "counts")
    share = scenario.camouflage_share
    least = scenario.n_operation if share > 0 else 0
    n_camouflage = max(least, round(n_operation_posts * share / (1 - share)))
    n_left = scenario.n_posts - n_operation_posts - n_camouflage
    if n_left < scenario.n_organic:
        raise ValueError(
            f"n_posts={scenario.n_posts} leaves {n_left} posts to {scenario.n_organic} organic "
            f"accounts after {n_operation_posts} posts and {n_camouflage} camouflage posts of the "
            "operation; raise n_posts, or lower n_accounts, n_plants or camouflage_share"
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


# The posts, chunk by chunk.


@dataclass(frozen=True, slots=True)
class Posts:
    """One chunk of posts as numbers; -1 means none."""

    number: Ints  # of the post in the archive; those of the operation are the smallest
    account: Ints
    time: Ints  # milliseconds since 1970
    slots: tuple[Ints, ...]  # by kind, (n, N_SLOTS): positions in the kind's spellings
    source: Ints  # retweeted or answered post from outside
    plant: Ints  # retweeted post of the operation
    quote: Ints  # quoted post from outside
    retweet: Bools
    phrases: Ints  # (n, N_PHRASES)
    chance: npt.NDArray[np.float64]  # (n, 7) uniform numbers for all that carries no meaning


def find_row_stride(n_posts: int) -> int:
    """Row ``r`` holds post ``r * stride % n_posts``, which spreads every account's posts evenly."""
    golden = int(n_posts * 0.6180339887)
    return next(stride for stride in count(golden + 1) if gcd(stride, n_posts) == 1)


def draw_posts(plan: Plan, chunk: int) -> Posts:
    """Draw one chunk of rows."""
    rng = open_stream(plan.seed, "posts", chunk)
    n_posts = plan.scenario.n_posts
    rows = np.arange(chunk * POSTS_PER_CHUNK, min((chunk + 1) * POSTS_PER_CHUNK, n_posts))
    number = rows * find_row_stride(n_posts) % n_posts
    return _overlay_operation(plan, _draw_organic_posts(plan, number, rng))


def _draw_organic_posts(plan: Plan, number: Ints, rng: np.random.Generator) -> Posts:
    """Draw posts as of unaffiliated accounts; operation posts get placeholders."""
    n, scenario, rates = len(number), plan.scenario, plan.rates
    account = find_interval(plan.posts_until, number - plan.operation.n_posts)
    topics = plan.accounts.topic[account]
    time, slots = _draw_uses(plan, account, topics, rng)
    time = separate_times(time + scenario.start_ms, number, scenario.n_posts)
    answer = rng.random(n)
    retweet = answer < rates.retweet
    source = draw_sources(plan.sources, time, rng)
    quoted = ~retweet & (rng.random(n) < rates.quote)
    return Posts(
        number=number,
        account=account,
        time=time,
        slots=slots,
        source=np.where(answer < rates.retweet + rates.reply, source, -1),
        plant=np.full(n, -1),
        quote=np.where(quoted, draw_sources(plan.sources, time, rng), -1),
        retweet=retweet,
        phrases=draw_phrases(plan.accounts.language[account], rng),
        chance=rng.random((n, 7)),
    )


def _draw_uses(
    plan: Plan, account: Ints, topics: Ints, rng: np.random.Generator
) -> tuple[Ints, tuple[Ints, ...]]:
    """Draw times and entities: an episode sets both, else the account's rhythm and interest."""
    scenario, timezones = plan.scenario, plan.accounts.timezone[account]
    times = draw_times(scenario, timezones, rng)
    kind = np.searchsorted(np.cumsum(plan.rates.episodes), rng.random(len(account)), side="right")
    slots = []
    for position, episodes in enumerate(plan.episodes):
        uses = _draw_slots(plan, position, topics, rng)
        joined = np.flatnonzero(kind == position)
        chosen = draw_episodes(scenario, episodes, topics[joined], rng)
        times[joined] = draw_episode_times(scenario, episodes, chosen, timezones[joined], rng)
        uses[joined, 0] = episodes.entity[chosen]
        slots.append(uses)
    return times, tuple(slots)


def _draw_slots(plan: Plan, position: int, topics: Ints, rng: np.random.Generator) -> Ints:
    """Entities of one kind outside episodes: (n, N_SLOTS), some of them spelt differently."""
    entities, n_slots = plan.entities[position], N_SLOTS[position]
    row, slot = np.nonzero(rng.random((len(topics), n_slots)) < plan.rates.slots[position])
    entity = draw_entities(plan.scenario, entities, topics[row], rng)
    spelling = pick(np.cumsum((8, 1, 1)), len(row), rng)
    uses = np.full((len(topics), n_slots), -1)
    uses[row, slot] = entity + spelling * entities.n
    return uses


def _overlay_operation(plan: Plan, posts: Posts) -> Posts:
    """Put the operation's posts where they belong."""
    operation = plan.operation
    row = np.flatnonzero(posts.number < operation.n_posts)
    post = posts.number[row]
    n_posts = plan.scenario.n_posts
    time = _put(posts.time, row, separate_times(operation.time[post], post, n_posts))
    slots = []
    for position, uses in enumerate(posts.slots):
        planted = np.where(operation.kind[post] == position, operation.entity[post], -1)
        rest = np.full((len(row), uses.shape[1] - 1), -1)
        slots.append(_put(uses, row, np.column_stack([planted, rest])))
    return replace(
        posts,
        account=_put(posts.account, row, operation.account[post]),
        time=time,
        slots=tuple(slots),
        source=_put(posts.source, row, np.full(len(row), -1)),
        plant=_put(posts.plant, row, np.where(operation.retweet[post], operation.origin[post], -1)),
        quote=_put(posts.quote, row, np.full(len(row), -1)),
        retweet=_put(posts.retweet, row, operation.retweet[post]),
        phrases=_put(posts.phrases, row, operation.phrases[post]),
    )


def _put(values: Any, row: Ints, new: Any) -> Any:
    changed = values.copy()
    changed[row] = new
    return changed


# Rendering: numbers to the cells of the 2020-09 release.


def render_posts(plan: Plan, posts: Posts) -> pl.DataFrame:
    """Write out the 30 columns of a tweets file, one row per post."""
    tweet_id = mint_tweet_ids(posts.time, posts.number)
    uses = {
        kind: _gather_slots(entities.spellings, slots)
        for kind, entities, slots in zip(KINDS, plan.entities, posts.slots, strict=True)
    }
    author = _find_authors(plan, posts)
    cells = {
        "tweetid": pl.Series(tweet_id),
        **_render_texts(plan, posts, tweet_id, author, uses),
        **_render_references(plan, posts, author),
        **_render_counts(posts.chance),
        "hashtags": _render_list(uses["hashtag"]),
        "urls": _render_list(uses["url"]),
        "user_mentions": _render_list([author, *uses["mention"]]),
    }
    profile = plan.accounts.profile[posts.account]
    return profile.with_columns(**cells).select(TWEET_COLUMNS)


def _gather(values: pl.Series, positions: Ints) -> pl.Series:
    """Values at positions; null where the position is -1."""
    chosen = pl.select(pl.when(pl.Series(positions >= 0)).then(pl.Series(positions))).to_series()
    return values.gather(chosen)


def _gather_slots(spellings: pl.Series, slots: Ints) -> list[pl.Series]:
    return [_gather(spellings, slots[:, place]) for place in range(slots.shape[1])]


def _join(parts: list[pl.Series], separator: str) -> pl.Series:
    return pl.select(pl.concat_str(parts, separator=separator, ignore_nulls=True)).to_series()


def _render_list(items: list[pl.Series]) -> pl.Series:
    """Cells like ['a', 'b'], and [] without items."""
    cells = "['" + _join(items, "', '") + "']"
    return cells.replace("['']", "[]")


def _find_authors(plan: Plan, posts: Posts) -> pl.Series:
    """Id of the account that each post retweets or answers; null for posts that do neither."""
    mentions = plan.entities[KINDS.index("mention")].spellings
    outside = np.where(posts.source < 0, -1, plan.sources.author[posts.source])
    known = _gather(plan.accounts.ids, _find_known_authors(plan, posts))
    return pl.select(pl.coalesce(known, _gather(mentions, outside))).to_series()


def _render_texts(
    plan: Plan,
    posts: Posts,
    tweet_id: Ints,
    author: pl.Series,
    uses: dict[str, list[pl.Series]],
) -> dict[str, pl.Series]:
    """Text, language, time and client."""
    language = pl.Series(LANGUAGES).gather(plan.accounts.language[posts.account])
    client = np.floor(posts.chance[:, 1] * len(CLIENTS)).astype(np.int64)
    parts = [
        _open_texts(plan, posts, author),
        *_gather_slots(plan.phrases, _find_phrases(plan, posts)),
        *("#" + tag for tag in uses["hashtag"]),
        *("@" + name for name in uses["mention"]),
        *_shorten_urls(tweet_id, uses["url"]),
    ]
    return {
        "tweet_text": _join(parts, " "),
        "tweet_language": language.set(pl.Series(posts.chance[:, 2] < 0.05), "und"),
        "tweet_time": _write_times(posts.time, "%Y-%m-%d %H:%M"),
        "tweet_client_name": pl.Series(CLIENTS).gather(client),
    }


def _open_texts(plan: Plan, posts: Posts, author: pl.Series) -> pl.Series:
    """First words: whom the post retweets or answers; a hostile cell in a few others."""
    hostile = np.floor(posts.chance[:, 1] * len(HOSTILE_CELLS)).astype(np.int64)
    # Copies must keep the wording of what they copy, so the operation opens with none.
    rare = (posts.chance[:, 0] < HOSTILE_SHARE) & (posts.number >= plan.operation.n_posts)
    return pl.select(
        pl.when(pl.Series(posts.retweet))
        .then("RT @" + author + ":")
        .when(author.is_not_null())
        .then("@" + author)
        .otherwise(_gather(pl.Series(HOSTILE_CELLS), np.where(rare, hostile, -1)))
    ).to_series()


def _find_phrases(plan: Plan, posts: Posts) -> Ints:
    """Retweets of posts from outside have those posts' words."""
    retweeted = posts.retweet & (posts.source >= 0)
    return np.where(retweeted[:, None], plan.sources.phrases[posts.source], posts.phrases)


def _shorten_urls(tweet_id: Ints, urls: list[pl.Series]) -> list[pl.Series]:
    """Each use of a URL shows in the text as a short link of its own."""
    code = "https://t.co/" + pl.Series(tweet_id).cast(pl.String).str.slice(8)
    return [
        pl.select(pl.when(url.is_not_null()).then(code + str(place))).to_series()
        for place, url in enumerate(urls)
    ]


def _write_times(times: Ints, form: str) -> pl.Series:
    return pl.Series(times).cast(pl.Datetime("ms")).dt.strftime(form)


def _render_references(plan: Plan, posts: Posts, author: pl.Series) -> dict[str, pl.Series]:
    """Name what the post retweets, answers and quotes; retweeted outsiders stay unnamed."""
    answer = _gather(pl.Series(plan.sources.tweet_id), posts.source)
    retweet, reply = pl.Series(posts.retweet), pl.Series(~posts.retweet)
    known = _gather(plan.accounts.ids, _find_known_authors(plan, posts))
    plant = _gather(pl.Series(_mint_plant_ids(plan)), posts.plant)
    choices: dict[str, pl.Expr | pl.Series] = {
        "in_reply_to_userid": pl.when(reply).then(author),
        "in_reply_to_tweetid": pl.when(reply).then(answer),
        "quoted_tweet_tweetid": _gather(pl.Series(plan.sources.tweet_id), posts.quote),
        "is_retweet": pl.when(retweet).then(pl.lit("true")).otherwise(pl.lit("false")),
        "retweet_userid": pl.when(retweet).then(known),
        "retweet_tweetid": pl.when(retweet).then(pl.coalesce(answer, plant)),
    }
    return pl.select([cells.alias(name) for name, cells in choices.items()]).to_dict()


def _find_known_authors(plan: Plan, posts: Posts) -> Ints:
    """Account of the retweeted or answered author, -1 outside the archive."""
    inside = np.where(posts.source < 0, -1, plan.sources.account[posts.source])
    return np.where(posts.plant < 0, inside, np.r_[plan.operation.account, -1][posts.plant])


def _mint_plant_ids(plan: Plan) -> Ints:
    """Tweet ids of the plants, as their own rows have them."""
    posts = np.arange(plan.operation.n_plants)
    times = separate_times(plan.operation.time[posts], posts, plan.scenario.n_posts)
    return mint_tweet_ids(times, posts)


def _render_counts(chance: npt.NDArray[np.float64]) -> dict[str, pl.Series]:
    """Engagement: mostly nothing, sometimes a lot; no places."""
    names = ("quote_count", "reply_count", "like_count", "retweet_count")
    odds = chance[:, 3:] / (1 - chance[:, 3:])
    counts = np.minimum(odds * (0.05, 0.2, 1.0, 0.5), 100_000).astype(np.int64)
    absent = pl.repeat("absent", len(chance), eager=True)
    engagement = {name: pl.Series(counts[:, place]) for place, name in enumerate(names)}
    return {"latitude": absent, "longitude": absent, **engagement}


# The folder.


@dataclass(frozen=True, slots=True)
class Simulation:
    """A simulated archive on disk."""

    path: Path
    preset: str
    seed: int
    scenario: Scenario
    n_posts: int  # rows of tweets.csv
    n_accounts: int  # rows of users.csv and truth_accounts.parquet
    n_operation_accounts: int
    n_edges: int  # rows of truth_edges.parquet
    n_bytes: int  # of tweets.csv

    @property
    def tweets(self) -> Path:
        """The posts, in the 30 columns of the 2020-09 release."""
        return self.path / "tweets.csv"

    @property
    def users(self) -> Path:
        """Every account's profile, also of those that never post."""
        return self.path / "users.csv"

    @property
    def truth_accounts(self) -> Path:
        """``account_id, label, role, group``."""
        return self.path / "truth_accounts.parquet"

    @property
    def truth_edges(self) -> Path:
        """``source, target``: core accounts and the amplifiers that copied them."""
        return self.path / "truth_edges.parquet"

    def __repr__(self) -> str:
        return (
            f"Simulation({self.preset}, seed {self.seed}: {self.n_posts:,} posts of "
            f"{self.n_accounts:,} accounts, {self.n_operation_accounts:,} in the operation with "
            f"{self.n_edges:,} edges; {self.n_bytes / 1e6:,.1f} MB in {self.path})"
        )


def list_truth_accounts(plan: Plan) -> pl.DataFrame:
    """``account_id, label, role, group`` of every account, by account id; group null outside."""
    scenario = plan.scenario
    account = pl.Series(np.arange(len(plan.accounts.topic)))
    operation = account < scenario.n_operation
    core = account % scenario.group_size < scenario.n_core
    return pl.select(
        account_id=plan.accounts.ids,
        label=pl.when(operation).then(pl.lit("operation")).otherwise(pl.lit("unaffiliated")),
        role=pl.when(~operation)
        .then(pl.lit("organic"))
        .otherwise(pl.when(core).then(pl.lit("core")).otherwise(pl.lit("amplifier"))),
        group=pl.when(operation).then(account // scenario.group_size),
    ).sort("account_id")


def list_truth_edges(plan: Plan) -> pl.DataFrame:
    """``source, target`` of the pairs that were followed, by account ids."""
    source, target = plan.operation.edges.T
    ids = plan.accounts.ids
    edges = pl.DataFrame({"source": ids.gather(source), "target": ids.gather(target)})
    return edges.sort("source", "target")


def _write_tweets(plan: Plan, path: Path, progress: Progress | None) -> None:
    n_posts = plan.scenario.n_posts
    with path.open("wb") as file:
        for chunk in range(-(-n_posts // POSTS_PER_CHUNK)):
            table = render_posts(plan, draw_posts(plan, chunk))
            table.write_csv(file, quote_style="always", include_header=chunk == 0)
            if progress is not None:
                progress("posts", min((chunk + 1) * POSTS_PER_CHUNK, n_posts), n_posts)


def _write_archive(
    plan: Plan, preset: str, folder: Path, progress: Progress | None
) -> dict[str, int]:
    """Write every file; return the sizes."""
    accounts, edges = list_truth_accounts(plan), list_truth_edges(plan)
    _write_tweets(plan, folder / "tweets.csv", progress)
    plan.accounts.profile.sort("userid").write_csv(folder / "users.csv", quote_style="always")
    accounts.write_parquet(folder / "truth_accounts.parquet")
    edges.write_parquet(folder / "truth_edges.parquet")
    sizes = {
        "n_posts": plan.scenario.n_posts,
        "n_accounts": accounts.height,
        "n_operation_accounts": plan.scenario.n_operation,
        "n_edges": edges.height,
        "n_bytes": (folder / "tweets.csv").stat().st_size,
    }
    record = {
        "gpu_coord": __version__,
        "preset": preset,
        "seed": plan.seed,
        "parameters": asdict(plan.scenario),
        "sizes": {**sizes, "n_operation_posts": plan.operation.n_posts},
    }
    write_json(folder / MARKER, record)
    return sizes


def simulate(
    out: str | Path,
    *,
    preset: str = "demo",
    seed: int = 0,
    n_posts: int | None = None,
    progress: Progress | None = None,
    **overrides: Any,
) -> Simulation:
    """Write an archive with a planted operation, and the truth about it.

    The same preset, parameters and seed give the same bytes. Nothing in it is real: what a detector
    scores on it says little about its score on a real archive.

    Parameters
    ----------
    out
        Folder to write; a former simulation is replaced.
    preset
        ``demo`` (five core accounts and 35 amplifiers among 400), ``null`` (the same without an
        operation), ``june2020`` or ``cnhu2021`` (sizes and activity tails of published takedowns).
    seed
        Not negative.
    n_posts
        Scale the preset to this many posts, see :func:`choose_scenario`.
    progress
        Called with the stage, the posts written so far and their total, after each chunk.
    **overrides
        Parameters of :class:`Scenario` by name.

    Raises
    ------
    ValueError
        For parameters that contradict each other.
    FileExistsError
        For a path that holds anything but a former simulation.
    """
    if not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed={seed!r} must be an integer of 0 or more")
    scenario = choose_scenario(preset, n_posts=n_posts, **overrides)
    target = Path(out).resolve()
    plan = plan_archive(scenario, seed)
    with replace_folder(target, MARKER, FILES) as folder:
        sizes = _write_archive(plan, preset, folder, progress)
    return Simulation(target, preset, seed, scenario, **sizes)
