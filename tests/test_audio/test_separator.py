"""What the separator promises, for networks, a pool of two, fixed filters and a network whose notes are shared out.

Estimates are made non-trivial on purpose: the first network has random weights and neither gate nor consistency of its
own, so that silence and sums are the separator's work. The second one sees to them itself.
"""

import tracemalloc

import keras
import numpy as np
import pytest
from scipy.signal import correlate, correlation_lags

from audio.activity import Activity
from audio.baselines.wiener import StaticWiener
from audio.framing import output_length, valid_lengths
from audio.note_sharing import BLOCK_SECONDS, MOST_STEMS, NoteSharing
from audio.pooled_model import PooledModel
from audio.separation_model import NetworkModel, SeparationModel
from audio.separator import Separator
from av_sep.errors import ParameterError

MODEL_RATE = 16000
ALL = np.array([1, 0.5, 0.8], np.float32)
SOME = np.array([0.9, 0, 0.4], np.float32)
NONE = np.zeros(3, np.float32)


def wiener_model(source_names=("violin", "flute", "tuba")):
    spectra = np.random.default_rng(5).uniform(0.01, 1, size=(3, 33))
    return StaticWiener(source_names, spectra / spectra.sum(axis=1, keepdims=True), MODEL_RATE)


@pytest.fixture(scope="module")
def models(conditioned_network, make_network, make_log_frequency_network):
    # More slots than the labels need.
    networks = {
        "network": NetworkModel(conditioned_network),
        "filtered": NetworkModel(make_network(conditioning="multiplicative", wiener_frame_length=48)),
        "log_frequency": NetworkModel(make_log_frequency_network(num_slots=3, memory_units=0)),
    }
    pool = PooledModel((networks["network"], networks["log_frequency"]), (3, 1), (0.5,))
    notes = NetworkModel(conditioned_network, shares_notes=True)
    return {**networks, "pool": pool, "wiener": wiener_model(), "notes": notes}


@pytest.fixture(params=("network", "filtered", "log_frequency", "pool", "wiener", "notes"))
def model(models, request):
    return models[request.param]


@pytest.fixture(scope="module")
def scaling_model(make_network):
    """A network whose estimates are 0.5, -0.25 and 2 times the mixture, by way of the mixture's own path through it."""
    network = make_network(output_activation="linear")
    network.set_weights([np.zeros_like(weights) for weights in network.get_weights()])
    layer = network.get_layer("sources")
    kernel = np.zeros(layer.kernel.shape, np.float32)
    kernel[0, -1] = (0.5, -0.25, 2.0)
    layer.set_weights([kernel, np.zeros(3, np.float32)])
    return NetworkModel(network)


def sound(rng, num_samples, num_channels=1):
    """Noise at a level that models hear as it is (see `audio.level`), however it is cut."""
    return (0.15 * rng.normal(size=(num_samples, num_channels))).astype(np.float32)


def separate(model, mixture, labels=ALL, rate=MODEL_RATE, *, consistency=False, chunk_samples=1024):
    separator = Separator(model, mixture_consistency=consistency, chunk_samples=chunk_samples)
    return separator.separate(mixture, labels, rate)


def stream_all(model, blocks, labels=ALL, rate=MODEL_RATE, *, consistency=False, chunk_samples=1024):
    """(mixture, estimates of the active, residual) of a whole stream."""
    separator = Separator(model, mixture_consistency=consistency, chunk_samples=chunk_samples)
    parts = list(separator.stream(blocks, labels, rate))
    mixture = np.concatenate([part.mixture for part in parts])
    estimates = np.concatenate([part.estimates for part in parts], axis=1)
    return mixture, estimates, np.concatenate([part.residual for part in parts])


def assert_close_to_peak(actual, expected, tolerance=1e-6):
    assert actual.shape == expected.shape
    peak = np.abs(expected).max()
    assert peak > 0.01
    assert np.abs(actual - expected).max() <= tolerance * peak


# --- shapes, rates, channels -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", (8000, 16000, 22050, 44100, 96000))
@pytest.mark.parametrize("num_samples", (1, 7, 4095, 12000))
def test_any_length_and_rate_comes_back_as_it_was(model, rng, num_samples, rate):
    mixture = sound(rng, num_samples)
    estimates = separate(model, mixture, rate=rate)
    assert estimates.shape == (3, num_samples, 1)
    assert estimates.dtype == np.float32 and np.all(np.isfinite(estimates))
    consistent = separate(model, mixture, rate=rate, consistency=True)
    np.testing.assert_allclose(consistent.sum(axis=0), mixture, rtol=0, atol=1e-6)


@pytest.mark.parametrize("num_channels", (1, 2, 6))
def test_any_number_of_channels_comes_back(model, rng, num_channels):
    estimates = separate(model, sound(rng, 3001, num_channels), rate=44100)
    assert estimates.shape == (3, 3001, num_channels)
    assert np.abs(estimates).max(axis=1).min() > 0.01


# Notes are shared out by what all channels say.
@pytest.mark.parametrize("name", ("network", "filtered", "log_frequency", "pool", "wiener"))
def test_channels_are_separated_independently(models, rng, name):
    model, left, right = models[name], sound(rng, 3000), sound(rng, 3000)
    both = separate(model, np.concatenate([left, right], axis=1), rate=22050)
    assert_close_to_peak(both[..., :1], separate(model, left, rate=22050))
    assert_close_to_peak(both[..., 1:], separate(model, right, rate=22050))


def test_a_separator_keeps_nothing_from_one_mixture_to_the_next(model, rng):
    separator = Separator(model, chunk_samples=1024)
    first = sound(rng, 3000)
    before = separator.separate(first, ALL, 44100)
    separator.separate(sound(rng, 5000, 2), SOME, 8000)
    np.testing.assert_array_equal(separator.separate(first, ALL, 44100), before)


# --- labels ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("consistency", (True, False))
@pytest.mark.parametrize("rate", (16000, 44100))
def test_absent_instrument_is_exactly_silent(model, rng, rate, consistency):
    estimates = separate(model, sound(rng, 3000, 2), SOME, rate, consistency=consistency)
    np.testing.assert_array_equal(estimates[1], 0)
    assert np.abs(estimates[[0, 2]]).max(axis=(1, 2)).min() > 0.01


@pytest.mark.parametrize("consistency", (True, False))
def test_nobody_playing_leaves_everything_in_the_residual(model, rng, consistency):
    mixture = sound(rng, 3000, 2)
    estimates = separate(model, mixture, NONE, 44100, consistency=consistency)
    np.testing.assert_array_equal(estimates, np.zeros((3, 3000, 2)))
    heard, estimates, residual = stream_all(model, [mixture[:700], mixture[700:]], NONE, consistency=consistency)
    assert estimates.shape == (0, 3000, 2)
    np.testing.assert_array_equal(heard, mixture)
    np.testing.assert_array_equal(residual, mixture)


def test_stream_gives_the_active_instruments_in_order(model, rng):
    mixture = sound(rng, 3000)
    _, estimates, _ = stream_all(model, [mixture], SOME)
    assert Separator(model).active(SOME) == (0, 2)
    np.testing.assert_array_equal(estimates, separate(model, mixture, SOME)[[0, 2]])


def test_labels_reach_a_conditioned_network(models, rng):
    mixture = sound(rng, 3000)
    soft, hard = separate(models["network"], mixture, SOME), separate(models["network"], mixture, np.ceil(SOME))
    assert np.abs(soft - hard).max() > 0.01


# --- sums ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", (ALL, SOME, np.array([0, 1, 0], np.float32)), ids=str)
@pytest.mark.parametrize("rate", (16000, 44100))
def test_consistent_estimates_add_up_to_the_mixture(model, rng, rate, labels):
    mixture = sound(rng, 5000, 2)
    estimates = separate(model, mixture, labels, rate, consistency=True)
    np.testing.assert_allclose(estimates.sum(axis=0), mixture, rtol=0, atol=1e-6)


@pytest.mark.parametrize("rate", (16000, 44100))
def test_consistency_changes_all_active_estimates_alike(models, rng, rate):
    mixture = sound(rng, 5000, 2)
    plain, consistent = (separate(models["network"], mixture, SOME, rate, consistency=c) for c in (False, True))
    moved = consistent - plain
    assert np.abs(moved[0]).max() > 0.01
    np.testing.assert_allclose(moved[0], moved[2], rtol=0, atol=1e-6)
    np.testing.assert_allclose(moved[0], (mixture - plain.sum(axis=0)) / 2, rtol=0, atol=1e-6)


@pytest.mark.parametrize("consistency", (True, False))
def test_estimates_and_residual_add_up_to_the_mixture(models, rng, consistency):
    mixture = sound(rng, 5000, 2)
    heard, estimates, residual = stream_all(models["network"], [mixture], ALL, 44100, consistency=consistency)
    np.testing.assert_array_equal(heard, mixture)
    np.testing.assert_allclose(estimates.sum(axis=0) + residual, mixture, rtol=0, atol=1e-6)
    assert (np.abs(residual).max() > 0.01) != consistency


# --- cutting ---------------------------------------------------------------------------------------------------------


def blocks_of(mixture, size):
    return [mixture[start : start + size] for start in range(0, len(mixture), size)]


@pytest.mark.parametrize("rate", (16000, 44100))
@pytest.mark.parametrize("chunk_samples", (1, 100, 777, 131072))
def test_chunking_is_inaudible(model, rng, chunk_samples, rate):
    mixture = sound(rng, 1777, 1)
    expected = separate(model, mixture, rate=rate, chunk_samples=512)
    assert_close_to_peak(separate(model, mixture, rate=rate, chunk_samples=chunk_samples), expected)


@pytest.mark.parametrize("rate", (16000, 44100))
@pytest.mark.parametrize("size", (1, 997, 5000))
def test_blocks_are_inaudible(model, rng, size, rate):
    mixture = sound(rng, 2500, 2)
    expected = separate(model, mixture, rate=rate, consistency=True)
    heard, estimates, _ = stream_all(model, blocks_of(mixture, size), ALL, rate, consistency=True)
    np.testing.assert_array_equal(heard, mixture)
    assert_close_to_peak(estimates, expected)


def test_empty_blocks_change_nothing(model, rng):
    mixture = sound(rng, 2500, 2)
    blocks = [mixture[:0], mixture[:900], mixture[:0], mixture[900:], mixture[:0]]
    heard, estimates, _ = stream_all(model, blocks, ALL, 44100)
    np.testing.assert_array_equal(heard, mixture)
    assert_close_to_peak(estimates, separate(model, mixture, rate=44100))


def test_stream_without_blocks_gives_nothing(model):
    assert list(Separator(model).stream([], ALL, 44100)) == []


def test_chunks_equal_one_pass_of_the_network_over_everything(conditioned_network, models, rng):
    mixture = sound(rng, 3333)
    context = valid_lengths(len(mixture), num_levels=3).context_samples
    num_input = valid_lengths(len(mixture), num_levels=3).num_input_samples
    padded = np.zeros((1, num_input, 1), np.float32)
    padded[0, context : context + len(mixture)] = mixture
    once = conditioned_network.predict_on_batch({"mixture": padded, "label_vector": ALL[None]})[0, :, : len(mixture)]
    assert once.shape == (3, 3333, 1) and output_length(num_input, num_levels=3) >= 3333
    for chunk_samples in (64, 1000):
        assert_close_to_peak(separate(models["network"], mixture, chunk_samples=chunk_samples), once)


# --- time ------------------------------------------------------------------------------------------------------------


def lag_of(estimate, mixture):
    lags = correlation_lags(len(estimate), len(mixture))
    return lags[np.argmax(correlate(estimate, mixture))]


def test_network_s_estimates_stay_in_place_to_the_sample(scaling_model, rng):
    mixture = sound(rng, 3001, 2)
    estimates = separate(scaling_model, mixture, chunk_samples=256)
    for estimate, gain in zip(estimates, (0.5, -0.25, 2.0), strict=True):
        np.testing.assert_allclose(estimate, gain * mixture, rtol=0, atol=1e-7)


@pytest.mark.parametrize("rate", (22050, 44100, 48000, 96000, 11025))
def test_converting_to_the_model_s_rate_and_back_moves_nothing(scaling_model, rng, make_band_noise, rate):
    mixture = make_band_noise(rng, rate, 2, 50, 0.3 * min(rate, MODEL_RATE), rate)
    estimates = separate(scaling_model, mixture, rate=rate, chunk_samples=4096)
    inside = slice(1000, -1000)
    for estimate, gain in zip(estimates, (0.5, -0.25, 2.0), strict=True):
        np.testing.assert_allclose(estimate[inside], gain * mixture[inside], rtol=0, atol=1e-4)
    assert lag_of(estimates[0, :, 0], mixture[:, 0]) == 0
    assert lag_of(estimates[2, -3000:, 1], mixture[-3000:, 1]) == 0


@pytest.mark.parametrize("rate", (44100, 192_000, 384_000))
def test_the_end_is_as_if_silence_followed(scaling_model, rng, make_band_noise, rate):
    mixture = make_band_noise(rng, rate // 20, 1, 50, 4000, rate)
    followed = np.concatenate([mixture, np.zeros((rate // 10, 1), np.float32)])
    expected = separate(scaling_model, followed, rate=rate)[:, : len(mixture)]
    np.testing.assert_allclose(separate(scaling_model, mixture, rate=rate), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("position", (0, 1, 22049, 44090, 44099))
def test_an_impulse_stays_where_it_was(models, position):
    mixture = np.zeros((44100, 1), np.float32)
    mixture[position] = 0.9
    for labels in (np.array([0, 1, 0]), ALL):
        estimates = separate(models["wiener"], mixture, labels, 44100, consistency=True)
        total = separate(models["wiener"], mixture, labels, 44100).sum(axis=0)
        assert np.argmax(np.abs(total[:, 0])) == position
        assert np.argmax(np.abs(estimates[1, :, 0])) == position


def test_a_sine_keeps_its_phase_through_the_filters(models, make_sine):
    mixture = make_sine(1000, 44100, 44100)[:, None]
    estimates = separate(models["wiener"], mixture, ALL, 44100, chunk_samples=4096)
    gains = models["wiener"].power_spectra[:, 4] / models["wiener"].power_spectra[:, 4].sum()
    for estimate, gain in zip(estimates, gains, strict=True):
        np.testing.assert_allclose(estimate[2000:-2000], gain * mixture[2000:-2000], rtol=0, atol=1e-4)


# --- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", (16000, 44100))
def test_stream_answers_before_its_input_ends(model, rng, rate):
    num_read = 0

    def endless():
        nonlocal num_read
        while True:
            num_read += 500
            assert num_read < 60000 + 2 * delay, "the stream is read further than its answers need"
            yield sound(rng, 500)

    chunk_samples = 1024
    plan = model.chunk_plan(chunk_samples)
    block_samples = BLOCK_SECONDS * MODEL_RATE if getattr(model, "shares_notes", False) else 0
    delay = (plan.num_input_samples + chunk_samples + block_samples) * rate / MODEL_RATE + 4000
    num_given = 0
    for part in Separator(model, chunk_samples=chunk_samples).stream(endless(), ALL, rate):
        num_given += len(part.mixture)
        assert num_read - num_given <= delay
        if num_given > 60000:
            break
    assert num_given <= num_read


def peak_bytes(model, num_seconds):
    block = np.zeros((4000, 1), np.float32)
    stream = Separator(model, chunk_samples=4096).stream((block for _ in range(11 * num_seconds)), ALL, 44100)
    tracemalloc.start()
    num_given = sum(len(part.mixture) for part in stream)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert num_given == 44000 * num_seconds
    return peak


def test_memory_does_not_grow_with_the_length_of_the_stream(models):
    # Keeping all of the longer stream's mixture alone would take 44000 * 30 * 4 bytes = 5.3 MB more.
    assert peak_bytes(models["wiener"], 35) < peak_bytes(models["wiener"], 5) + 500_000


# --- notes -----------------------------------------------------------------------------------------------------------


def test_notes_are_shared_out_where_the_model_or_the_separator_says(models, rng):
    mixture = sound(rng, 20_000)
    plain, shared = (Separator(models[name]).separate(mixture, SOME, MODEL_RATE) for name in ("network", "notes"))
    assert np.abs(plain - shared).max() > 0.01
    # Noise at the model's own rate: no converter comes between.
    sharing = NoteSharing(MODEL_RATE)
    own = Separator(models["network"], mixture_consistency=False).separate(mixture, SOME, MODEL_RATE)[[0, 2]]
    expected = np.concatenate([sharing.push(own), sharing.finish()], axis=1)
    given = Separator(models["notes"], mixture_consistency=False).separate(mixture, SOME, MODEL_RATE)[[0, 2]]
    # The separator lets the model hear a bit of silence after the end.
    before_end = slice(-4096)
    changed = np.abs(own - expected)[:, before_end].max()
    assert np.abs(given - expected)[:, before_end].max() < 0.05 * changed
    for name, share_notes, same in (("network", True, shared), ("notes", False, plain)):
        separator = Separator(models[name], share_notes=share_notes)
        np.testing.assert_array_equal(separator.separate(mixture, SOME, MODEL_RATE), same)


def test_notes_are_not_shared_out_among_more_stems_than_it_helps(make_network, rng):
    names = tuple("abcdefghijklm")
    model = NetworkModel(make_network(names, conditioning="multiplicative"))
    mixture = sound(rng, 9000)
    for num_active, same in ((MOST_STEMS, False), (MOST_STEMS + 1, True)):
        labels = (np.arange(len(names)) < num_active).astype(np.float32)
        plain, shared = (
            Separator(model, share_notes=share_notes).separate(mixture, labels, MODEL_RATE)
            for share_notes in (False, True)
        )
        assert np.array_equal(plain, shared) == same


# --- what cannot be used ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "message"),
    (
        (np.ones(2), r"one label per instrument: violin, flute, tuba\. Received: shape \(2,\)"),
        (np.ones((1, 3)), r"one label per instrument.*shape \(1, 3\)"),
        (np.array([0, 1.5, 0]), r"labels in \[0, 1\]\. Received: \[0.0, 1.5, 0.0\]"),
        (np.array([0, -0.5, 0]), r"labels in \[0, 1\]\. Received: \[0.0, -0.5, 0.0\]"),
        (np.array([0, np.nan, 0]), r"labels in \[0, 1\]\. Received: \[0.0, nan, 0.0\]"),
    ),
    ids=str,
)
def test_labels_that_cannot_be_used_are_refused(models, rng, labels, message):
    with pytest.raises(ParameterError, match=message):
        separate(models["wiener"], sound(rng, 100), labels)


@pytest.mark.parametrize("rate", (0, -44100))
def test_a_rate_that_cannot_be_is_refused(models, rng, rate):
    with pytest.raises(ParameterError, match=f"positive sample rate in Hz. Received: sample_rate_hz={rate}"):
        separate(models["wiener"], sound(rng, 100), rate=rate)


@pytest.mark.parametrize("shape", ((100,), (0, 2), (100, 0), (2, 100, 1)), ids=str)
def test_mixtures_of_another_shape_are_refused(models, shape):
    with pytest.raises(ParameterError, match=r"mixture \[time, channels\] with sound\. Received: shape \("):
        separate(models["wiener"], np.zeros(shape, np.float32))


@pytest.mark.parametrize("value", (np.nan, np.inf, -np.inf))
@pytest.mark.parametrize("labels", (ALL, NONE), ids=("somebody", "nobody"))
def test_samples_that_are_no_numbers_are_refused(models, rng, value, labels):
    mixture = sound(rng, 100, 2)
    mixture[70, 1] = value
    with pytest.raises(ParameterError, match="finite samples; clean the recording first. Received: NaN or infinity"):
        separate(models["wiener"], mixture, labels)


def test_blocks_of_another_shape_are_refused(models, rng):
    separator = Separator(models["wiener"])
    with pytest.raises(ParameterError, match=r"blocks \[time, 2\]\. Received: shape \(50, 1\)"):
        list(separator.stream([sound(rng, 100, 2), sound(rng, 50, 1)], ALL, 16000))
    with pytest.raises(ParameterError, match=r"blocks \[time, channels\]\. Received: shape \(100,\)"):
        list(separator.stream([np.zeros(100)], ALL, 16000))


@pytest.mark.parametrize("chunk_samples", (0, -1))
def test_chunks_of_no_samples_are_refused(models, chunk_samples):
    with pytest.raises(ParameterError, match=f"chunk_samples >= 1. Received: chunk_samples={chunk_samples}"):
        Separator(models["wiener"], chunk_samples=chunk_samples)


# --- the adapter of networks -----------------------------------------------------------------------------------------


def test_every_model_keeps_the_protocol(model):
    assert isinstance(model, SeparationModel)
    assert Separator(model).source_names == ("violin", "flute", "tuba")
    plan = model.chunk_plan(1000)
    estimates = model.separate_chunk(np.ones(plan.num_input_samples, np.float32), ALL)
    assert estimates.dtype == np.float32
    assert len(estimates) == 3 and plan.hop_samples <= estimates.shape[1]


def test_zero_padded_network_is_run_with_valid_convolutions(make_network, models, rng):
    padded = make_network(conditioning="multiplicative", context=False)
    mixture = sound(rng, 3000)
    assert_close_to_peak(separate(NetworkModel(padded), mixture), separate(models["network"], mixture))


def test_a_network_that_is_being_trained_keeps_its_optimizer(make_spectrogram_network, rng):
    network = make_spectrogram_network()
    optimizer = keras.optimizers.Adam(1e-3)
    network.compile(optimizer, "mse")
    model = NetworkModel(network)
    assert model.network is network
    separate(model, sound(rng, 3000))
    assert network.optimizer is optimizer


def test_network_for_two_channels_is_refused(make_network):
    with pytest.raises(ParameterError, match="network for one channel.*Received: num_channels=2"):
        NetworkModel(make_network(num_channels=2))


# --- who plays when --------------------------------------------------------------------------------------------------


def first_rests_from(model, rest_seconds):
    """Everybody plays, but the first source no more from a time on."""
    names = tuple(model.source_names)
    log_odds = np.full((2, 3), 5.0, np.float32)
    log_odds[1, 0] = -60
    return Activity(names, np.array([rest_seconds, rest_seconds + 0.01]), log_odds)


@pytest.mark.parametrize("rate", (8000, 16000, 44100))
@pytest.mark.parametrize("num_channels", (1, 2))
def test_who_rests_is_silent_and_the_others_get_his_share(model, rng, rate, num_channels):
    mixture = sound(rng, 2 * rate, num_channels)
    separator = Separator(model, chunk_samples=1024)
    plain = separator.separate(mixture, ALL, rate)
    gated = separator.separate(mixture, ALL, rate, activity=first_rests_from(model, 1.0))
    before, after = slice(0, int(0.7 * rate)), slice(int(1.3 * rate), 2 * rate)
    np.testing.assert_allclose(gated[:, before], plain[:, before], atol=1e-5)
    assert np.abs(plain[0, after]).max() > 0.01 and np.abs(gated[0, after]).max() < 1e-6
    np.testing.assert_allclose(gated.sum(axis=0), mixture, atol=1e-5)


def test_gating_a_stream_is_gating_the_whole(model, rng):
    mixture = sound(rng, 30_000, 2)
    activity = first_rests_from(model, 0.9)
    separator = Separator(model, chunk_samples=1024)
    whole = separator.separate(mixture, SOME, MODEL_RATE, activity=activity)
    blocks = np.split(mixture, np.sort(rng.integers(0, len(mixture), 25)))
    parts = list(separator.stream(blocks, SOME, MODEL_RATE, activity=activity))
    np.testing.assert_allclose(np.concatenate([part.mixture for part in parts]), mixture, atol=1e-7)
    estimates = np.concatenate([part.estimates for part in parts], axis=1)
    assert_close_to_peak(estimates, whole[[0, 2]], 1e-5)


def test_soloist_keeps_everything_however_unlikely(model, rng):
    mixture = sound(rng, 4000)
    alone = np.array([1, 0, 0], np.float32)
    separator = Separator(model, chunk_samples=1024)
    gated = separator.separate(mixture, alone, MODEL_RATE, activity=first_rests_from(model, 0.0))
    np.testing.assert_array_equal(gated, separator.separate(mixture, alone, MODEL_RATE))


def test_activity_of_others_is_refused_at_once(model):
    activity = Activity(("oboe",), np.zeros(1), np.zeros((1, 1), np.float32))
    with pytest.raises(ParameterError, match="Expected instruments that were listened for"):
        Separator(model).stream([], ALL, MODEL_RATE, activity=activity)
    with pytest.raises(ParameterError, match="Expected instruments that were listened for"):
        Separator(model).stream([], np.array([1, 0, 0], np.float32), MODEL_RATE, activity=activity)


def test_a_source_may_fill_one_buffer_again_and_again(model, rng):
    mixture = sound(rng, 40_000)

    def refilled():
        buffer = np.zeros((1000, 1), np.float32)
        for start in range(0, len(mixture), 1000):
            buffer[:] = mixture[start : start + 1000]
            yield buffer

    blocks = list(Separator(model).stream(refilled(), ALL, MODEL_RATE))
    np.testing.assert_array_equal(np.concatenate([block.mixture for block in blocks]), mixture)


@pytest.mark.parametrize("rate_hz", (0, -1, float("inf"), float("nan")))
def test_a_rate_that_is_none_is_refused(model, rng, rate_hz):
    with pytest.raises(ParameterError, match="positive sample rate"):
        Separator(model).separate(sound(rng, 2000), ALL, rate_hz)


@pytest.mark.parametrize("gain", (0, -1, float("inf"), float("nan")))
def test_a_gain_that_is_none_is_refused(model, rng, gain):
    with pytest.raises(ParameterError, match="gain above 0"):
        Separator(model).stream([sound(rng, 2000)], ALL, MODEL_RATE, gain=gain)
