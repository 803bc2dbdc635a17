"""Slots against loops in NumPy; eager, traced and compiled by XLA."""

import numpy as np
import pytest

from audio.slots import ActiveSlots, FromSlots, ToSlots
from av_sep.errors import ParameterError

LABELS = np.array([[1, 0, 0.2, 0.7], [0, 0, 0, 0], [0, 1, 0, 0], [0.3, 0.5, 0.4, 0.1], [1, 1, 0, 1]], np.float32)


def slots_of(labels, num_slots):
    """Rows of the identity for the highest labels, the first of equal ones first, as long as they are above 0."""
    slots = np.zeros((len(labels), num_slots, labels.shape[1]), np.float32)
    for item, row in enumerate(labels):
        for slot, source in enumerate(sorted(range(len(row)), key=lambda source: -row[source])[:num_slots]):
            slots[item, slot, source] = row[source] > 0
    return slots


@pytest.mark.parametrize("num_slots", (1, 2, 4))
def test_slots_go_to_the_highest_labels(assert_everywhere, num_slots):
    assert_everywhere(ActiveSlots(num_slots), [LABELS], slots_of(LABELS, num_slots), atol=0)


def test_slots_of_known_labels():
    slots = np.asarray(ActiveSlots(2)(LABELS))
    np.testing.assert_array_equal(slots.sum(axis=(1, 2)), [2, 0, 1, 2, 2])
    np.testing.assert_array_equal(slots[0], [[1, 0, 0, 0], [0, 0, 0, 1]])
    np.testing.assert_array_equal(slots[2], [[0, 1, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(slots[3], [[0, 1, 0, 0], [0, 0, 1, 0]])


@pytest.mark.parametrize("num_slots", (0, -1))
def test_no_slots_at_all_are_refused(num_slots):
    with pytest.raises(ParameterError, match=f"num_slots >= 1. Received: num_slots={num_slots}"):
        ActiveSlots(num_slots)


@pytest.mark.parametrize("num_slots", (2, 4))
def test_estimates_of_slots_go_to_their_sources(rng, assert_everywhere, num_slots):
    estimates = rng.normal(size=(5, num_slots, 9, 2)).astype(np.float32)
    slots, expected = slots_of(LABELS, num_slots), np.zeros((5, 4, 9, 2), np.float32)
    for item, slot, source in np.argwhere(slots):
        expected[item, source] = estimates[item, slot]
    assert_everywhere(FromSlots(), [estimates, slots], expected, atol=0)


@pytest.mark.parametrize("num_slots", (2, 4))
def test_estimates_of_sources_go_to_their_slots(rng, assert_everywhere, num_slots):
    estimates = rng.normal(size=(5, 4, 9, 2)).astype(np.float32)
    slots, expected = slots_of(LABELS, num_slots), np.zeros((5, num_slots, 9, 2), np.float32)
    for item, slot, source in np.argwhere(slots):
        expected[item, slot] = estimates[item, source]
    assert_everywhere(ToSlots(), [estimates, slots], expected, atol=0)


@pytest.mark.parametrize(
    ("layer", "shapes"),
    (
        (ActiveSlots(3), lambda time: [(2, 4)]),
        (ToSlots(), lambda time: [(2, 4, time, 2), (2, 3, 4)]),
        (FromSlots(), lambda time: [(2, 3, time, 2), (2, 3, 4)]),
    ),
    ids=("active", "to", "from"),
)
def test_declared_output_shapes_are_the_real_ones(layer, shapes):
    output = layer(*(np.ones(shape, np.float32) for shape in shapes(333)))
    assert layer.compute_output_shape(*shapes(333)) == tuple(output.shape)
    unknown = tuple(None if size == 333 else size for size in output.shape)
    assert layer.compute_output_shape(*shapes(None)) == unknown
