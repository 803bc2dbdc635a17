"""What every loss of the factory promises: finite, in float32, per example, the same however it is run."""

import numpy as np
import pytest
import tensorflow as tf

from audio.losses import LOSSES, make_loss
from av_sep.errors import ParameterError

EVERY_LOSS = pytest.mark.parametrize("name", LOSSES)
NUM_SAMPLES = 300
SHORT = {"mr_stft": {"resolutions": ((64, 40, 8), (32, 24, 10))}}


def short_loss(name, **options):
    return make_loss(name, **{**SHORT.get(name, {}), **options})


@pytest.fixture
def references(rng):
    drawn = 0.3 * rng.normal(size=(4, 3, NUM_SAMPLES, 2))
    drawn[0, 1] = 0
    drawn[1, :2] = 0
    return drawn.astype(np.float32)


@pytest.fixture
def estimates(rng, references):
    return (references + 0.1 * rng.normal(size=references.shape)).astype(np.float32)


def value_and_gradient(loss, references, estimates, jit_compile=False):
    @tf.function(jit_compile=jit_compile)
    def run(estimates):
        with tf.GradientTape() as tape:
            tape.watch(estimates)
            value = loss(references, estimates)
        return value, tape.gradient(value, estimates)

    value, gradient = run(tf.constant(estimates))
    return float(value), gradient.numpy()


CASES = ("noisy", "perfect", "silent estimate", "opposite", "silent everywhere", "leak into silence", "dust")


def case(name, references, estimates):
    silence = np.zeros_like(references)
    return {
        "noisy": (references, estimates),
        "perfect": (references, references),
        "silent estimate": (references, silence),
        "opposite": (references, -references),
        "silent everywhere": (silence, silence),
        "leak into silence": (silence, estimates),
        "dust": (1e-15 * references, 1e-17 * estimates),
    }[name]


@EVERY_LOSS
@pytest.mark.parametrize("name_of_case", CASES)
def test_value_and_gradient_are_finite(name, name_of_case, references, estimates):
    value, gradient = value_and_gradient(short_loss(name), *case(name_of_case, references, estimates))
    assert np.isfinite(value) and np.all(np.isfinite(gradient))
    if name_of_case in ("noisy", "leak into silence"):
        assert np.any(gradient, axis=(2, 3)).all()


@EVERY_LOSS
@pytest.mark.parametrize("name_of_case", ("noisy", "perfect"))
def test_eager_and_xla_agree_in_value_and_gradient(name, name_of_case, references, estimates):
    references, estimates = case(name_of_case, references, estimates)
    loss = short_loss(name)
    eager = float(loss(references, estimates))
    value, gradient = value_and_gradient(loss, references, estimates)
    compiled, compiled_gradient = value_and_gradient(loss, references, estimates, jit_compile=True)
    assert eager == pytest.approx(value, rel=1e-5, abs=1e-3)
    assert compiled == pytest.approx(value, rel=1e-5, abs=1e-3)
    if name_of_case == "noisy":
        np.testing.assert_allclose(compiled_gradient, gradient, rtol=0, atol=1e-4 * np.abs(gradient).max())


@EVERY_LOSS
def test_gradient_leads_downhill(name, references, estimates):
    loss = short_loss(name)
    value, gradient = value_and_gradient(loss, references, estimates)
    step = 1e-3 * abs(value) / np.sum(gradient.astype(np.float64) ** 2)
    lower = float(loss(references, (estimates - step * gradient).astype(np.float32)))
    assert lower == pytest.approx(value - 1e-3 * abs(value), rel=2e-4)


@EVERY_LOSS
def test_loss_tells_truth_from_silence_the_mixture_and_exchanged_sources(name, references):
    loss = short_loss(name)
    mixture = np.repeat(references.sum(axis=1, keepdims=True), 3, axis=1)
    wrong = (0 * references, mixture, references[:, ::-1])
    # A shifted copy has the same magnitudes, which is all that spectra of magnitudes can tell.
    shifted = () if name == "mr_stft" else (np.roll(references, 1, axis=2),)
    truth = float(loss(references, references))
    errors = [float(loss(references, estimate)) - truth for estimate in (*wrong, *shifted)]
    near = float(loss(references, references + 1e-3)) - truth
    assert min(errors) > 10 * max(near, 0)


@EVERY_LOSS
def test_batch_is_the_mean_of_its_examples(name, references, estimates):
    each = [float(short_loss(name)(references[i : i + 1], estimates[i : i + 1])) for i in range(4)]
    assert float(short_loss(name)(references, estimates)) == pytest.approx(np.mean(each), rel=1e-5)
    np.testing.assert_allclose(short_loss(name, reduction=None)(references, estimates), each, rtol=1e-5)
    assert len(set(each)) == 4


@EVERY_LOSS
def test_absent_and_exactly_silent_source_changes_no_other_loss(name, references, estimates):
    silence = np.zeros_like(references[:, :1])
    loss = short_loss(name)
    grown = float(loss(np.concatenate([references, silence], 1), np.concatenate([estimates, silence], 1)))
    # Only a mean over sources counts the silent one.
    scale = 3 / 4 if name in ("mse", "l1") else 1
    assert grown == pytest.approx(scale * float(loss(references, estimates)), rel=1e-5)


@EVERY_LOSS
def test_dust_that_converters_leave_in_silence_changes_nothing(name, rng, references, estimates):
    silence = np.zeros_like(references[:, :2])
    dust = (1e-9 * rng.normal(size=silence.shape)).astype(np.float32)
    clean, dusty = (
        float(short_loss(name)(np.concatenate([references, rest], 1), np.concatenate([estimates, silence], 1)))
        for rest in (silence, dust)
    )
    assert dusty == pytest.approx(clean, rel=1e-4)


@EVERY_LOSS
def test_half_precision_inputs_are_measured_in_full(name, references, estimates):
    rounded = tf.cast(estimates, "bfloat16")
    expected = float(short_loss(name)(references, tf.cast(rounded, "float32")))
    called = short_loss(name).call(references, rounded)
    assert called.dtype == tf.float32
    assert float(short_loss(name)(references, rounded)) == pytest.approx(expected, rel=1e-6)
    assert float(tf.reduce_mean(called)) == pytest.approx(expected, rel=1e-6)


@EVERY_LOSS
def test_factory_makes_what_its_config_brings_back(name):
    loss = make_loss(name)
    assert type(loss) is LOSSES[name]
    assert type(loss).from_config(loss.get_config()).get_config() == loss.get_config()


def test_factory_passes_options_on():
    assert make_loss("neg_snr", floor_db=-12.0).floor_db == -12.0
    assert make_loss("mr_stft", resolutions=[[64, 32, 8]]).resolutions == ((64, 32, 8),)


def test_unknown_loss_is_refused_with_the_known_ones():
    with pytest.raises(ParameterError, match="among mse, sse, l1, neg_snr, neg_si_sdr, mr_stft. Received: 'huber'"):
        make_loss("huber")


@EVERY_LOSS
def test_unknown_option_is_refused(name):
    with pytest.raises(ParameterError, match=f"options of the loss {name}. Received: .*'flor_db': -3"):
        make_loss(name, flor_db=-3)
