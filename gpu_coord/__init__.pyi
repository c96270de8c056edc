"""Types of the public names; ``python docs/reference.py`` writes them."""

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Optional

from distributed import Client
from narwhals.typing import IntoFrame
from polars import DataFrame

from gpu_coord.activity.cells import Activity
from gpu_coord.archive.ingest import AnyPath
from gpu_coord.backend import Backend
from gpu_coord.model.influence import InfluenceModel as InfluenceModel
from gpu_coord.reports.explorer import Explorer
from gpu_coord.results.clock import Progress
from gpu_coord.results.findings import Findings
from gpu_coord.simulation.simulation import Simulation
from gpu_coord.store.store import Store

__version__: str
__all__: list[str]

def ingest(
    paths: Sequence[AnyPath] | AnyPath | IntoFrame,
    store: AnyPath | None = None,
    *,
    pseudonym_key: bytes | None = None,
    labels: AnyPath | IntoFrame | None = None,
    same_person: AnyPath | IntoFrame | None = None,
    label: Mapping[str, AnyPath | IntoFrame] | Sequence[tuple[str, AnyPath | IntoFrame]] | None = None,
    add: bool = False,
    overwrite: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
    format: Literal['auto', 'x-archive', 'shares', 'crowdtangle', 'exports'] = 'auto',
    map: Mapping[str, str] | Sequence[str] | str | None = None,
    split: str = ',',
    time_format: str | None = None,
    max_rejects: float = 0.5,
    exclude: Sequence[str] | str = (),
    url_rule: Literal['canonical', 'paper'] = 'canonical',
    time: Literal['auto', 'stamp'] = 'auto',
    texts: bool = False,
) -> Store:
    """Read archives into a store folder.

    Parameters
    ----------
    paths
        Files and folders, recognised by their content (see ``docs/reading.md``); or a data frame
        (Polars, pandas, Arrow, DuckDB, ...).
    store
        The folder to write; a store of the same inputs, read in the same way, is returned as it
        is, anything else is refused. Without it a temporary one is there as long as what is
        returned, whose `save` keeps it.
    pseudonym_key
        Replaces account ids, and entities that are accounts (kind ``mention`` and kinds that end
        in ``_user``), by 32 hexadecimal digits of HMAC-SHA256; the key itself is not stored. So
        are the content ids of CrowdTangle exports: addresses, which name the account.
    labels
        Table (CSV, Parquet or data frame) of ``account_id`` (as in the archive) and ``label``.
    same_person
        Table (CSV, Parquet or data frame) of ``account_id`` and ``person``, perhaps ``platform``:
        the accounts of one person are one account of the store, named as the person is.
    label
        Label -> file, folder or data frame, which is read too: the label of all its accounts.
        Pairs of label and path where a label has several.
    add
        Add the inputs to the store that is there, whose own are not read again: it then is that of
        one ingest of the old inputs and the new, in this order (``docs/reading.md`` says how far).
        The choices, the key, the labels and the persons must be those of the store. Inputs that it
        holds are left out, with a warning.
    overwrite
        Read anew, and replace any store that is there once the new one is complete.
    progress
        Called with the stage, and how much of how much is done (bytes).
    format
        What the files are. auto accepts any, but not two sorts together.
    map
        What columns mean, such as account_id=author,object_id=link,timestamp_share=created_at.
        field=column, of all files; in Python also a mapping. The fields are those of a share
        table (object_id, kind), or of posts: hashtags, urls, mentions, objects, retweet, reply,
        quote, text, is_retweet, likes, replies, retweets, quotes.
    split
        Between the items of a list cell without brackets.
    time_format
        How times are written where they are no seconds or ISO 8601, such as %d/%m/%Y %H:%M. As
        of strptime; UTC where it has no %z. For share tables, exports and mapped tables.
    max_rejects
        Share of rows set aside above which nothing is stored, and why is said.
    exclude
        Entities to leave out, such as search terms. Hashtags, mentions, URLs or hosts, whose
        events are dropped and counted; upper and lower case are equal, #tag also means tag, and
        a host (a term with a dot) also means what is under it.
    url_rule
        What makes two URLs the same. See `gpu_coord.ground.urls`; URLs of share tables are
        taken as they are.
    time
        Time from the tweet id where it agrees, or the stamp. auto takes the milliseconds from a
        tweetid whose minute is that of tweet_time; stamp always takes tweet_time.
    texts
        Keep what posts say, for similarity of texts. Normalised, in the table texts; under a
        key without the names behind @.

    Raises
    ------
    ArchiveError
        An input is broken, not UTF-8, or no archive; or labels contradict each other.
    FileExistsError
        ``store`` exists and is no store, or one of other inputs or choices.
    ValueError
        A choice is not one of those above, or texts are to be kept of a share table.

    Warns
    -----
    UserWarning
        The inputs hold no post and no share at all, or texts are kept under a key; the store is
        written.
    """

def open_store(
    path: Store | Path | str,
) -> Store:
    """Open a store folder; a store that is open already comes back as it is.

    Raises
    ------
    FileNotFoundError
        There is no such folder, or one of its files is missing.
    ValueError
        The folder is no store, or one of a later version.
    """

def build_activity(
    store: Store | Path | str,
    *,
    labels: DataFrame | None = None,
    backend: Backend | None = None,
    start: str | None = None,
    end: str | None = None,
    kinds: Sequence[str] | str | None = None,
    bin: str = '1h',
    min_posts: int = 1,
    top_percent: float = 100.0,
    seed: int = 0,
    match: str | None = None,
) -> Activity:
    """Bin a store's events into active (entity, bin, account) cells.

    Kinds that the store lacks are left out with a warning; ``domain`` is derived from ``url`` where
    the store has no domain events of its own. Bins are multiples of their width since the epoch,
    UTC. Of the accounts with the most posts, the share is rounded up, with ties by account id.

    Parameters
    ----------
    store
        From `ingest` or `open_store`, or its folder.
    labels
        Columns account_id, label, in the place of the store's own labels.
    backend
        Where to compute; the default is `gpu_coord.backend.choose`'s.
    start
        First time, ISO 8601, UTC.
    end
        Time before which to stop.
    kinds
        Kinds of entity, by commas (hashtag,url,mention). All kinds of a store that lacks one of
        these.
    bin
        Width of a time bin, like 1h or 15m.
    min_posts
        Leave out accounts with fewer posts.
    top_percent
        Keep the top percent of accounts by posts.
    seed
        Same seed, same result.
    match
        Keep accounts of this label, as many others by lot.

    Raises
    ------
    ValueError
        A setting is out of range, or nothing is left to analyse.
    """

def transition_matrices(
    active: Any,
    lag: int = 1,
    *,
    backend: Backend | None = None,
) -> Any:
    """Return the 2x2 transition matrix of every ordered pair of accounts, for many entities.

    Parameters
    ----------
    active
        0/1 activity, (..., n_accounts, n_bins), as from `Activity.tensor`.
    lag
        Bins from the source's state to the target's; 0 compares the same bin.
    backend
        Where to compute; the default is `gpu_coord.backend.choose`'s.

    Returns
    -------
        (..., n_accounts, n_accounts, 2, 2); ``[i, j, a, b]`` = P(j is b at k | i is a at k - lag),
        written A_ij in Asavathiratham (2000). A row is NaN where i was never in state a.

    Raises
    ------
    ValueError
        A value is not 0 or 1, or the lag leaves no transition.

    Examples
    --------
    >>> leader, follower = [1, 0, 0, 1, 0], [0, 1, 0, 0, 1]
    >>> transition_matrices([leader, follower])[0, 1].tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

def detect(
    store: Store | Path | str | IntoFrame,
    out: Path | str | None = None,
    *,
    graphs: bool = False,
    map: Mapping[str, str] | None = None,
    labels: IntoFrame | Path | str | None = None,
    overwrite: bool = False,
    backend: Backend | None = None,
    memory: int | None = None,
    dask: str | Client | None = None,
    exchange: str | None = None,
    progress: Progress | None = None,
    start: str | None = None,
    end: str | None = None,
    kinds: Sequence[str] | str | None = None,
    bin: str = '1h',
    min_posts: int = 1,
    top_percent: float = 100.0,
    seed: int = 0,
    match: str | None = None,
    lags: Sequence[int] = (),
    null: Literal['popularity', 'entity', 'hour', 'day', 'six_hours', 'one_hour'] = 'day',
    alpha: float = 0.05,
    groups: int = 4,
    tier: Literal['auto', 'beyond_news', 'beyond_habit'] = 'auto',
    reference: str | None = None,
    measure: Literal['trace', 'frobenius'] = 'trace',
    undefined: Literal['marginal', 'zero', 'skip'] = 'marginal',
    denominator: Literal['all', 'union', 'intersection', 'source', 'idf', 'none'] = 'all',
    shrink: float = 0.0,
    resolution: float = 1.0,
    backbone: str | None = None,
    split_at: str | None = None,
    min_support: int = 1,
    min_weight: float = 0.0,
    paper: bool = False,
) -> Findings:
    """Find the coordination network of a store, and write it as a run folder.

    Parameters
    ----------
    store
        A store, its folder, or a table of shares or posts as `ingest` takes it: a file or a
        data frame (Polars, pandas, Arrow, DuckDB, ...).
    out
        The folder to write; one that the same command made of the same with the same choices is
        returned as it is, anything else is refused. Without it a temporary one is there as long
        as what is returned, whose `save` keeps it.
    graphs
        Write GraphML and GEXF of the network even above 200,000 edges.
    map
        What the columns of a data frame mean, field -> column, of all that count, as of
        `ingest`; by default they are taken by their names.
    labels
        Columns account_id, label, in the place of the store's own labels: a data frame, or a
        CSV or Parquet file.
    overwrite
        Compute anew, and replace any result that is there.
    backend
        Where to compute; the default is `gpu_coord.backend.choose`'s.
    memory
        Bytes that the process may hold; by default nine tenths of what is free, within the
        limits of the machine, its container and its shell. What will not fit is refused before
        it is begun. Results do not depend on it.
    dask
        Whose workers do the blocks: `local` for a process on each core, the address of a
        scheduler, or a client of Dask.
    exchange
        The folder, or its address, in which they get their work; one beside the result by
        default.
    progress
        Called with the stage, the work done and the work in all.
    start
        First time, ISO 8601, UTC.
    end
        Time before which to stop.
    kinds
        Kinds of entity, by commas (hashtag,url,mention). All kinds of a store that lacks one of
        these.
    bin
        Width of a time bin, like 1h or 15m.
    min_posts
        Leave out accounts with fewer posts.
    top_percent
        Keep the top percent of accounts by posts.
    seed
        Same seed, same result.
    match
        Keep accounts of this label, as many others by lot.
    lags
        Bins from source to target, each scored on its own (0 and 1; with paper 1).
    null
        What chance leaves as it is. In each account's activity.
    alpha
        Share of false findings to accept. The false discovery rate.
    groups
        Groups to look for on each half of days; 0: none. The slowest stage.
    tier
        Which edges make the network. Those beyond the two accounts' habits, or also beyond the
        news; auto: the latter where it can be told from coordination.
    reference
        Label of control accounts, for what the news does. 'unlabelled': those without. Their
        pairs say how much the news does, in the place of the pairs that met once.
    measure
        How a matrix becomes a weight.
    undefined
        What becomes of entities the source never used.
    denominator
        Which entities the mean is over.
    shrink
        Pseudo-transitions at the target's own rate.
    resolution
        Of the communities: a larger value makes more and smaller ones.
    backbone
        Draw the edges alone that stand out: disparity, best:10. For one of their ends:
        disparity or disparity:0.01, best or best:10. All edges are drawn by default, and the
        findings rest on all.
    split_at
        Also analyse before this time, and from it on.
    min_support
        Least lagged coincidences of an edge.
    min_weight
        An edge's weight lies above this.
    paper
        Skip significance: every edge is in the network.

    Raises
    ------
    ValueError
        A setting is out of range, or nothing is left to analyse.
    """

def share(
    store: Store | Path | str | IntoFrame,
    out: Path | str | None = None,
    *,
    objects: DataFrame | None = None,
    graphs: bool = False,
    map: Mapping[str, str] | None = None,
    labels: IntoFrame | Path | str | None = None,
    overwrite: bool = False,
    backend: Backend | None = None,
    memory: int | None = None,
    dask: str | Client | None = None,
    exchange: str | None = None,
    progress: Progress | None = None,
    kinds: Sequence[str] | str | None = None,
    null: Literal['popularity', 'entity', 'hour', 'day', 'six_hours', 'one_hour'] = 'day',
    alpha: float = 0.05,
    tier: Literal['auto', 'beyond_news', 'beyond_habit'] = 'auto',
    reference: str | None = None,
    start: str | None = None,
    end: str | None = None,
    seed: int = 0,
    resolution: float = 1.0,
    backbone: str | None = None,
    window: str = '60s',
    min_participation: int = 1,
    mode: Literal['strict', 'coortweet', 'coornet', 'qut'] = 'strict',
    edge_weight_quantile: float | None = None,
    min_weight: float | None = None,
    fast_window: str | None = None,
    subgraph: int = 0,
    tests: bool = True,
    intervals: bool = False,
    compare: bool = False,
) -> Findings:
    """Find who shared the same things within a window, and write it as a run folder.

    Parameters
    ----------
    store
        A store, its folder, or a table of shares or posts as `ingest` takes it: a file or a
        data frame (Polars, pandas, Arrow, DuckDB, ...).
    out
        The folder to write; one that the same command made of the same with the same choices is
        returned as it is, anything else is refused. Without it a temporary one is there as long
        as what is returned, whose `save` keeps it.
    objects
        Columns kind, value: look at the shares of these objects only.
    graphs
        Write GraphML and GEXF of the network even above 200,000 edges.
    map
        What the columns of a data frame mean, field -> column, of all that count, as of
        `ingest`; by default they are taken by their names.
    labels
        Columns account_id, label, in the place of the store's own labels: a data frame, or a
        CSV or Parquet file.
    overwrite
        Compute anew, and replace any result that is there.
    backend
        Where the network is labelled; pairs are found on the CPU.
    memory
        Bytes that the process may hold; by default nine tenths of what is free. All pairs of the
        busiest account are weighed at once, whatever this is. Some 700 bytes for each share and
        350 for each edge must fit, else they are refused.
    dask
        Whose workers do the blocks: `local` for a process on each core, the address of a
        scheduler, or a client of Dask.
    exchange
        The folder, or its address, in which they get their work; one beside the result by
        default.
    progress
        Called with the stage, the work done and the work in all.
    kinds
        Kinds of object, by commas (url). All kinds of a store that lacks url.
    null
        What chance leaves as it is. In each account's activity.
    alpha
        Share of false findings to accept. The false discovery rate.
    tier
        Which edges make the network. Those beyond the two accounts' habits, or also beyond the
        news; auto: the latter where it can be told from coordination.
    reference
        Label of control accounts, for what the news does. 'unlabelled': those without. Their
        pairs say how much the news does, in the place of the pairs that met once.
    start
        First time, ISO 8601, UTC.
    end
        Time before which to stop.
    seed
        Same seed, same result.
    resolution
        Of the communities: a larger value makes more and smaller ones.
    backbone
        Draw the edges alone that stand out: disparity, best:10. For one of their ends:
        disparity or disparity:0.01, best or best:10. All edges are drawn by default, and the
        findings rest on all.
    window
        Longest gap of a pair, included, like 60s; or auto. auto estimates it. Of several, like
        10s,60s, the longest; the others are counted beside it.
    min_participation
        Leave out accounts with fewer such events.
    mode
        Whose rules. strict is ours; others are another tool's, quirks and all.
    edge_weight_quantile
        Quantile of the weights that an edge has to reach.
    min_weight
        Least weight of an edge.
    fast_window
        Shorter window of coortweet's fast network.
    subgraph
        Part of coortweet's network to take, 1 to 3.
    tests
        Test each edge against chance (mode strict); only significant ones are in the network.
    intervals
        Also tabulate what window the data suggest.
    compare
        Also list what the mode changes against strict.

    Raises
    ------
    ValueError
        A setting is out of range, or nothing is left to analyse.
    """

def coact(
    store: Store | Path | str | IntoFrame,
    out: Path | str | None = None,
    *,
    graphs: bool = False,
    map: Mapping[str, str] | None = None,
    labels: IntoFrame | Path | str | None = None,
    overwrite: bool = False,
    backend: Backend | None = None,
    memory: int | None = None,
    dask: str | Client | None = None,
    exchange: str | None = None,
    progress: Progress | None = None,
    null: Literal['popularity', 'entity', 'hour', 'day', 'six_hours', 'one_hour'] = 'day',
    alpha: float = 0.05,
    tier: Literal['auto', 'beyond_news', 'beyond_habit'] = 'auto',
    reference: str | None = None,
    start: str | None = None,
    end: str | None = None,
    seed: int = 0,
    resolution: float = 1.0,
    backbone: str | None = None,
    window: str = '60s',
    min_participation: int = 1,
    layers: Sequence[str] | str = ('co_retweet', 'co_url', 'co_hashtag', 'co_object'),
    merge: Literal['union', 'intersection', 'fused'] = 'union',
    min_layers: int = 1,
    min_weight: int = 1,
    min_tags: int = 5,
    similarity: float = 0.8,
    neighbours: int = 10,
    idf: Literal['smooth', 'plain'] = 'smooth',
) -> Findings:
    """Find who does the same things at about the same time, layer by layer, and merge the layers.

    Parameters
    ----------
    store
        A store, its folder, or a table of shares or posts as `ingest` takes it: a file or a
        data frame (Polars, pandas, Arrow, DuckDB, ...).
    out
        The folder to write; one that the same command made of the same with the same choices is
        returned as it is, anything else is refused. Without it a temporary one is there as long
        as what is returned, whose `save` keeps it.
    graphs
        Write GraphML and GEXF of the network even above 200,000 edges.
    map
        What the columns of a data frame mean, field -> column, of all that count, as of
        `ingest`; by default they are taken by their names.
    labels
        Columns account_id, label, in the place of the store's own labels: a data frame, or a
        CSV or Parquet file.
    overwrite
        Compute anew, and replace any result that is there.
    backend
        Where the network is labelled; pairs are found on the CPU.
    memory
        As of `share`; edges take 100 bytes each in each layer; of texts, see
        `gpu_coord.sharing.texts.find_similar`.
    dask
        Whose workers do the blocks: `local` for a process on each core, the address of a
        scheduler, or a client of Dask.
    exchange
        The folder, or its address, in which they get their work; one beside the result by
        default.
    progress
        Called with the stage, the work done and the work in all.
    null
        What chance leaves as it is. In each account's activity.
    alpha
        Share of false findings to accept. The false discovery rate.
    tier
        Which edges make the network. Those beyond the two accounts' habits, or also beyond the
        news; auto: the latter where it can be told from coordination.
    reference
        Label of control accounts, for what the news does. 'unlabelled': those without. Their
        pairs say how much the news does, in the place of the pairs that met once.
    start
        First time, ISO 8601, UTC.
    end
        Time before which to stop.
    seed
        Same seed, same result.
    resolution
        Of the communities: a larger value makes more and smaller ones.
    backbone
        Draw the edges alone that stand out: disparity, best:10. For one of their ends:
        disparity or disparity:0.01, best or best:10. All edges are drawn by default, and the
        findings rest on all.
    window
        Longest gap of a pair, included, in layers without their own.
    min_participation
        Leave out accounts with fewer such events.
    layers
        Ways to act alike, by commas, like co_url,similar_text. co_<kind> of any kind in the
        store, like co_url, or co_url:10s with a window of its own; co_hashtag_sequence: the
        same hashtags in the same order; similar_text: near-duplicate texts, of a store with
        texts; fast_retweet: from the author of a post to who retweeted it within seconds;
        similar_<kind>: the accounts most similar to each by what they shared at any time, TF-
        IDF cosine; jaccard_<kind>: the same by their weighted Jaccard index. The last two are
        rankings, not tests.
    merge
        Edges of any layer, of all, or those that all layers' tests support.
    min_layers
        Least layers of an edge.
    min_weight
        Least distinct objects of an edge in a layer.
    min_tags
        Least hashtags of a post, for it to be a sequence.
    similarity
        Least Jaccard index of similar texts, 0.5 to 1.
    neighbours
        Most similar accounts of each (similar_, jaccard_).
    idf
        What an object counts in these. smooth: log((1 + n) / (1 + d)) + 1; plain: log(n / d),
        of n accounts of which d shared it.

    Raises
    ------
    ValueError
        A setting is out of range, nothing is left to analyse, or texts are asked for that the
        store does not keep.
    """

def run_cycle(
    store: Store | Path | str | IntoFrame,
    seeds: Path | str | Sequence[str] | DataFrame,
    out: Path | str | None = None,
    *,
    graphs: bool = False,
    map: Mapping[str, str] | None = None,
    labels: IntoFrame | Path | str | None = None,
    overwrite: bool = False,
    backend: Backend | None = None,
    memory: int | None = None,
    progress: Progress | None = None,
    kinds: Sequence[str] | str | None = None,
    null: Literal['popularity', 'entity', 'hour', 'day', 'six_hours', 'one_hour'] = 'day',
    alpha: float = 0.05,
    tier: Literal['auto', 'beyond_news', 'beyond_habit'] = 'auto',
    reference: str | None = None,
    start: str | None = None,
    end: str | None = None,
    seed: int = 0,
    resolution: float = 1.0,
    backbone: str | None = None,
    window: str = '60s',
    min_participation: int = 1,
    mode: Literal['strict', 'coortweet', 'coornet', 'qut'] = 'strict',
    edge_weight_quantile: float | None = None,
    min_weight: float | None = 2,
    fast_window: str | None = None,
    subgraph: int = 0,
    tests: bool = False,
    intervals: bool = False,
    compare: bool = False,
    min_sharers: int = 2,
    max_popularity: int | None = None,
    max_rounds: int = 10,
) -> Findings:
    """Follow objects to the accounts that share them together, these to their objects, and so on.

    In each round `share` looks at the objects known so far; the accounts of its network are found;
    what ``min_sharers`` of all accounts found have shared, at any time, is looked at from the next
    round on. It ends with a round that brings no new account or no new object. A window ``auto``
    is estimated once, on all shares of these kinds, and rounded up to seconds. Seeds without a kind
    are looked for in all kinds that are followed. All shares of the kinds are read once, as by a
    `share` of everything.

    Parameters
    ----------
    store
        A store, its folder, or a table of shares or posts as `ingest` takes it: a file or a
        data frame (Polars, pandas, Arrow, DuckDB, ...).
    seeds
        What to begin with, see `read_seeds`.
    out
        The folder to write; one that the same command made of the same with the same choices is
        returned as it is, anything else is refused. Without it a temporary one is there as long
        as what is returned, whose `save` keeps it.
    graphs
        Write GraphML and GEXF of the network even above 200,000 edges.
    map
        What the columns of a data frame mean, field -> column, of all that count, as of
        `ingest`; by default they are taken by their names.
    labels
        Columns account_id, label, in the place of the store's own labels: a data frame, or a
        CSV or Parquet file.
    overwrite
        Compute anew, and replace any result that is there.
    backend
        Where to compute; the default is `gpu_coord.backend.choose`'s.
    memory
        Bytes that the process may hold; by default nine tenths of what is free, within the
        limits of the machine, its container and its shell. What will not fit is refused before
        it is begun. Results do not depend on it.
    progress
        Called with the stage, the work done and the work in all.
    kinds
        Kinds of object, by commas (url). All kinds of a store that lacks url.
    null
        What chance leaves as it is. In each account's activity.
    alpha
        Share of false findings to accept. The false discovery rate.
    tier
        Which edges make the network. Those beyond the two accounts' habits, or also beyond the
        news; auto: the latter where it can be told from coordination.
    reference
        Label of control accounts, for what the news does. 'unlabelled': those without. Their
        pairs say how much the news does, in the place of the pairs that met once.
    start
        First time, ISO 8601, UTC.
    end
        Time before which to stop.
    seed
        Same seed, same result.
    resolution
        Of the communities: a larger value makes more and smaller ones.
    backbone
        Draw the edges alone that stand out: disparity, best:10. For one of their ends:
        disparity or disparity:0.01, best or best:10. All edges are drawn by default, and the
        findings rest on all.
    window
        Longest gap of a pair, included, like 60s; or auto. auto estimates it. Of several, like
        10s,60s, the longest; the others are counted beside it.
    min_participation
        Leave out accounts with fewer such events in a round.
    mode
        Whose rules. strict is ours; others are another tool's, quirks and all.
    edge_weight_quantile
        Quantile of the weights that an edge has to reach.
    min_weight
        Least weight of an edge.
    fast_window
        Shorter window of coortweet's fast network.
    subgraph
        Part of coortweet's network to take, 1 to 3.
    tests
        Test each edge against chance (mode strict); only significant ones are in the network.
    intervals
        Also tabulate what window the data suggest.
    compare
        Also list what the mode changes against strict.
    min_sharers
        Sharers found that an object to follow has.
    max_popularity
        Do not follow what more accounts, of all, share.
    max_rounds
        Rounds at most.

    Raises
    ------
    ArchiveError
        The file of seeds cannot be read as such.
    ValueError
        A setting is out of range, or no seed was shared in the time range.

    Source
    ------
    Giglietto et al. (2020), doi:10.1080/1369118X.2020.1739732; the archive takes the place of an
    API, so what was never collected is not reached.
    """

def fit_model(
    store: Store | Path | str | IntoFrame,
    out: Path | str | None = None,
    *,
    candidates: Findings | Path | str | None = None,
    map: Mapping[str, str] | None = None,
    labels: IntoFrame | Path | str | None = None,
    overwrite: bool = False,
    backend: Backend | None = None,
    memory: int | None = None,
    progress: Progress | None = None,
    start: str | None = None,
    end: str | None = None,
    kinds: Sequence[str] | str | None = None,
    bin: str = '1h',
    min_posts: int = 1,
    top_percent: float = 100.0,
    emission: Literal['copy', 'tied', 'plugin'] = 'copy',
    background: bool = True,
    min_support: int = 2,
    teleport: float = 0.1,
    tolerance: float = 0.01,
    max_iterations: int = 100,
) -> Findings:
    """Learn who takes whose activity in a store, and score its accounts.

    Parameters
    ----------
    store
        A store, its folder, or a table of shares or posts as `ingest` takes it: a file or a
        data frame (Polars, pandas, Arrow, DuckDB, ...).
    out
        The folder to write; one that the same command made of the same with the same choices is
        returned as it is, anything else is refused. Without it a temporary one is there as long
        as what is returned, whose `save` keeps it.
    candidates
        A run: the accounts of its network's edges may explain each other, in the direction of the
        edges, and nobody else. By default all pairs with ``min_support`` coincidences may.
    map
        What the columns of a data frame mean, field -> column, of all that count, as of
        `ingest`; by default they are taken by their names.
    labels
        Columns account_id, label, in the place of the store's own labels: a data frame, or a
        CSV or Parquet file.
    overwrite
        Compute anew, and replace any result that is there.
    backend
        Where to compute; the default is `gpu_coord.backend.choose`'s.
    memory
        Bytes that the process may hold; by default nine tenths of what is free, within the
        limits of the machine, its container and its shell. What will not fit is refused before
        it is begun. Results do not depend on it.
    progress
        Called with the stage, the work done and the work in all.
    start
        First time, ISO 8601, UTC.
    end
        Time before which to stop.
    kinds
        Kinds of entity, by commas (hashtag,url,mention). All kinds of a store that lacks one of
        these.
    bin
        Width of a time bin, like 1h or 15m.
    min_posts
        Leave out accounts with fewer posts.
    top_percent
        Keep the top percent of accounts by posts.
    emission
        What accounts pass on; plugin overstates influence.
    background
        Learn what accounts do of themselves, too.
    min_support
        Without a run: least lagged coincidences of a pair.
    teleport
        Of the influence pi: the chance to go on anywhere.
    tolerance
        Nats of likelihood that may be missing, for each account.
    max_iterations
        Steps of learning a row at most.

    Raises
    ------
    ValueError
        A setting is out of range, nothing is left to analyse, or the run has no significant edges.
    """

def assign_roles(
    run: Findings | Path | str,
    store: Store | Path | str | None = None,
    *,
    model: Path | str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    wave: str | None = '6h',
    min_earliness: float = 2.0,
    min_direction: float = 2.0,
    min_followers: int = 3,
    min_participation: float = 0.62,
) -> Findings:
    """Say which part each account plays in a run; ``accounts.parquet`` gets the columns.

    The run folder is replaced as a whole by one with the new table; all other files stay as they
    are. Roles that it already has are replaced, and the same choices give the same bytes.

    Parameters
    ----------
    run
        A run of `detect` or `share`, or its folder.
    store
        What the run was made from; by default the folder of that name beside the run.
    model
        A folder of `gpu-coord model` on the same store, for immigrant ratios and caused events.
    progress
        Called with the stage, the work done and the work in all.
    wave
        Silence of an object that ends its wave; None: one wave each.
    min_earliness
        A catalyst's earliness z lies above this.
    min_direction
        Leaders' direction z lies above it, amplifiers' below minus it.
    min_followers
        Accounts that a core account leads, at least.
    min_participation
        A bridge's participation lies above this.

    Raises
    ------
    ValueError
        A choice is out of range, the store or model is not that of the run, or the run is one of
        another command.
    """

def trace_cascades(
    store: Store | Path | str | IntoFrame,
    out: Path | str | None = None,
    *,
    run: Findings | Path | str | None = None,
    inside: str | Collection[str] | None = None,
    map: Mapping[str, str] | None = None,
    labels: IntoFrame | Path | str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    group: int | None = None,
    group_by: Literal['auto', 'group', 'component', 'community'] = 'auto',
    kinds: Sequence[str] | str | None = None,
    start: str | None = None,
    end: str | None = None,
    min_shares: int = 2,
    min_followers: int = 0,
    window: str = '1h',
    reach: str = '12h',
    min_adopters: int = 10,
    early: float = 0.25,
    alpha: float = 0.05,
) -> Findings:
    """Write how the objects of a store spread: platforms, escape from a group, catalysts.

    Parameters
    ----------
    store
        A store, its folder, or a table of shares or posts as `ingest` takes it: a file or a
        data frame (Polars, pandas, Arrow, DuckDB, ...).
    out
        The folder to write; one that the same command made of the same with the same choices is
        returned as it is, anything else is refused. Without it a temporary one is there as long
        as what is returned, whose `save` keeps it.
    run
        The run whose groups say which accounts are inside, see `read_inside`.
    inside
        In the place of a run: the label of the accounts inside, or their ids.
    map
        What the columns of a data frame mean, field -> column, of all that count, as of
        `ingest`; by default they are taken by their names.
    labels
        Columns account_id, label, in the place of the store's own labels: a data frame, or a
        CSV or Parquet file.
    overwrite
        Compute anew, and replace any result that is there.
    progress
        Called with the stage, the work done and the work in all.
    group
        The one group of the run that is inside (all).
    group_by
        Groups of the run; auto: confirmed ones, or communities.
    kinds
        Kinds of object, by commas (url). All kinds of a store that lacks url.
    start
        First time, ISO 8601, UTC.
    end
        Time before which to stop.
    min_shares
        Leave out objects with fewer shares.
    min_followers
        Followers that the first adopter outside needs.
    window
        How long after a share adoptions follow it, like 1h.
    reach
        How far around an early share the object's own rate is taken.
    min_adopters
        Objects with fewer accounts are not tested.
    early
        Part of an object's accounts that is early, up to 0.5.
    alpha
        Share of false findings to accept. The false discovery rate.

    Raises
    ------
    ValueError
        A setting is out of range, nothing is left, or nobody is inside.
    """

def compare_cohorts(
    store: Store | Path | str | IntoFrame,
    out: Path | str | None = None,
    *,
    run: Findings | Path | str | None = None,
    map: Mapping[str, str] | None = None,
    labels: IntoFrame | Path | str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    by: Literal['auto', 'label', 'group', 'component', 'community', 'role'] = 'auto',
    controls: str | None = None,
    period: Literal['day', 'week', 'month'] = 'week',
    min_accounts: int = 5,
    alpha: float = 0.05,
) -> Findings:
    """Write when the accounts of each class were made, and how they differ from the others.

    Parameters
    ----------
    store
        A store, its folder, or a table of shares or posts as `ingest` takes it: a file or a
        data frame (Polars, pandas, Arrow, DuckDB, ...).
    out
        The folder to write; one that the same command made of the same with the same choices is
        returned as it is, anything else is refused. Without it a temporary one is there as long
        as what is returned, whose `save` keeps it.
    run
        A run on that store, for its groups; only its accounts take part.
    map
        What the columns of a data frame mean, field -> column, of all that count, as of
        `ingest`; by default they are taken by their names.
    labels
        Columns account_id, label, in the place of the store's own labels: a data frame, or a
        CSV or Parquet file.
    overwrite
        Compute anew, and replace any result that is there.
    progress
        Called with the stage, the work done and the work in all.
    by
        What makes a class; auto: label, or of a run groups or communities.
    controls
        Label to compare with (all who are not in the class).
    period
        What creation dates are counted by.
    min_accounts
        Leave out smaller classes.
    alpha
        Share of false findings to accept. The false discovery rate.

    Raises
    ------
    ValueError
        A setting is out of range, no creation date is known, or no class has enough accounts.
    """

def simulate(
    out: str | Path | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    seed: int = 0,
    preset: str = 'demo',
    n_posts: int | None = None,
    format: Literal['csv', 'csv.gz', 'shares.csv', 'shares.csv.gz', 'shares.parquet'] = 'csv',
) -> Simulation:
    """Write an archive with a planted operation, and the truth about it.

    The same preset, parameters and seed give the same bytes. Nothing in it is real: what a detector
    scores on it says little about its score on a real archive.

    Parameters
    ----------
    out
        Folder to write; the same simulation is returned as it is, anything else is refused.
        Without it a temporary one is there as long as what is returned, whose `save` keeps it.
    overrides
        Parameters of :class:`Scenario` by name, in the place of the preset's.
    overwrite
        Simulate anew, and replace any simulation that is there.
    progress
        Called with the stage, the posts written so far and their total, after each chunk.
    seed
        Same seed, same result.
    preset
        demo, small, null, crowds, swift, or the size of a published takedown: august2019,
        june2020, russia2020, turkey2020, cncc2021, cnhu2021. demo: five core accounts and 35
        amplifiers among 400; small: the same among 200, for a first try; null: the demo without
        an operation; crowds: the demo with fan clubs, news feeds, audiences and a cohort in one
        time zone; swift: the demo with lags of about 20 seconds.
    n_posts
        Scale the preset to this many posts.
    format
        An X archive, or a share table of it.

    Raises
    ------
    ValueError
        For parameters that contradict each other, or an unknown format.
    FileExistsError
        For a path that holds anything else.
    """

def compare(
    store: Store | Path | str | Sequence[Store | Path | str],
    truth: DataFrame | Path | str | None | Sequence[DataFrame | Path | str | None] = None,
    out: Path | str = 'comparison',
    *,
    overwrite: bool = False,
    backend: Backend | None = None,
    memory: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    seed: int = 0,
    positive: str = 'operation',
    prevalence: float = 0.01,
    n_resamples: int = 200,
    start: str | None = None,
    end: str | None = None,
    kinds: Sequence[str] | str | None = None,
    bin: str = '1h',
    min_posts: int = 1,
    top_percent: float = 100.0,
    methods: Sequence[str] | str | None = None,
    window: str = '60s',
    n_permutations: int = 200,
) -> Findings:
    """Compare methods that find who acts together, on archives of which the truth is known.

    Parameters
    ----------
    store
        A store, or its folder; or several, whose ranks are averaged.
    truth
        Of each store a file (see :func:`read_truth`), a table ``account_id, label``, or None: the
        labels of the store. With a column ``campaign`` or ``group`` groups are held against it,
        otherwise against the labels.
    out
        The folder to write.
    overwrite
        Compute anew, and replace any result that is there.
    backend
        Where to compute; the default is `gpu_coord.backend.choose`'s.
    memory
        Bytes that what is under way may take; by default 2 GB, or half of what is free.
    progress
        Called with the stage, the work done and the work in all.
    seed
        Same seed, same result.
    positive
        The label of the accounts that ought to be found.
    prevalence
        Share of such accounts for which to tell the precision.
    n_resamples
        Bootstrap resamples behind the intervals; 0: none.
    start
        First time, ISO 8601, UTC.
    end
        Time before which to stop.
    kinds
        Kinds of entity, by commas (hashtag,url,mention). All kinds of a store that lacks one of
        these.
    bin
        Width of a time bin, like 1h or 15m.
    min_posts
        Leave out accounts with fewer posts.
    top_percent
        Keep the top percent of accounts by posts.
    methods
        Methods, separated by commas (all but the slow ones).
    window
        Longest time between two shares, of methods that look at seconds.
    n_permutations
        Copies of methods that permute, time ignored.

    Returns
    -------
        The folder: ``methods`` (figures of the rankings of accounts and of pairs), ``groups``
        (figures of groups), ``ranks`` (mean ranks over the archives), ``scores`` (of each account),
        ``table.tex`` and ``methods.png``.

    Raises
    ------
    ValueError
        There are other truths than stores, a truth has no account of its store or nothing to tell
        apart, or there is no such method.
    """

def transplant(
    operation: Store | Path | str | IntoFrame,
    organic: Store | Path | str | IntoFrame,
    out: Path | str | None = None,
    *,
    overwrite: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
    seed: int = 0,
    start: str | None = None,
    end: str | None = None,
    kinds: Sequence[str] | str | None = None,
    min_events: int = 10,
    caliper: float = 0.25,
    keep_entities: bool = False,
) -> Findings:
    """Plant accounts of one store among matched accounts of another, and write who is who.

    Each account of the operation gets one other account with about as many events on about as many
    days. The others' calendar is moved by whole days, so that both begin on one day; both are cut
    where the shorter one ends. Things are named by how popular they are among their own, so
    that nothing is used by one side alone because of what it is about.

    Parameters
    ----------
    operation
        The store that the operation is taken from, its folder, or a data frame of shares or posts.
    organic
        The store that it is planted in, its folder, or a data frame.
    out
        The folder to write: ``shares.parquet`` to ingest, and ``truth_accounts.parquet``. Without
        it a temporary one is there as long as what is returned, whose `save` keeps it.
    overwrite
        Compute anew, and replace any result that is there.
    progress
        Called with the stage, the work done and the work in all.
    seed
        Same seed, same result.
    start
        First time, ISO 8601, UTC.
    end
        Time before which to stop.
    kinds
        Kinds of entity, separated by commas (all that both have); hashtag=mention: mentions of
        the others for hashtags of the operation.
    min_events
        Least events of an account that takes part.
    caliper
        Most that two that match differ, as a share of events and of days.
    keep_entities
        Leave things their names, in the place of names by their rank.

    Returns
    -------
        The folder. Its summary says how many accounts matched, and what would tell them apart
        without any coordination, as AUCs: the number of ``events`` and of ``days``, the
        ``calendar`` (on which days) and the ``vocabulary`` (what is used). Those of a sound sample
        are near 0.5.

    Raises
    ------
    ValueError
        A store lacks a kind, or no account of one matches any of the other.
    """

def evaluate(
    run: Findings | Path | str,
    truth: DataFrame | Path | str | None = None,
    *,
    seed: int = 0,
    positive: str = 'operation',
    prevalence: float = 0.01,
    n_resamples: int = 1000,
) -> dict[str, dict[str, Any]]:
    """Compare a run with the truth about its accounts and, where it is known, its edges.

    Parameters
    ----------
    run
        A run, or its folder.
    truth
        A file, see :func:`read_truth`; a table ``account_id, label`` as :func:`gather_truth` makes
        it; or None: the labels that the run has itself. A file ``truth_edges.parquet``
        (``source, target``) beside a file is read as well.
    seed
        Same seed, same result.
    positive
        The label of the accounts that ought to be found.
    prevalence
        Share of such accounts for which to tell the precision.
    n_resamples
        Bootstrap resamples behind the intervals; 0: none.

    Returns
    -------
        ``accounts``: of the accounts that the run analysed and the truth knows, AUC and average
        precision of their strength (influence + in_weight), precision among the first n (n = the
        positives), the share of core accounts among the first by influence; beside them how many
        accounts and positives of the truth the run did not analyse. ``edges``: the same for edge
        weights, with recall; true edges that the run lacks are never found; where the edges of a
        run have no direction, those of the truth have none. None where a figure is not defined.
        Where the run tested for significance, also the AUC of each account's smallest p-value (over
        all its edges, either way) and of its ``co_activity``, and of the significant edges their
        number, recall and the share that is false: not true (``false_share``), and with an end that
        is no positive (``share_outside``).

        Further, each where the run and the truth have what it takes: ``ranking`` (precision among
        the first, recall at 1 % false positives, by each of these scores), ``network``
        and ``confirmed_groups`` (precision, recall, F1 and precision at the prevalence of being in
        them), ``intervals`` (95 %, bootstrap), ``groups`` (ARI, AMI and weighted purity of
        communities, components and confirmed groups), ``influence`` (Spearman), ``roles`` (core
        against amplifiers), ``campaigns`` (leave one out), ``classes`` (mean weights inside and
        outside the operation), ``inside_by_half`` and ``outside_by_half`` (the same before and
        after), ``false_discoveries`` and ``warnings``.

    Raises
    ------
    ValueError
        The truth lacks a column, has no account in common with the run, or only one class of them;
        a prevalence that is no share, or a negative number of resamples.
    """

def sweep(
    store: Store | Path | str | IntoFrame,
    grid: Mapping[str, Sequence[Any]] | Path | str,
    out: Path | str | None = None,
    *,
    labels: IntoFrame | Path | str | None = None,
    truth: Path | str | None = None,
    overwrite: bool = False,
    backend: Backend | None = None,
    memory: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    dask: str | Client | None = None,
    exchange: str | None = None,
    seed: int = 0,
    positive: str = 'operation',
    sample: int | None = None,
    choose_by: Optional[Literal['auc', 'average_precision', 'precision_at_n_positive', 'auc_of_least_p_value', 'auc_of_co_activity']] = None,
) -> Findings:
    """Run every cell of a grid, and write what they found as one table.

    What cells share is computed once: the activity, the counts, weights and tests of pairs; each
    cell then applies its thresholds. Its numbers are those of a `detect` with its settings. A
    sweep that was stopped goes on where it was when it is called again.

    Parameters
    ----------
    store
        A store, its folder, or a data frame (Polars, pandas, Arrow, DuckDB, ...) of shares or
        posts, as `ingest` takes it.
    grid
        Lists of values by the option of `detect`, or a TOML file of them; ``groups`` is 0 unless
        it is among them.
    out
        The folder to write; the same sweep is returned as it is if it is finished, gone on with
        if it is not, and anything else is refused.
        Without it a temporary one is there as long as what is returned, whose `save` keeps it.
    labels
        Columns account_id, label, in the place of the store's own labels: a data frame, or a CSV
        or Parquet file.
    truth
        CSV or Parquet with ``account_id, label``: cells are scored as by `evaluate`.
    overwrite
        Remove the sweep that is there, finished or not, and begin anew.
    backend
        Where to compute; the default is `gpu_coord.backend.choose`'s.
    memory
        Bytes that the pairs under way may take; by default 2 GB, or half of what is free.
    progress
        Called with the stage, the work done and the work in all.
    dask, exchange
        As of `detect`; each worker does cells, and opens the store where it is here.
    seed
        Same seed, same result.
    positive
        The label of the accounts that ought to be found.
    sample
        Cells to draw by the seed (all of the grid).
    choose_by
        Choose a cell by one half of the truth; score it on the other.

    Raises
    ------
    ValueError
        The grid, or the truth, is not fit for this; no cell could be run.
    FileExistsError
        The folder holds something else, or another sweep.
    """

def open_run(
    path: Findings | Path | str,
    *commands: str,
) -> Findings:
    """Open the folder that a command wrote, whichever it was.

    Parameters
    ----------
    path
        The folder; what is open already comes back as it is.
    commands
        Commands whose folders will do; all by default.

    Raises
    ------
    FileNotFoundError
        There is no such folder, or the command was stopped before its end.
    ValueError
        The folder is a store, or a simulation of version 0.1.
    """

def verify(
    path: Path | str,
) -> dict[str, Any]:
    """Check a store, or any folder that a command wrote; count what was checked.

    Raises
    ------
    ValueError
        A table or file was changed or is missing, or counts do not add up.
    FileNotFoundError
        There is no folder of ours at that path.
    """

def write_report(
    run: Findings | Path | str,
    out: Path | str | None = None,
    *,
    others: Sequence[Findings | Path | str] = (),
    store: Store | Path | str | None = None,
    show_ids: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
    texts: bool = False,
    min_group: int = 1,
    max_edges: int = 10000,
    max_rows: int = 200,
) -> Path:
    """Write a run as one page that needs no network: to read, to print, to mail.

    Parameters
    ----------
    run
        A run of `detect`, `share` or `coact`, or its folder.
    out
        The HTML file; by default the name of the run, beside it.
    others
        Other results to show: calibrations, sweeps, models and more; of another run, what entered,
        left and changed since.
    store
        What the run was made from, for the facts of its files; the one beside it by default.
    show_ids
        Name accounts, and objects that are accounts or posts, by their ids; otherwise by
        pseudonyms.
    progress
        Called with the stage, the work done and the work in all.
    texts
        Show what posts say, of a store that keeps texts.
    min_group
        Accounts of the smallest group or part of the network shown.
    max_edges
        Edges to draw, the heaviest.
    max_rows
        Rows of each table.

    Returns
    -------
        The file.

    Raises
    ------
    ValueError
        Texts are to be shown and the store is not there, ``out`` lies in the run, or the run is
        temporary and ``out`` is left out.
    """

def explore(
    run: Findings | Path | str,
    *,
    show_ids: bool = False,
    max_edges: int = 50000,
) -> Explorer:
    """Show a run in JupyterLab: network, timeline, pairs and evidence, each selecting in all.

    Parameters
    ----------
    run
        A run of `detect`, `share` or `coact`, or its folder.
    show_ids
        Name accounts, and objects that are accounts or posts, by their ids; otherwise by
        pseudonyms.
    max_edges
        Networks of more edges are drawn as points without lines.

    Returns
    -------
        What a notebook shows; its `select` and `selected` are the accounts selected.

    Raises
    ------
    ModuleNotFoundError
        A library of the extra ``notebooks`` is not installed.
    ValueError
        This is no run, or ``max_edges`` is negative.
    """
