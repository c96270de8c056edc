"""Backbones against plain loops over accounts."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import gpu_coord as gc
from gpu_coord.network.backbones import select_backbone
from gpu_coord.network.settings import NetworkSettings

N = 7
EDGES = st.dictionaries(
    st.tuples(st.integers(0, N - 1), st.integers(0, N - 1)).filter(lambda ends: ends[0] != ends[1]),
    st.sampled_from([0.5, 1.0, 2.0, 5.0, 40.0]),
    max_size=25,
)


def list_own(edges, account, side):
    """Return the edges of an account as one of its ends, the heaviest and then the first first."""
    sides = (0, 1) if side is None else (side,)
    own = [ends for ends in edges if any(ends[k] == account for k in sides)]
    return sorted(own, key=lambda ends: (-edges[ends], ends))


def select_by_hand(edges, rule, level, directed):
    kept = set()
    for account in range(N):
        for side in (0, 1) if directed else (None,):
            own = list_own(edges, account, side)
            strength = sum(edges[ends] for ends in own)
            for place, ends in enumerate(own):
                unlikely = (1 - edges[ends] / strength) ** (len(own) - 1) < level and len(own) > 1
                if (place < level) if rule == "best" else unlikely:
                    kept.add(ends)
    return kept


@given(edges=EDGES, directed=st.booleans(), seed=st.integers(0, 99))
@pytest.mark.parametrize("backbone", ["disparity:0.3", "disparity", "best:1", "best:2"])
def test_select_backbone__equals_plain_loops(edges, directed, seed, backbone):
    if not directed:
        edges = {ends: weight for ends, weight in edges.items() if ends[0] < ends[1]}
    rule, _, level = backbone.partition(":")
    ends = list(edges)
    rows = np.random.default_rng(seed).permutation(len(ends)).tolist()
    ordered = [ends[row] for row in rows]
    table = pl.DataFrame(
        {"source": [f"a{i}" for i, _ in ordered], "target": [f"a{j}" for _, j in ordered],
         "weight": [edges[each] for each in ordered], "more": rows},
        schema={"source": pl.String, "target": pl.String, "weight": pl.Float64, "more": pl.Int64},
    )  # fmt: skip
    found = select_backbone(table, backbone, directed=directed)
    wanted = select_by_hand(edges, rule, float(level or 0.05), directed)
    assert {(int(a[1:]), int(b[1:])) for a, b in found.select("source", "target").rows()} == wanted
    assert found["more"].to_list() == [row for row in rows if ends[row] in wanted]


@pytest.mark.parametrize(
    "text",
    ["", "heavy", "disparity:0", "disparity:1", "disparity:x", "disparity:nan", "best:0",
     "best:1.5", "best:-1", "best:nan"],
)  # fmt: skip
def test_backbone__is_a_rule_with_a_number(text):
    with pytest.raises(ValueError, match=r"write disparity:0\.05 \(a p-value\) or best:5"):
        NetworkSettings(backbone=text)


def test_detect__draws_the_backbone_and_finds_as_before(tmp_path):
    made = gc.simulate(tmp_path / "archive", preset="small", seed=3)
    store = gc.ingest(made.inputs, tmp_path / "store")
    runs = [
        gc.detect(store, tmp_path / f"run{n}", groups=0, paper=True, backbone=backbone)
        for n, backbone in enumerate((None, "best:1"))
    ]
    same = [run.read("edges").equals(runs[0].read("edges")) for run in runs]
    drawn = [(run.path / "network.graphml").read_text().count("<edge ") for run in runs]
    whole = runs[0].read_network()
    assert same == [True, True] and drawn[0] == whole.height
    assert drawn[1] == select_backbone(whole, "best:1", directed=True).height < drawn[0]
