"""Negative SNR: worked by hand, rewritten in NumPy, and where it could blow up."""

import math

import numpy as np
import pytest
import tensorflow as tf

from audio.losses import NegativeSNR


def numpy_loss(references, estimates, floor_db):
    losses = []
    for reference, estimate in zip(references.astype(np.float64), estimates.astype(np.float64)):
        floor = 10 ** (floor_db / 10) * sum(np.sum(s**2) for s in reference) + 1e-8
        ratios = [
            10 * np.log10((np.sum((s - e) ** 2) + floor) / (np.sum(s**2) + floor)) for s, e in zip(reference, estimate)
        ]
        losses.append(sum(ratios) / max(1, sum(np.any(s) for s in reference)))
    return np.mean(losses)


def batch(rng):
    references = rng.normal(size=(4, 3, 50, 2)).astype(np.float32)
    references[0, 1] = 0
    references[1, :2] = 0
    return references, (references + 0.3 * rng.normal(size=references.shape)).astype(np.float32)


def loss_of(reference, estimate, **options):
    shape = (1, len(reference), -1, 1)
    return float(NegativeSNR(**options)(np.reshape(reference, shape), np.reshape(estimate, shape)))


@pytest.mark.parametrize(
    ("reference", "estimate", "expected"),
    (
        # One source of energy 25, floor 0.025: perfect, error (0, 1), silent, and twice too loud.
        ([[3.0, 4.0]], [[3.0, 4.0]], 10 * math.log10(0.025 / 25.025)),
        ([[3.0, 4.0]], [[3.0, 5.0]], 10 * math.log10(1.025 / 25.025)),
        ([[3.0, 4.0]], [[0.0, 0.0]], 0.0),
        ([[3.0, 4.0]], [[6.0, 8.0]], 0.0),
        # A silent companion: its leak of energy 4 is weighed against the floor, and only one source counts.
        ([[3.0, 4.0], [0.0, 0.0]], [[3.0, 5.0], [0.0, 0.0]], 10 * math.log10(1.025 / 25.025)),
        ([[3.0, 4.0], [0.0, 0.0]], [[3.0, 5.0], [2.0, 0.0]], 10 * math.log10(1.025 / 25.025 * 4.025 / 0.025)),
        # Two sources: the mean of both, floor from the sum of both energies (25 + 1).
        ([[3.0, 4.0], [0.0, 1.0]], [[3.0, 5.0], [0.0, 0.0]], 5 * math.log10(1.026 / 25.026)),
    ),
)
def test_loss_worked_by_hand(reference, estimate, expected):
    assert loss_of(reference, estimate) == pytest.approx(expected, abs=1e-4)


def test_loss_equals_its_numpy_rewrite(rng):
    references, estimates = batch(rng)
    for floor_db in (-30.0, -10.0):
        expected = numpy_loss(references, estimates, floor_db)
        assert float(NegativeSNR(floor_db)(references, estimates)) == pytest.approx(expected, abs=1e-4)


def test_graph_and_xla_give_the_same(rng):
    references, estimates = batch(rng)
    expected = numpy_loss(references, estimates, -30.0)
    loss = NegativeSNR()
    for jit_compile in (False, True):
        compiled = tf.function(lambda s, e: loss(s, e), jit_compile=jit_compile)
        assert float(compiled(references, estimates)) == pytest.approx(expected, abs=1e-4)


def test_louder_recording_has_the_same_loss(rng):
    references, estimates = batch(rng)
    expected = float(NegativeSNR()(references, estimates))
    assert float(NegativeSNR()(100 * references, 100 * estimates)) == pytest.approx(expected, abs=1e-4)


def test_shifted_and_swapped_estimates_cost_more(rng):
    references, estimates = batch(rng)
    loss = float(NegativeSNR()(references, estimates))
    assert float(NegativeSNR()(references, np.roll(estimates, 1, axis=2))) > loss + 5
    assert float(NegativeSNR()(references, estimates[:, ::-1])) > loss + 5


def test_silence_everywhere_is_finite():
    silence = np.zeros((2, 3, 50, 1), np.float32)
    assert float(NegativeSNR()(silence, silence)) == 0
    leak = float(NegativeSNR()(silence, silence + 0.1))
    assert np.isfinite(leak) and leak > 0


@pytest.mark.parametrize("case", ("noisy", "perfect", "silent estimate", "silent everywhere"))
def test_gradient_is_finite(rng, case):
    references, estimates = batch(rng)
    if case == "perfect":
        estimates = references
    if case != "noisy" and case != "perfect":
        estimates = np.zeros_like(references)
    if case == "silent everywhere":
        references = np.zeros_like(references)
    estimates = tf.constant(estimates)
    with tf.GradientTape() as tape:
        tape.watch(estimates)
        loss = NegativeSNR()(references, estimates)
    gradient = tape.gradient(loss, estimates).numpy()
    assert np.all(np.isfinite(gradient))
    assert np.any(gradient) == (case in ("noisy", "silent estimate"))


def test_gradient_points_away_from_the_reference(rng):
    references, estimates = batch(rng)
    estimates = tf.constant(estimates)
    with tf.GradientTape() as tape:
        tape.watch(estimates)
        loss = NegativeSNR()(references, estimates)
    gradient = tape.gradient(loss, estimates).numpy()
    error = estimates.numpy() - references
    along = np.sum(gradient * error, axis=(2, 3)) / np.sqrt(
        np.sum(gradient**2, axis=(2, 3)) * np.sum(error**2, axis=(2, 3))
    )
    np.testing.assert_allclose(along, 1, atol=1e-4)


def test_half_precision_estimates_are_measured_in_full(rng):
    references, estimates = batch(rng)
    rounded = tf.cast(estimates, "bfloat16")
    expected = numpy_loss(references, tf.cast(rounded, "float32").numpy(), -30.0)
    assert float(NegativeSNR()(references, rounded)) == pytest.approx(expected, abs=1e-3)
