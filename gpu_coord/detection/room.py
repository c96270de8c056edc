"""Counts of a run of `detect` -> the memory that it will hold, refused where that is not there.

The one idea: events are known before cells, and cells bound pairs; pairs are counted, which is
quick, only where the bound would not fit, so that nothing is refused that would have fitted.
"""

from collections.abc import Sequence

from gpu_coord.activity.cells import USUAL_KINDS
from gpu_coord.activity.counts import Margins, bound_pairs, count_pairs, plan_blocks
from gpu_coord.detection.settings import DetectSettings
from gpu_coord.detection.stages import Stages
from gpu_coord.ground.threads import map_ahead
from gpu_coord.results.command import Work
from gpu_coord.store.queries import choose_kinds, count_events

# Bytes at the peak, measured on archives of 20,000 to 1.3 million events; rather too few, so that
# nothing is refused that would have fitted.
_EVENT_BYTES = 240  # of an event, whatever comes of it
_CELL_BYTES = 160  # of a cell, beside pairs
_TESTED_BYTES = 170  # of a pair at a lag, where all are tested
_EDGE_BYTES = 400  # of a pair that is an edge of the network, as all are where none is tested
_FEWER_EVENTS = "choose a time range, fewer --kinds or a larger --min-posts"
_FEWER_PAIRS = "choose a larger --min-support or --min-posts, fewer --lags or a time range"


def check_events(work: Work, settings: DetectSettings) -> None:
    """Refuse more events than cells can be made of, before any is read.

    Where accounts are chosen, how many events are left is not known before that, and all pass.
    """
    if settings.min_posts > 1 or settings.top_percent < 100 or settings.match is not None:
        return
    kinds = settings.kinds or choose_kinds(work.store, usual=USUAL_KINDS)
    n_events = count_events(work.store, kinds, start=settings.start_ms, end=settings.end_ms)
    work.room.require(_EVENT_BYTES * n_events, f"{n_events:,} events", way_out=_FEWER_EVENTS)


def check_pairs(
    work: Work, settings: DetectSettings, stages: Stages, margins: Sequence[Margins]
) -> None:
    """Refuse more pairs of accounts than can be held, before any is tested or weighed."""
    held = _CELL_BYTES * stages.activity.n_cells
    each = _TESTED_BYTES if settings.is_tested else _EDGE_BYTES
    most = sum(
        int(bound_pairs(stages.index, margin, min_support=settings.min_support).sum())
        for margin in margins
    )
    if work.room.has(held + each * most):
        return
    n_pairs = _count_pairs(settings, stages, margins)
    what = f"{n_pairs:,} pairs of accounts that coincide"
    work.room.require(held + each * n_pairs, what, way_out=_FEWER_PAIRS)


def _count_pairs(settings: DetectSettings, stages: Stages, margins: Sequence[Margins]) -> int:
    """Count the pairs of all lags, and forget them."""
    n_pairs = 0
    for margin in margins:

        def count(block: tuple[int, int], margin: Margins = margin) -> int:
            found = count_pairs(stages.index, margin, *block, min_support=settings.min_support)
            return int(found.target.size)

        blocks = plan_blocks(
            stages.index, [margin], min_support=settings.min_support, memory=stages.block_bytes
        )
        n_pairs += sum(map_ahead(blocks, count, n_threads=stages.n_threads))
    return n_pairs
