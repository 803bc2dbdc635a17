"""Keeping a few frames of a stream of unknown length."""

import pytest

from pipelines.look import EvenlySpread


@pytest.mark.parametrize("count", [1, 5, 12, 13, 100, 3601])
def test_kept_items_are_few_evenly_spread_and_begin_with_the_first(count):
    kept = EvenlySpread(12)
    for item in range(count):
        kept.offer(item)
        assert len(kept.items) <= 12
    steps = {b - a for a, b in zip(kept.items, kept.items[1:])}
    assert kept.items[0] == 0 and len(steps) <= 1
    assert len(kept.items) >= min(count, 6)
    assert kept.items[-1] >= count - 1 - (steps.pop() if steps else 0)
