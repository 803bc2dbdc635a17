"""Gate and mixture consistency: by their equations, and as one thing in Keras and in the separator."""

import keras
import numpy as np
import pytest

from audio.consistency import LabelGate, MixtureConsistency
from audio.reweighting import share_difference

LABELS = np.array([[1, 0, 0.2], [0, 0, 0], [0, 1, 0], [1, 1, 1]], np.float32)


@pytest.fixture
def estimates(rng):
    return rng.normal(size=(4, 3, 6, 2)).astype(np.float32)


@pytest.fixture
def mixture(rng):
    return rng.normal(size=(4, 6, 2)).astype(np.float32)


def shared(estimates, mixture, labels):
    expected = estimates.astype(np.float64)
    for item in range(len(labels)):
        active = np.flatnonzero(labels[item] > 0)
        if len(active):
            expected[item, active] += (mixture[item] - estimates[item].sum(axis=0, dtype=np.float64)) / len(active)
    return expected


def test_gate_passes_active_estimates_and_zeroes_the_others(estimates, assert_everywhere):
    expected = estimates.copy()
    expected[0, 1], expected[1], expected[2, [0, 2]] = 0, 0, 0
    assert_everywhere(LabelGate(), [estimates, LABELS], expected, atol=0)


def test_difference_is_shared_among_the_active(estimates, mixture, assert_everywhere):
    expected = shared(estimates, mixture, LABELS)
    assert_everywhere(MixtureConsistency(), [estimates, mixture, LABELS], expected)


def test_absent_estimates_are_left_alone(estimates, mixture):
    output = np.asarray(MixtureConsistency()(estimates, mixture, LABELS))
    np.testing.assert_array_equal(output[LABELS == 0], estimates[LABELS == 0])
    assert not np.array_equal(output[0, 0], estimates[0, 0])


def test_gated_and_shared_estimates_add_up_to_the_mixture(estimates, mixture):
    output = np.asarray(MixtureConsistency()(LabelGate()(estimates, LABELS), mixture, LABELS))
    np.testing.assert_allclose(output.sum(axis=1)[[0, 2, 3]], mixture[[0, 2, 3]], rtol=0, atol=1e-6)
    np.testing.assert_array_equal(output[LABELS == 0], 0)


def test_separator_shares_the_same_numbers_as_the_layer(estimates, mixture):
    for item, labels in enumerate(LABELS):
        active = np.flatnonzero(labels > 0)
        gated = estimates[item : item + 1] * (labels > 0)[None, :, None, None]
        layer = np.asarray(MixtureConsistency()(gated, mixture[item : item + 1], labels[None]))[0]
        np.testing.assert_allclose(share_difference(gated[0][active], mixture[item]), layer[active], rtol=0, atol=1e-6)


def test_sharing_among_nobody_gives_nothing(mixture):
    assert share_difference(np.zeros((0, 6, 2), np.float32), mixture[0]).shape == (0, 6, 2)


def test_unknown_length_at_build_time_gives_the_same_numbers(estimates, mixture):
    inputs = [keras.Input((3, None, 2)), keras.Input((None, 2)), keras.Input((3,))]
    gated = LabelGate()(inputs[0], inputs[2])
    model = keras.Model(inputs, MixtureConsistency()(gated, inputs[1], inputs[2]))
    assert model.output_shape == (None, 3, None, 2)
    zeroed = estimates * (LABELS > 0)[:, :, None, None]
    output = model.predict_on_batch([estimates, mixture, LABELS])
    np.testing.assert_allclose(output, shared(zeroed, mixture, LABELS), rtol=0, atol=1e-6)
