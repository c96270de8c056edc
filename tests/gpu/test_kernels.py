"""The kernels of pairs.cu without a GPU.

NVRTC compiles them for the architectures that RAPIDS supports; g++ runs the same text on the host
under sanitizers, and plain loops over sets say what is right. Warps, caches, and the limits and
the speed of a device are not here.
"""

import importlib
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from shim.run import SanitizerError, Shifted, load, load_sanitized  # noqa: E402

pytestmark = pytest.mark.gpu_contract

TEXT = (HERE.parents[1] / "gpu_coord" / "backend" / "pairs.cu").read_text()
KERNELS = {
    "tally", "count_kept", "write_kept", "count_shared", "list_shared", "count_both",
    "sum_products",
}  # fmt: skip
ARCHITECTURES = (70, 80, 90, 100, 120)
FAR = 2**31  # the first offset that 32 bits cannot hold

# (threads of a block, blocks, seed of the threads' order)
LAUNCHES = [(1, 1, 0), (32, 3, 17), (256, 1, 99_991)]


# --- NVRTC ---------------------------------------------------------------------------------

COMPILE = """
import json, sys
from cupy.cuda import nvrtc

text, found = sys.stdin.read(), {}
for architecture in json.loads(sys.argv[1]):
    program = nvrtc.createProgram(text, "pairs.cu", (), ())
    nvrtc.compileProgram(program, ("--std=c++17", f"-arch=sm_{architecture}"))
    found[architecture] = nvrtc.getCUBIN(program).decode("latin1")
print(json.dumps(found))
"""


def compile_for(architectures, text):
    """Compile in a process of its own: `cupy` is the real one there, and needs no device."""
    return subprocess.run(
        [sys.executable, "-c", COMPILE, json.dumps(architectures)],
        input=text,
        capture_output=True,
        text=True,
    )


def test_nvrtc__compiles_every_kernel_for_every_architecture():
    done = compile_for(ARCHITECTURES, TEXT)
    assert done.returncode == 0, done.stderr
    binaries = json.loads(done.stdout)
    assert {int(name) for name in binaries} == set(ARCHITECTURES)
    for binary in binaries.values():
        assert binary.startswith("\x7fELF")
        assert all(f".text.{name}\0" in binary for name in KERNELS)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("const int *counts", "const int counts"), ("+= item_stride()", "+= item_strides()")],
)
def test_nvrtc__refuses_a_seeded_mistake(right, wrong):
    assert right in TEXT
    done = compile_for(ARCHITECTURES[:1], TEXT.replace(right, wrong))
    assert done.returncode != 0
    assert "NVRTC_ERROR_COMPILATION" in done.stderr


WRITE_PTX = """
import sys
from cupy.cuda import nvrtc

program = nvrtc.createProgram(sys.stdin.read(), "pairs.cu", (), ())
nvrtc.compileProgram(program, ("--std=c++17", "-arch=compute_90"))
print(nvrtc.getPTX(program))
"""


def list_operations(text):
    """Return the operations on doubles that the text is compiled to."""
    done = subprocess.run(
        [sys.executable, "-c", WRITE_PTX], input=text, capture_output=True, text=True, check=True
    )
    return set(re.findall(r"(?:fma|mul|add)\.(?:rn\.)?f64", done.stdout))


def test_nvrtc__fuses_no_product_into_a_sum():
    assert list_operations(TEXT) == {"mul.rn.f64", "add.rn.f64"}
    right = "__dadd_rn(sum[k], __dmul_rn(a[k], b[k]))"
    assert right in TEXT
    plain = TEXT.replace(right, "sum[k] + a[k] * b[k]")
    assert list_operations(plain) == {"fma.rn.f64"}


# --- cells, and what is right --------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """Active cells (account, entity, bin), each once."""

    n_accounts: int
    cells: list[tuple[int, int, int]]

    def bins(self, account, entity):
        return {bin for i, e, bin in self.cells if (i, e) == (account, entity)}


def draw(seed, n_accounts, n_entities, n_bins, n_cells):
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, (n_accounts, n_entities, n_bins), (n_cells, 3)).tolist()
    return Case(n_accounts, sorted({tuple(cell) for cell in drawn}))


def add_hub(case, bins):
    """Make every account active on entity 0 in some bins."""
    hub = {(account, 0, bin) for account in range(case.n_accounts) for bin in bins}
    return Case(case.n_accounts, sorted(hub | set(case.cells)))


CASES = {
    "odd": draw(1, 37, 5, 7, 200),
    "one segment": draw(2, 32, 3, 5, 150),
    "one more than a segment": draw(3, 33, 3, 5, 150),
    "hub": add_hub(draw(4, 45, 4, 6, 40), bins=(1, 2, 3)),
    "only a hub": add_hub(Case(29, []), bins=(0, 1)),
    "mostly silent accounts": draw(5, 70, 2, 3, 12),
    "one account": Case(1, [(0, 0, 0), (0, 0, 1), (0, 2, 1)]),
    "nothing": Case(5, []),
}


@dataclass(frozen=True)
class Index:
    """The arrays of `CellIndex` that kernels take, and the lagged columns."""

    account_start: Any
    cell_column: Any
    lagged_column: Any
    column_start: Any
    column_account: Any
    account_group: Any
    group_entity: Any
    group_start: Any
    cell_bin: Any


def start_at(keys, all_keys):
    """Return where each key's rows begin, and where the last one's end."""
    return np.cumsum([0, *(keys.count(key) for key in all_keys)], dtype=np.int64)


@cache
def index_cells(name, lag):
    case = CASES[name]
    columns = sorted({(entity, bin) for _, entity, bin in case.cells})
    groups = sorted({(account, entity) for account, entity, _ in case.cells})
    position = {column: row for row, column in enumerate(columns)}
    cell_columns = [position[cell[1:]] for cell in case.cells]
    lagged = [position.get((entity, bin + lag), len(columns)) for entity, bin in columns]
    by_column = sorted((position[cell[1:]], cell[0]) for cell in case.cells)
    accounts = range(case.n_accounts)
    return Index(
        account_start=start_at([account for account, _, _ in case.cells], accounts),
        cell_column=np.array(cell_columns, np.int32),
        lagged_column=np.array([*lagged, len(columns)], np.int32),
        column_start=start_at([row for row, _ in by_column], range(len(columns) + 1)),
        column_account=np.array([account for _, account in by_column], np.int32),
        account_group=start_at([account for account, _ in groups], accounts),
        group_entity=np.array([entity for _, entity in groups], np.int32),
        group_start=start_at([cell[:2] for cell in case.cells], groups),
        cell_bin=np.array([bin for _, _, bin in case.cells], np.int32),
    )


@cache
def list_coincidences(name, lag):
    """Return {(source, target): {entity that both used: coincidences}} of all pairs."""
    case = CASES[name]
    bins = {cell[:2]: case.bins(*cell[:2]) for cell in case.cells}
    found = {}
    for i, entity in bins:
        for j, other in bins:
            if entity == other:
                both = {bin + lag for bin in bins[i, entity]} & bins[j, entity]
                found.setdefault((i, j), {})[entity] = len(both)
    return found


# --- rows of factors, and what is right -----------------------------------------------------

N_SUMS = 3


@dataclass(frozen=True)
class Rows:
    """Factors of each account in some strata: {stratum: factors} by account."""

    by_account: list[dict[int, list[float]]]

    @property
    def arrays(self):
        rows = [sorted(factors.items()) for factors in self.by_account]
        flat = [row for listed in rows for row in listed]
        return (
            start_ranges([len(listed) for listed in rows]),
            np.array([stratum for stratum, _ in flat], np.int32),
            np.array([factors for _, factors in flat], np.float64).reshape(-1, N_SUMS),
        )


def draw_rows(seed, n_accounts, n_strata, n_rows, hub=()):
    """Draw rows; the hubs are in every stratum."""
    rng = np.random.default_rng(seed)
    rows = [{} for _ in range(n_accounts)]
    for account, stratum in rng.integers(0, (n_accounts, n_strata), (n_rows, 2)).tolist():
        rows[account][stratum] = rng.random(N_SUMS).tolist()
    for account in hub:
        rows[account] = dict(enumerate(rng.random((n_strata, N_SUMS)).tolist()))
    return Rows(rows)


# name: rows as sources, rows as targets
ROWS = {
    "odd": (draw_rows(1, 37, 23, 300), draw_rows(2, 37, 23, 200)),
    "hubs": (draw_rows(3, 19, 90, 60, hub=(0, 18)), draw_rows(4, 19, 90, 70, hub=(18,))),
    "one account": (draw_rows(5, 1, 4, 9), draw_rows(6, 1, 4, 9)),
    "targets without rows": (draw_rows(7, 6, 4, 20), Rows([{}] * 6)),
    "nothing": (Rows([{}] * 3), Rows([{}] * 3)),
}


def list_products(name, source, target):
    """Return the sums of each pair, added in the order of strata."""
    sources, targets = ROWS[name]
    sums = [[0.0] * N_SUMS for _ in source]
    for row, (i, j) in enumerate(zip(source.tolist(), target.tolist(), strict=True)):
        a, b = sources.by_account[i], targets.by_account[j]
        for stratum in sorted(a.keys() & b.keys()):
            for column in range(N_SUMS):
                sums[row][column] += a[stratum][column] * b[stratum][column]
    return sums


def draw_pairs(name, n_pairs):
    n_accounts = len(ROWS[name][0].by_account)
    drawn = np.random.default_rng(n_pairs).integers(0, n_accounts, (2, n_pairs))
    return drawn.astype(np.int32)


# --- the kernels as gpu_pairs calls them ---------------------------------------------------


def run(module, name, n_items, *args, launch=LAUNCHES[1], **options):
    threads, blocks, seed = launch
    if n_items:
        options = {"seed": seed, **options}
        module.get_function(name)((blocks,), (threads,), (np.int64(n_items), *args), **options)


def start_ranges(sizes):
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def count_pairs(module, index, first, last, min_count, *, chunk=5, segment=32, **options):
    """Return {(source, target): count} and the order in which the pairs came."""
    n_rows, n_accounts = last - first, index.account_start.size - 1
    cells = slice(index.account_start[first], index.account_start[last])
    column = index.lagged_column[index.cell_column[cells]]
    work_start = start_ranges(index.column_start[column + 1] - index.column_start[column])
    counts = np.zeros(n_rows * n_accounts, np.int32)
    sizes = [np.int64(n) for n in (chunk, work_start[-1], first, n_rows, n_accounts)]
    run(
        module, "tally", -(-work_start[-1] // chunk), *sizes, index.account_start,
        index.cell_column, index.lagged_column, index.column_start, index.column_account,
        work_start, counts, **options,
    )  # fmt: skip
    n_segments = -(-n_accounts // segment)
    n_kept = np.empty(n_rows * n_segments, np.int64)
    scan = (*(np.int64(n) for n in (n_segments, segment, n_accounts, min_count)), counts)
    run(module, "count_kept", n_kept.size, *scan, n_kept, **options)
    kept_start = start_ranges(n_kept)
    targets, kept = np.empty((2, kept_start[-1]), np.int32)
    run(module, "write_kept", n_kept.size, *scan, kept_start, targets, kept, **options)
    sources = np.repeat(np.arange(first, last), np.diff(kept_start[::n_segments]))
    pairs = list(zip(sources.tolist(), targets.tolist(), strict=True))
    return dict(zip(pairs, kept.tolist(), strict=True)), pairs


def check_pairs(module, name, lag, first, last, min_count, **options):
    counts = {
        pair: sum(entities.values())
        for pair, entities in list_coincidences(name, lag).items()
        if first <= pair[0] < last and pair[0] != pair[1]
    }
    right = {pair: count for pair, count in counts.items() if count >= min_count}
    found, order = count_pairs(module, index_cells(name, lag), first, last, min_count, **options)
    assert found == right
    assert order == sorted(order)


def check_shared(module, name, lag, n_pairs, **options):
    rng = np.random.default_rng(n_pairs)
    index = index_cells(name, lag)
    source, target = rng.integers(0, CASES[name].n_accounts, (2, n_pairs)).astype(np.int32)
    right = [
        list_coincidences(name, lag).get(pair, {})
        for pair in zip(source.tolist(), target.tolist(), strict=True)
    ]
    n_shared = np.empty(n_pairs, np.int64)
    pairs = (source, target, index.account_group, index.group_entity)
    run(module, "count_shared", n_pairs, *pairs, n_shared, **options)
    assert n_shared.tolist() == [len(entities) for entities in right]
    i, j, count = np.full((3, n_shared.sum()), -1, np.int32)
    pairs = (*pairs[:2], start_ranges(n_shared), *pairs[2:])
    run(module, "list_shared", n_pairs, *pairs, i, j, **options)
    groups = (i, j, index.group_start, index.cell_bin)
    run(module, "count_both", count.size, np.int64(lag), *groups, count, **options)
    pair = np.repeat(np.arange(n_pairs), n_shared)
    accounts = np.repeat(np.arange(CASES[name].n_accounts), np.diff(index.account_group))
    assert (accounts[i] == source[pair]).all()
    assert (accounts[j] == target[pair]).all()
    assert (index.group_entity[i] == index.group_entity[j]).all()
    entities = index.group_entity[i].tolist()
    found = list(zip(pair.tolist(), entities, count.tolist(), strict=True))
    assert found == [(p, e, n) for p, shared in enumerate(right) for e, n in sorted(shared.items())]


def check_products(module, name, n_pairs, **options):
    source, target = draw_pairs(name, n_pairs)
    sums = np.zeros((n_pairs, N_SUMS))
    rows = (*ROWS[name][0].arrays, *ROWS[name][1].arrays)
    n_sums = np.int64(N_SUMS)
    run(module, "sum_products", n_pairs, n_sums, source, target, *rows, sums, **options)
    assert sums.tolist() == list_products(name, source, target)


# --- the kernels on small cases ------------------------------------------------------------


@pytest.fixture(scope="module")
def sanitized():
    return load_sanitized(TEXT)


@pytest.fixture(scope="module")
def watched():
    """The kernels under the detector of data races."""
    return load_sanitized(TEXT, "thread")


@pytest.mark.parametrize("launch", LAUNCHES)
@pytest.mark.parametrize("name", CASES)
def test_count_pairs__equals_sets(sanitized, name, launch):
    n_accounts = CASES[name].n_accounts
    check_pairs(sanitized, name, 0, 0, n_accounts, 1, launch=launch)
    check_pairs(sanitized, name, 1, 0, n_accounts, 2, launch=launch)


@pytest.mark.parametrize(("first", "last"), [(0, 1), (3, 20), (20, 37), (36, 37), (5, 5)])
def test_count_pairs__counts_any_tile(sanitized, first, last):
    check_pairs(sanitized, "odd", 1, first, last, 1)


@pytest.mark.parametrize(("chunk", "segment"), [(1, 1), (2, 31), (7, 37), (1000, 1000)])
def test_count_pairs__does_not_depend_on_the_shares_of_threads(sanitized, chunk, segment):
    check_pairs(sanitized, "hub", 1, 2, 40, 1, chunk=chunk, segment=segment)


@pytest.mark.parametrize("launch", LAUNCHES)
@pytest.mark.parametrize("name", CASES)
def test_shared_strata__equal_sets(sanitized, name, launch):
    check_shared(sanitized, name, 0, 60, launch=launch)
    check_shared(sanitized, name, 2, 33, launch=launch)


@pytest.mark.parametrize("launch", LAUNCHES)
@pytest.mark.parametrize("name", ROWS)
def test_sum_products__equals_sums_over_shared_strata(sanitized, name, launch):
    check_products(sanitized, name, 60, launch=launch)
    check_products(sanitized, name, 1, launch=launch)


def test_kernels__race_for_nothing(watched):
    options = {"launch": (32, 4, 5), "n_workers": 4}
    check_pairs(watched, "hub", 1, 0, 45, 1, **options)
    check_shared(watched, "hub", 1, 100, **options)
    check_products(watched, "hubs", 100, **options)


# --- gpu_pairs, on the stand-in for CuPy ----------------------------------------------------


@pytest.fixture(scope="module")
def gpu_pairs():
    """gpu_pairs with the stand-in in CuPy's place, whichever of them is loaded already."""
    names = {"cupy", "gpu_coord.backend.gpu_pairs"}

    def unload():
        loaded = [name for name in sys.modules if {name, name.split(".")[0]} & names]
        return {name: sys.modules.pop(name) for name in loaded}

    before = unload()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(HERE / "doubles"))
        yield importlib.import_module("gpu_coord.backend.gpu_pairs")
    unload()
    sys.modules.update(before)


def to_device(gpu_pairs, *arrays):
    return [gpu_pairs.cp.asarray(array) for array in arrays]


def to_host(gpu_pairs, arrays):
    assert all(type(array) is gpu_pairs.cp.ndarray for array in arrays)
    return [gpu_pairs.cp.asnumpy(array) for array in arrays]


@pytest.mark.parametrize("free", [1, 10_000, 2**30])
@pytest.mark.parametrize("name", CASES)
def test_gpu_count_pairs__equals_sets_in_any_memory(gpu_pairs, monkeypatch, name, free):
    monkeypatch.setattr(gpu_pairs, "count_free_memory", lambda: free)
    index, n_accounts = index_cells(name, 1), CASES[name].n_accounts
    first, last = n_accounts // 3, n_accounts
    unused = np.zeros(n_accounts, np.int64)
    arrays = to_device(
        gpu_pairs, unused[first:], unused, index.account_start, index.cell_column,
        index.lagged_column, index.column_start, index.column_account,
    )  # fmt: skip
    n_kept, target, count = to_host(gpu_pairs, gpu_pairs.count_pairs(first, last, *arrays, 1))
    assert (n_kept.dtype, target.dtype, count.dtype) == (np.int64, np.int32, np.int32)
    source = np.repeat(np.arange(first, last), n_kept)
    right = {
        (i, j): sum(entities.values())
        for (i, j), entities in list_coincidences(name, 1).items()
        if i >= first and i != j and any(entities.values())
    }
    found = zip(source.tolist(), target.tolist(), count.tolist(), strict=True)
    assert list(found) == [(*pair, right[pair]) for pair in sorted(right)]


def test_gpu_count_pairs__of_no_sources_is_empty(gpu_pairs):
    index = index_cells("odd", 1)
    arrays = to_device(
        gpu_pairs, np.zeros(0), np.zeros(37), index.account_start, index.cell_column,
        index.lagged_column, index.column_start, index.column_account,
    )  # fmt: skip
    found = to_host(gpu_pairs, gpu_pairs.count_pairs(4, 4, *arrays, 1))
    assert [array.size for array in found] == [0, 0, 0]


@pytest.mark.parametrize("n_pairs", [0, 50])
def test_gpu_shared__equals_sets(gpu_pairs, n_pairs):
    index = index_cells("hub", 1)
    source, target = np.random.default_rng(1).integers(0, 45, (2, n_pairs))  # not of 32 bits
    right = [
        sorted(list_coincidences("hub", 1)[pair].items())
        for pair in zip(source.tolist(), target.tolist(), strict=True)
    ]
    pairs = to_device(gpu_pairs, source, target)
    groups = to_device(gpu_pairs, index.account_group, index.group_entity)
    [n_shared] = to_host(gpu_pairs, [gpu_pairs.count_shared(*pairs, *groups)])
    assert n_shared.dtype == np.int64
    assert n_shared.tolist() == [len(entities) for entities in right]
    cells = to_device(gpu_pairs, index.group_start, index.cell_bin)
    starts = to_device(gpu_pairs, start_ranges(n_shared))
    found = gpu_pairs.count_within_shared(*pairs, *starts, *groups, *cells, 1)
    i, j, count = to_host(gpu_pairs, found)
    assert {array.dtype for array in (i, j, count)} == {np.dtype(np.int32)}
    entities = index.group_entity[i]
    assert entities.tolist() == index.group_entity[j].tolist()
    shared = list(zip(entities.tolist(), count.tolist(), strict=True))
    assert shared == [row for rows in right for row in rows]


@pytest.mark.parametrize("n_pairs", [0, 1, 700])
@pytest.mark.parametrize("name", ROWS)
def test_gpu_sum_products__equals_the_cpu_to_the_bit(gpu_pairs, name, n_pairs):
    from gpu_coord.backend import pairs

    arrays = (*draw_pairs(name, n_pairs), *ROWS[name][0].arrays, *ROWS[name][1].arrays)
    # Offsets and accounts of other widths are converted.
    sent = to_device(gpu_pairs, arrays[0].astype(np.int64), *arrays[1:])
    found = to_host(gpu_pairs, [gpu_pairs.sum_products(*sent)])[0]
    assert found.shape == (n_pairs, N_SUMS)
    assert found.tolist() == pairs.sum_products(*arrays).tolist()
    assert found.tolist() == list_products(name, *arrays[:2])


@pytest.mark.parametrize("shape", [(3, 7, 20), (1, 1, 5), (2, 5, 1), (0, 3, 4), (2, 0, 4)])
@pytest.mark.parametrize(("free", "most_bins"), [(2**30, 2**24), (1, 2**24), (3000, 3)])
def test_gpu_count_in_common__equals_sums(gpu_pairs, monkeypatch, shape, free, most_bins):
    monkeypatch.setattr(gpu_pairs, "count_free_memory", lambda: free)
    monkeypatch.setattr(gpu_pairs, "_MAX_EXACT_BINS", most_bins)
    active = np.random.default_rng(2).integers(0, 2, (*shape[:2], shape[2] + 2)).astype(np.uint8)
    before, after = active[..., :-2], active[..., 2:]
    right = [
        before.sum(axis=-1, dtype=np.int64),
        after.sum(axis=-1, dtype=np.int64),
        np.einsum("eik,ejk->eij", before, after, dtype=np.int64),
    ]
    views = to_device(gpu_pairs, active)[0]
    found = to_host(gpu_pairs, gpu_pairs.count_in_common(views[..., :-2], views[..., 2:]))
    for array, wanted in zip(found, right, strict=True):
        assert array.dtype == np.int64
        np.testing.assert_array_equal(array, wanted)


def test_gpu_count_in_common__is_exact_where_single_precision_ends(gpu_pairs):
    n_bins = 2**24 + 3
    active = gpu_pairs.cp.ones((1, 1, n_bins), dtype=np.uint8)
    assert int(np.float32(n_bins)) != n_bins
    found = to_host(gpu_pairs, gpu_pairs.count_in_common(active, active))
    assert [array.item() for array in found] == [n_bins] * 3


# --- offsets beyond 32 bits ----------------------------------------------------------------


def check_far_rows(module):
    """Cells, columns and counters that begin beyond 2^31."""
    n_accounts, last = 50_000, 49_999
    account_start = np.full(n_accounts + 1, FAR, np.int64)
    account_start[-1] += 2
    counts = np.zeros(n_accounts, np.int32)
    sizes = [np.int64(n) for n in (2, 3, 0, n_accounts, n_accounts)]
    run(
        module, "tally", 2, *sizes, account_start,
        Shifted(np.array([0, 1], np.int32), FAR),
        np.array([1, 2, 2], np.int32),
        np.array([FAR, FAR + 1, FAR + 4, FAR + 4]),
        Shifted(np.array([last, 0, 7, last], np.int32), FAR),
        np.array([0, 3, 3]),
        Shifted(counts, last * n_accounts),
    )  # fmt: skip
    assert np.flatnonzero(counts).tolist() == [0, 7]


def check_far_work(module):
    """A column of three thousand million accounts; its last block of threads."""
    n_work, n_accounts, chunk, threads = 3_000_000_000, 1000, 32, 256
    n_items = -(-n_work // chunk)
    n_blocks = -(-n_items // threads)
    start = (n_blocks - 1) * threads * chunk
    accounts = (np.arange(start, n_work) % n_accounts).astype(np.int32)
    counts = np.zeros(n_accounts, np.int32)
    sizes = [np.int64(n) for n in (chunk, n_work, 0, 1, n_accounts)]
    run(
        module, "tally", n_items, *sizes, np.array([0, 1]), np.zeros(1, np.int32),
        np.zeros(2, np.int32), np.array([0, n_work, n_work]), Shifted(accounts, start),
        np.array([0, n_work]), counts,
        launch=(threads, n_blocks, 3), blocks=(n_blocks - 1, n_blocks),
    )  # fmt: skip
    right = np.bincount(accounts, minlength=n_accounts)
    right[0] = 0
    assert counts.tolist() == right.tolist()


def check_far_segments(module):
    """The last segments of 50,000 x 50,000 counters, and results beyond 2^31."""
    n_accounts, segment, threads, min_count = 50_000, 32, 256, 3
    n_segments = -(-n_accounts // segment)
    n_items = n_accounts * n_segments
    n_blocks = -(-n_items // threads)
    start = (n_blocks - 1) * threads
    row = np.random.default_rng(0).integers(0, 6, n_accounts).astype(np.int32)
    first = start % n_segments * segment
    right = first + np.flatnonzero(row[first:] >= min_count)
    scan = (
        *(np.int64(n) for n in (n_segments, segment, n_accounts, min_count)),
        Shifted(row, (n_accounts - 1) * n_accounts),
    )
    where = {"launch": (threads, n_blocks, 9), "blocks": (n_blocks - 1, n_blocks)}
    n_kept = np.zeros(n_items - start, np.int64)
    run(module, "count_kept", n_items, *scan, Shifted(n_kept, start), **where)
    assert n_kept.tolist() == np.bincount((right - first) // segment).tolist()
    kept_start = FAR + start_ranges(n_kept)[:-1]
    targets, kept = np.zeros((2, right.size), np.int32)
    results = Shifted(kept_start, start), Shifted(targets, FAR), Shifted(kept, FAR)
    run(module, "write_kept", n_items, *scan, *results, **where)
    assert targets.tolist() == right.tolist()
    assert kept.tolist() == row[right].tolist()


def check_far_pairs(module):
    """More than 2^32 pairs, and strata, shared groups and cells that begin beyond 2^31."""
    n_items, threads = 2 * FAR + 300, 256
    n_blocks = -(-n_items // threads)
    start = (n_blocks - 2) * threads
    source, target = np.arange(2 * (n_items - start)).reshape(2, -1).astype(np.int32) % 3
    starts = FAR + np.array([0, 2, 3, 6])
    values = Shifted(np.array([4, 8, 8, 2, 4, 8], np.int32), FAR)
    n_both = np.array([[2, 1, 2], [1, 1, 1], [2, 1, 3]])
    n_shared = np.zeros(source.size, np.int64)
    pairs = (Shifted(source, start), Shifted(target, start))
    run(
        module, "count_shared", n_items, *pairs, starts, values, Shifted(n_shared, start),
        launch=(threads, n_blocks, 1), blocks=(n_blocks - 2, n_blocks),
    )  # fmt: skip
    assert n_shared.tolist() == n_both[source, target].tolist()
    count = np.zeros(source.size, np.int32)
    run(module, "count_both", source.size, np.int64(0), source, target, starts, values, count)
    assert count.tolist() == n_both[source, target].tolist()
    pair = (np.array([0, 1], np.int32), np.array([1, 2], np.int32), FAR + np.array([0, 1, 2]))
    i, j = np.zeros((2, 2), np.int32)
    strata = (starts - FAR, values.array, Shifted(i, FAR), Shifted(j, FAR))
    run(module, "list_shared", 2, *pair, *strata)
    assert (i.tolist(), j.tolist()) == ([1, 2], [2, 5])


def check_far_products(module):
    """More than 2^32 pairs with two sums each, and rows that begin beyond 2^31."""
    n_items, threads = 2 * FAR + 300, 256
    n_blocks = -(-n_items // threads)
    start = (n_blocks - 2) * threads
    source, target = np.arange(2 * (n_items - start)).reshape(2, -1).astype(np.int32) % 3
    rows = (
        FAR + np.array([0, 2, 3, 6]),
        Shifted(np.array([0, 2, 2, 0, 1, 2], np.int32), FAR),
        Shifted(np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0] * 2), 2 * FAR),
    )
    dense = np.array([[[1, 2], [0, 0], [4, 8]], [[0, 0], [0, 0], [16, 32]],
                      [[1, 2], [4, 8], [16, 32]]])  # fmt: skip
    sums = np.zeros((source.size, 2))
    run(
        module, "sum_products", n_items, np.int64(2), Shifted(source, start),
        Shifted(target, start), *rows, *rows, Shifted(sums, 2 * start),
        launch=(threads, n_blocks, 1), blocks=(n_blocks - 2, n_blocks),
    )  # fmt: skip
    assert sums.tolist() == (dense[source] * dense[target]).sum(axis=1).tolist()


FAR_CHECKS = [
    check_far_rows, check_far_work, check_far_segments, check_far_pairs, check_far_products,
]  # fmt: skip


@pytest.mark.parametrize("check", FAR_CHECKS)
def test_offsets__pass_32_bits(sanitized, check):
    check(sanitized)


# --- seeded mistakes -----------------------------------------------------------------------


def check_small(module):
    check_pairs(module, "hub", 1, 0, 45, 1)
    check_pairs(module, "odd", 0, 3, 20, 2, launch=(32, 1, 7))
    check_shared(module, "odd", 1, 80)
    check_products(module, "odd", 80)
    check_products(module, "hubs", 80)


# what is right, what is wrong, the check that must notice
MISTAKES = [
    ("for (; start < stop; ++start) {", "for (; start <= stop; ++start) {", check_small),
    ("values[middle] < wanted", "values[middle] <= wanted", check_small),
    ("lesser(range + step, n_ranges)", "range + step", check_small),
    ("lag = -lag;", "lag = +lag;", check_small),
    ("if (other == other_stop) break;", "", check_small),
    ("lesser(work_start[cell + 1], end)", "work_start[cell + 1]", check_small),
    ("const long long stop = lesser(start + segment, n_accounts)",
     "const long long stop = start + segment", check_small),
    ("if (target != first + row) atomicAdd", "atomicAdd", check_small),
    ("if (target != first + row)", "if (target != row)", check_small),
    ("row[target] >= min_count)", "row[target] > min_count)", check_small),
    ("static_cast<long long>(blockIdx.x) * blockDim.x",
     "static_cast<long long>(blockIdx.x * blockDim.x)", check_far_pairs),
    ("row * n_accounts + target", "static_cast<int>(row * n_accounts) + target", check_far_rows),
    ("item / n_segments * n_accounts", "static_cast<int>(item / n_segments * n_accounts)",
     check_far_segments),
    ("long long work = item * chunk", "long long work = static_cast<int>(item * chunk)",
     check_far_work),
    ("if (i < stop && j < other_stop && source_stratum[i]", "if (source_stratum[i]", check_small),
    ("target_factors + j * n_sums", "target_factors + i * n_sums", check_small),
    ("j = find_first(target_stratum, j, other_stop, source_stratum[i])",
     "j = find_first(target_stratum, j, stop, source_stratum[i])", check_small),
    ("__dadd_rn(sum[k], ", "__dadd_rn(0.0, ", check_small),
    ("sums + item * n_sums", "sums + static_cast<int>(item * n_sums)", check_far_products),
    ("source_factors + i * n_sums", "source_factors + static_cast<int>(i * n_sums)",
     check_far_products),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "check"), MISTAKES)
def test_seeded_mistakes__are_noticed(right, wrong, check):
    assert right in TEXT
    module = load_sanitized(TEXT.replace(right, wrong))
    with pytest.raises((SanitizerError, AssertionError)):
        check(module)


def test_seeded_mistakes__narrowed_offsets_do_not_compile():
    right, wrong = "long long find_first(const int *values, long long start", "int start"
    assert right in TEXT
    with pytest.raises(RuntimeError, match="conversion"):
        load_sanitized(TEXT.replace(right, right.replace("long long start", wrong)))


def test_seeded_mistakes__races_are_noticed():
    right = "atomicAdd(&counts[row * n_accounts + target], 1)"
    assert right in TEXT
    racing = TEXT.replace(right, "counts[row * n_accounts + target] += 1")
    with pytest.raises(SanitizerError, match="data race"):
        check_pairs(
            load_sanitized(racing, "thread"), "hub", 1, 0, 45, 1, launch=(32, 4, 5), n_workers=4
        )


# --- the shim ------------------------------------------------------------------------------

ADD = """
extern "C" __global__ void add(const int *values, long long *sums, long long n, int more) {
    for (long long i = blockIdx.x * blockDim.x + threadIdx.x; i < n;
         i += gridDim.x * blockDim.x)
        sums[i] += values[i] + more;
}
"""


def add(**changed):
    values = {"values": np.arange(100, dtype=np.int32), "sums": np.zeros(100, np.int64)}
    values |= {"n": np.int64(100), "more": np.int32(5)}
    values |= changed
    options = {
        name: values.pop(name, default) for name, default in [("grid", (2,)), ("block", (7,))]
    }
    load(ADD, ("--std=c++17",)).get_function("add")(**options, args=tuple(values.values()))
    return values["sums"]


def test_shim__runs_every_thread_once():
    assert add().tolist() == list(range(5, 105))


@pytest.mark.parametrize("seed", [0, 1, 17, 2**40 + 1])
def test_shim__runs_every_thread_once_in_any_order(seed):
    sums = np.zeros(100, np.int64)
    args = (np.arange(100, dtype=np.int32), sums, np.int64(100), np.int32(5))
    add_in_order = load_sanitized(ADD.replace("long long i = ", "long long i = 1LL * "))
    add_in_order.get_function("add")((3, 2), (4, 4), args, seed=seed)
    assert sums.sum() == 2 * 4 * sum(range(5, 105))  # ADD knows of x only


@pytest.mark.parametrize(
    "changed",
    [
        {"n": 100},
        {"n": np.int32(100)},
        {"more": np.float64(5)},
        {"values": np.arange(100)},
        {"values": list(range(100))},
        {"values": np.arange(200, dtype=np.int32)[::2]},
        {"sums": np.broadcast_to(np.int64(0), 100)},
        {"further": np.int32(0)},
        {"grid": 2},
        {"block": (7.0,)},
    ],
)
def test_shim__refuses_arguments_of_other_types(changed):
    with pytest.raises(TypeError):
        add(**changed)


@pytest.mark.parametrize(
    "changed",
    [{"grid": (0,)}, {"grid": (1, 65_536)}, {"grid": (1, 1, 1, 1)}, {"block": (32, 33)}],
)
def test_shim__refuses_launches_that_a_device_refuses(changed):
    with pytest.raises(ValueError, match="has"):
        add(**changed)


def test_shim__refuses_text_without_kernels_and_unknown_names():
    with pytest.raises(ValueError, match="no kernel"):
        load("int a;")
    with pytest.raises(ValueError, match="half"):
        load(ADD.replace("int more", "half more"))
    with pytest.raises(ValueError, match="only"):
        load(ADD).get_function("subtract")
    with pytest.raises(ValueError, match="-G"):
        load(ADD, ("-G",))
