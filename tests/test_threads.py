"""Work in threads: order, errors and an early end."""

import threading
import time

import pytest

from gpu_coord.ground.threads import map_ahead, prefetch


def test_map_ahead__keeps_the_order_whatever_each_item_takes():
    def work(item):
        time.sleep(0.002 * (item % 3))
        return item * item

    assert list(map_ahead(range(30), work, n_threads=3)) == [item * item for item in range(30)]


def test_map_ahead__is_only_a_few_items_ahead():
    taken = []

    def give():
        for item in range(100):
            taken.append(item)
            yield item

    results = map_ahead(give(), lambda item: item, n_threads=2)
    next(results)
    results.close()
    assert len(taken) == 3


def test_map_ahead__raises_what_the_work_raised():
    before = threading.active_count()
    results = map_ahead(range(10), lambda item: 1 // (item - 4), n_threads=2)
    with pytest.raises(ZeroDivisionError):
        list(results)
    assert threading.active_count() == before


def test_prefetch__raises_what_the_items_raised():
    def give():
        yield 1
        raise KeyError("gone")

    items = prefetch(give())
    assert next(items) == 1
    with pytest.raises(KeyError, match="gone"):
        next(items)


def test_prefetch__stops_its_thread():
    before = threading.active_count()
    items = prefetch(iter(range(1000)))
    assert next(items) == 0
    items.close()
    assert threading.active_count() == before
