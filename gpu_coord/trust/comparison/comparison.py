"""Archives and who belongs to an operation -> which method finds it, side by side.

All methods see the same accounts, kinds and time range; the truth is used for the figures alone.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from gpu_coord.backend import Backend
from gpu_coord.ground.choices import hash_json
from gpu_coord.ground.keywords import takes
from gpu_coord.results.clock import Progress
from gpu_coord.results.command import Work, begin
from gpu_coord.results.findings import Findings, open_run
from gpu_coord.store.store import STORE_MARKER, Store, open_store
from gpu_coord.store.tables import hash_file
from gpu_coord.trust.comparison.figures import (
    describe_groups,
    describe_pairs,
    describe_ranking,
    resample_ranking,
)
from gpu_coord.trust.comparison.material import Material, Means
from gpu_coord.trust.comparison.methods import Found, Method, list_methods
from gpu_coord.trust.comparison.tables import (
    FIGURE,
    GROUPS_SCHEMA,
    METHODS_SCHEMA,
    TABLE,
    draw_figure,
    rank_methods,
    write_latex,
)
from gpu_coord.trust.evaluation.truths import read_truth
from gpu_coord.trust.settings import CompareSettings

Truth = pl.DataFrame | Path | str | None


@takes(CompareSettings)
def compare(
    store: Store | Path | str | Sequence[Store | Path | str],
    truth: Truth | Sequence[Truth] = None,
    out: Path | str = "comparison",
    *,
    overwrite: bool = False,
    backend: Backend | None = None,
    memory: int | None = None,
    progress: Progress | None = None,
    **choices: Any,
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
    settings = CompareSettings(**choices)
    methods = list_methods(settings.methods)
    stores = [open_store(each) for each in _listed(store)]
    truths = _listed(truth)
    if len(truths) != len(stores):
        raise ValueError(
            f"there are {len(stores)} stores and {len(truths)} truths; give one truth for each."
        )
    if not stores:
        raise ValueError("there is no store; give at least one.")
    known = [_read_known(*each) for each in zip(stores, truths, strict=True)]
    only = stores[0] if len(stores) == 1 else None
    with begin(
        "compare",
        out,
        settings,
        only,
        inputs=_hash_inputs(stores, known),
        overwrite=overwrite,
        backend=backend,
        memory=memory,
        progress=progress,
    ) as work:
        parts = [
            _compare_archive(work, name, methods, each, labels)
            for name, each, labels in zip(_name(stores), stores, known, strict=True)
        ]
        with work.time("tables"):
            _write(work, parts)
    return open_run(out)


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _name(stores: list[Store]) -> list[str]:
    """Return what the archives are called: the folders of their stores, numbered if alike."""
    names = [store.path.resolve().name for store in stores]
    numbered = [
        name if names.count(name) == 1 else f"{name} ({names[:place].count(name) + 1})"
        for place, name in enumerate(names)
    ]
    if len(set(numbered)) < len(numbered):  # a folder has such a name itself
        numbered = [f"{place}: {name}" for place, name in enumerate(names, 1)]
    return numbered


def _read_known(store: Store, truth: Truth) -> pl.DataFrame:
    """Return ``account_id, label, group`` of the accounts that are known."""
    if truth is None:
        known = store.read("accounts").select("account_id", "label").drop_nulls()
        if known.is_empty():
            raise ValueError(
                f"the accounts of {store.path} have no labels; give --truth, or labels to `ingest`."
            )
    elif isinstance(truth, pl.DataFrame):
        if missing := [name for name in ("account_id", "label") if name not in truth.columns]:
            raise ValueError(f"the truth lacks the columns {missing}; it has {truth.columns}.")
        known = truth.drop_nulls(["account_id", "label"])
    else:
        known = read_truth(Path(truth))
    given = [name for name in ("campaign", "group") if name in known.columns]
    text = known.select(
        pl.col("account_id", "label").cast(pl.String),
        group=pl.col(given[0] if given else "label").cast(pl.String),
    ).unique(maintain_order=True)
    if twice := text.filter(pl.col("account_id").is_duplicated())["account_id"].n_unique():
        raise ValueError(f"the truth says two things of {twice} accounts; correct them.")
    return text


def _hash_inputs(stores: list[Store], known: list[pl.DataFrame]) -> dict[str, str | None]:
    manifests = [hash_file(store.path / STORE_MARKER) for store in stores]
    truths = [hash_json(table.sort(table.columns).rows()) for table in known]
    # One store is named by itself.
    return {"stores": hash_json(manifests) if len(stores) > 1 else None, "truth": hash_json(truths)}


class _Archive:
    """What is known of the accounts of one archive."""

    def __init__(self, name: str, material: Material, known: pl.DataFrame, positive: str):
        self.name = name
        joined = material.accounts.select("account_id").join(
            known, on="account_id", how="left", maintain_order="left"
        )
        self.is_known = joined["label"].is_not_null().to_numpy()
        self.is_positive = (joined["label"] == positive).fill_null(value=False).to_numpy()
        self.table = joined.select("account_id", "label")
        self.group = joined["group"].rank("dense").cast(pl.Int64).fill_null(-1).to_numpy()
        n_positive, n_known = int(self.is_positive.sum()), int(self.is_known.sum())
        self.is_ranked = 0 < n_positive < n_known
        if not n_known:
            raise ValueError(
                f"none of the {known.height} accounts of the truth is among the "
                f"{material.accounts.height} of {name}; is it the truth of another archive, or was "
                "the store made with a key?"
            )
        labels = sorted(known["label"].unique())
        if not self.is_ranked and np.unique(self.group[self.group >= 0]).size < 2:
            raise ValueError(
                f"{n_positive} of {n_known} known accounts of {name} are labelled {positive!r}; "
                f"some and not all must be: choose another of the labels {labels} by --positive."
            )


class _Part:
    """What was found of one archive."""

    def __init__(self, archive: _Archive):
        self.archive = archive
        self.rows: list[dict[str, Any]] = []
        self.groups: list[dict[str, Any]] = []
        self.scores: dict[str, Any] = {}


def _compare_archive(
    work: Work, name: str, methods: list[Method], store: Store, known: pl.DataFrame
) -> _Part:
    settings = work.settings
    with work.time("read"):
        means = Means(work.backend, work.memory, work.clock.report)
        material = Material(store, settings, means)
        part = _Part(_Archive(name, material, known, settings.positive))
    for method in methods:
        with work.time(method.name):
            _add(part, method, material, settings)
    return part


def _add(part: _Part, method: Method, material: Material, settings: CompareSettings) -> None:
    """Run a method, and add its figures."""
    archive = part.archive
    said = {"archive": archive.name, "method": method.name}
    try:
        found = method.find(material)
    except ValueError as error:  # of this method: the others may do
        part.rows.append({**said, "ranked": "accounts", "reason": str(error).rstrip(".")})
        return
    if found.accounts is not None:
        part.scores[method.name] = found.accounts
    if archive.is_ranked:
        part.rows += [said | row for row in _describe(found, archive, settings)]
    if found.groups is not None:
        known = archive.is_known
        figures = describe_groups(
            found.groups[known], archive.group[known], archive.is_positive[known]
        )
        part.groups.append(said | figures)


def _describe(found: Found, archive: _Archive, settings: CompareSettings) -> list[dict[str, Any]]:
    """Return the figures of accounts and of pairs, as far as they are known."""
    rows, known = [], archive.is_known
    is_positive = archive.is_positive[known]
    if found.accounts is not None:
        score = found.accounts[known]
        figures = describe_ranking(score, is_positive, prevalence=settings.prevalence)
        figures |= resample_ranking(
            score, is_positive, n_resamples=settings.n_resamples, seed=settings.seed
        )
        rows.append({"ranked": "accounts", **figures})
    if found.pairs is not None and is_positive.sum() > 1:
        place = np.cumsum(known) - 1
        inside = known[found.pairs.source] & known[found.pairs.target]
        pairs = type(found.pairs)(
            place[found.pairs.source[inside]], place[found.pairs.target[inside]],
            found.pairs.score[inside],
        )  # fmt: skip
        figures = describe_pairs(pairs, is_positive, prevalence=settings.prevalence)
        rows.append({"ranked": "pairs", **figures})
    return rows


def _write(work: Work, parts: list[_Part]) -> None:
    methods = pl.DataFrame([row for part in parts for row in part.rows], schema=METHODS_SCHEMA)
    groups = pl.DataFrame([row for part in parts for row in part.groups], schema=GROUPS_SCHEMA)
    ranks = rank_methods(methods)
    scores = pl.concat(
        [
            part.archive.table.with_columns(archive=pl.lit(part.archive.name), **{
                name: pl.Series(values) for name, values in part.scores.items()
            })
            for part in parts
        ],
        how="diagonal",
    )  # fmt: skip
    first = ("archive", "account_id", "label")
    scores = scores.select(*first, pl.exclude(first))
    work.write({"methods": methods, "groups": groups, "ranks": ranks, "scores": scores})
    (work.folder / TABLE).write_text(write_latex(methods, ranks), encoding="utf-8")
    draw_figure(work.folder / FIGURE, methods, ranks)
    work.describe(summary=_summarise(parts, ranks))


def _summarise(parts: list[_Part], ranks: pl.DataFrame) -> dict[str, Any]:
    first = ranks.filter(ranked="accounts").head(1)
    return {
        "n_archives": len(parts),
        "n_methods": ranks.filter(ranked="accounts").height,
        "n_accounts": sum(part.archive.table.height for part in parts),
        "n_positive": sum(int(part.archive.is_positive.sum()) for part in parts),
        "best_method": first["method"].item() if first.height else None,
    }
