"""Shares -> when objects came to each platform: hops, paths, flows.

In: shares in the order of their time, with platforms as they are written. Out: one row per object
and platform. The one idea: what counts is an object's first share on a platform.
"""

import warnings

import polars as pl


def find_hops(shares: pl.DataFrame) -> pl.DataFrame:
    """Find when each object first appeared on each platform.

    Parameters
    ----------
    shares
        ``object, time`` (ms), ``account, platform`` (null where unknown), in the order of their
        time.

    Returns
    -------
        By object, time and platform: ``object, platform, order`` (1 = first; platforms of the same
        time have the same), ``time, previous`` (ms; of the last earlier appearance on another
        platform, null for the first), ``delay`` (seconds since the object's first share anywhere),
        ``delay_previous, n_shares, n_accounts`` there, ``n_first`` (accounts at the time of the
        first) and ``row`` (of the first share).
    """
    is_first = pl.col("time") == pl.col("time").min()
    begin = shares.group_by("object").agg(begin=pl.col("time").min())
    hops = (
        shares.with_row_index("row")
        .drop_nulls("platform")
        .group_by("object", "platform")
        .agg(
            pl.col("row").min(),
            pl.col("time").min(),
            n_shares=pl.len().cast(pl.Int64),
            n_accounts=pl.col("account").n_unique().cast(pl.Int64),
            n_first=pl.col("account").filter(is_first).n_unique().cast(pl.Int64),
        )
        .join(begin, on="object")
        .join(_list_previous(shares), on=["object", "platform"])
        .sort("object", "time", "platform")
    )
    seconds = {"delay": "begin", "delay_previous": "previous"}
    return hops.select(
        "object", "platform", "time", "previous", "n_shares", "n_accounts", "n_first", "row",
        pl.col("time").rank("min").over("object").cast(pl.Int64).alias("order"),
        *(((pl.col("time") - pl.col(since)) / 1000).alias(name) for name, since in seconds.items()),
    )  # fmt: skip


def _list_previous(shares: pl.DataFrame) -> pl.DataFrame:
    """Return, for each object and platform, the last earlier appearance on another platform."""
    first = shares.drop_nulls("platform").group_by("object", "platform").agg(pl.col("time").min())
    times = first.select("object", "time").unique().sort("object", "time")
    before = times.with_columns(previous=pl.col("time").shift(1).over("object"))
    return first.join(before, on=["object", "time"]).select("object", "platform", "previous")


def write_paths(hops: pl.DataFrame) -> pl.DataFrame:
    """Write the order of platforms as text: ``4chan > twitter = reddit > facebook``.

    Parameters
    ----------
    hops
        From `find_hops`.

    Returns
    -------
        ``object, path``; ``=`` joins platforms of the same time. A name that holds a sign that
        could be taken for one of a path stands in double quotes.
    """
    name = pl.col("platform")
    is_plain = ~name.str.contains(r'[>="]') & (name == name.str.strip_chars())
    quoted = pl.concat_str(pl.lit('"'), name.str.replace_all('"', '""', literal=True), pl.lit('"'))
    steps = hops.group_by("object", "order", maintain_order=True).agg(
        step=pl.when(is_plain).then(name).otherwise(quoted).str.join(" = ")
    )
    paths = steps.sort("object", "order").group_by("object", maintain_order=True)
    return paths.agg(path=pl.col("step").str.join(" > "))


def count_flows(hops: pl.DataFrame) -> pl.DataFrame:
    """Count the objects that came from one platform to the next, and how long they took.

    Parameters
    ----------
    hops
        From `find_hops`.

    Returns
    -------
        Most objects first: ``source_platform, target_platform`` (the next that the object appeared
        on), ``n_objects`` and quantiles of the delay in seconds, ``low_delay`` (a quarter),
        ``median_delay, high_delay``.
    """
    left = hops.select("object", source_platform="platform", previous="time")
    pairs = hops.drop_nulls("previous").join(left, on=["object", "previous"])
    quantiles = {"low_delay": 0.25, "median_delay": 0.5, "high_delay": 0.75}
    flows = pairs.group_by("source_platform", target_platform="platform").agg(
        n_objects=pl.len().cast(pl.Int64),
        **{
            column: pl.col("delay_previous").quantile(quantile, "linear")
            for column, quantile in quantiles.items()
        },
    )
    names = ["source_platform", "target_platform"]
    return flows.sort("n_objects", *names, descending=[True, False, False]).select(
        *names, "n_objects", *quantiles
    )


def warn_of_spellings(platforms: pl.Series) -> None:
    """Say where two platforms differ by case or white space only: they are kept apart."""
    from gpu_coord.ground.terminal import clean

    named = platforms.unique().drop_nulls().sort()
    folded = pl.DataFrame({"name": named, "folded": named.str.strip_chars().str.to_lowercase()})
    alike = folded.filter(pl.col("folded").is_duplicated()).sort("folded", "name")["name"]
    if alike.len():
        listed = ", ".join(f"‘{clean(name)}’" for name in alike.head(6))
        warnings.warn(
            f"platforms are taken as they are written, so these are different ones: {listed}; "
            "ingest with one spelling if they are the same.",
            stacklevel=2,
        )
