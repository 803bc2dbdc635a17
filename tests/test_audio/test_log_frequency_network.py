"""The log-frequency network's options, sizes and promises."""

import keras
import numpy as np
import pytest

from audio.conditioning import MECHANISMS
from audio.log_frequency_layers import LogFrequencySpectrogram
from audio.log_frequency_network import LogFrequencyNetwork
from audio.losses import NegativeSNR
from audio.networks import build_network
from av_sep.errors import ParameterError
from av_sep.instruments import URMP_13

LABELS = np.array([[1, 0, 0.4], [0, 1, 0], [0.7, 1, 1], [0, 0, 0]], np.float32)
EVERY_MECHANISM = pytest.mark.parametrize("mechanism", MECHANISMS)


@pytest.fixture
def mixture(rng):
    return (0.3 * rng.normal(size=(4, 205, 1))).astype(np.float32)


def run(network, mixture, labels):
    return np.asarray(network({"mixture": mixture, "label_vector": labels}))


def between(network, first, last):
    """The part of a network from one layer's output to another's."""
    labels = next(tensor for tensor in network.inputs if tensor.name == "label_vector")
    return keras.Model([network.get_layer(first).output, labels], network.get_layer(last).output)


def counted(num_sources, fine=16, filters=64, bands=288, blocks=8, units=256):
    """Kernels and offsets of the published size, layer by layer."""
    film, norm, coarse = 2 * 64 * filters, 2 * filters, bands // 4
    stem = 9 * 8 * fine + fine + 9 * fine * fine + fine + 3 * 8 * fine * filters + filters + coarse * filters
    block = norm + film + 5 * filters * filters + filters + 3 * filters * filters + filters
    frame = 24 * coarse
    memory = norm + filters * 24 + 24 + frame * units + units + 2 * 64 * units + 5 * (3 * units * units + units)
    memory += units * frame + frame + 24 * filters + filters
    head = norm + filters * 4 * fine + 4 * fine + 9 * 2 * fine * 2 * fine + 2 * fine
    return num_sources * 64 + 64 + stem + blocks * block + 2 * memory + head + (2 * fine + 1 + bands) * num_sources


def test_network_of_the_default_size():
    network = LogFrequencyNetwork(URMP_13.names)
    assert network.count_params() == 4_195_261 == counted(13)
    assert network.get_layer("spectrogram").output.shape[2:] == (288, 1)
    assert network.get_layer("harmonics").offsets == (-36, 0, 36, 57, 72, 84, 93, 101)
    assert network.get_layer("band_bias").output.shape[2:] == (72, 64)
    dilations = [network.get_layer(f"block_{i}_{axis}").dilation_rate for i in range(8) for axis in ("bands", "time")]
    assert dilations == 2 * [(1, 1), (1, 1), (1, 2), (2, 1), (1, 4), (4, 1), (1, 8), (8, 1)]
    memories = [layer.name for layer in network.layers if layer.name.startswith("memory") and layer.name[7:].isdigit()]
    assert memories == ["memory_3", "memory_7"]
    assert network.reach_frames == 4 + 2 * 15 + 2 * 31


@pytest.mark.parametrize("conditioning", ("film", None))
@pytest.mark.parametrize("num_channels", (1, 2))
def test_any_length_comes_back(make_log_frequency_network, rng, num_channels, conditioning):
    network = make_log_frequency_network(num_channels=num_channels, conditioning=conditioning)
    for num_samples in (1, 15, 16, 17, 64, 1000):
        inputs = {"mixture": rng.normal(size=(2, num_samples, num_channels)).astype(np.float32)}
        inputs.update({"label_vector": np.ones((2, 3), np.float32)} if conditioning else {})
        estimates = np.asarray(network(inputs))
        assert estimates.shape == (2, 3, num_samples, num_channels) and np.all(np.isfinite(estimates))
        np.testing.assert_allclose(estimates.sum(axis=1), inputs["mixture"], rtol=0, atol=5e-6)
    assert network.output_shape == (None, 3, None, num_channels)
    assert network.output_samples(333) == 333


def test_one_mask_for_all_channels(make_log_frequency_network, rng):
    network = make_log_frequency_network(num_channels=2, conditioning=None)
    mixture = np.repeat(0.3 * rng.normal(size=(1, 205, 1)), 2, axis=2).astype(np.float32)
    mixture[..., 1] *= -3
    estimates = np.asarray(network({"mixture": mixture}))
    np.testing.assert_allclose(estimates[..., 1], -3 * estimates[..., 0], rtol=0, atol=5e-6)
    assert np.abs(estimates[:, 0] - estimates[:, 1]).max() > 0.01
    mixture[..., 1] = 0
    after = np.asarray(network({"mixture": mixture}))
    np.testing.assert_allclose(after[..., 1], 0, rtol=0, atol=1e-6)
    assert np.abs(after[..., 0] - estimates[..., 0]).max() > 1e-3


@EVERY_MECHANISM
def test_labelled_estimates_add_up_to_the_mixture_and_the_absent_are_exactly_silent(
    make_log_frequency_network, mixture, mechanism
):
    network = make_log_frequency_network(conditioning=mechanism)
    assert network.get_layer("block_1_labels").mechanism == network.get_layer("memory_1_labels").mechanism == mechanism
    estimates = run(network, mixture, LABELS)
    np.testing.assert_allclose(estimates.sum(axis=1)[:3], mixture[:3], rtol=0, atol=2e-6)
    np.testing.assert_array_equal(estimates[LABELS == 0], 0)
    assert np.abs(estimates[2, 0] - estimates[2, 1]).max() > 0.01
    # A source alone is the mixture.
    np.testing.assert_allclose(estimates[1, 1], mixture[1], rtol=0, atol=2e-6)


@EVERY_MECHANISM
def test_labels_steer_their_own_item(make_log_frequency_network, mixture, mechanism):
    network = make_log_frequency_network(conditioning=mechanism)
    before = run(network, mixture, LABELS)
    changed = LABELS.copy()
    # The same instruments play: nothing but the steering can tell the difference.
    changed[0] = [0.3, 0, 1]
    after = run(network, mixture, changed)
    assert np.abs(after[0] - before[0]).max() > 1e-3
    np.testing.assert_array_equal(after[1:], before[1:])


def test_permuting_the_batch_permutes_the_output(make_log_frequency_network, mixture):
    network, order = make_log_frequency_network(), [2, 0, 3, 1]
    outputs = run(network, mixture, LABELS)
    np.testing.assert_allclose(run(network, mixture[order], LABELS[order]), outputs[order], rtol=0, atol=1e-6)
    assert np.abs(outputs - outputs[order]).max(axis=(1, 2, 3)).min() > 0.01


def test_new_blocks_and_memories_pass_their_input_on():
    bands = {"num_bands": 16, "bands_per_octave": 4, "lowest_hz": 400.0, "num_filters": 4, "memory_units": 5}
    network = LogFrequencyNetwork(("a", "b"), frame_length=64, hop_length=16, num_blocks=3, num_fine_filters=2, **bands)
    spectrograms, labels = np.random.default_rng(0).uniform(size=(2, 7, 16, 1)), np.array([[1, 0.2], [0, 1]])
    parts = (between(network, "spectrogram", last) for last in ("band_bias", "memory_2"))
    features, passed_on = (part([spectrograms, labels]) for part in parts)
    assert np.abs(features).max() > 0.01
    np.testing.assert_array_equal(passed_on, features)


# --- slots -----------------------------------------------------------------------------------------------------------


def test_unlimited_twin_gives_the_same_numbers_where_no_more_play_than_slots(make_log_frequency_network, mixture):
    network = make_log_frequency_network(num_slots=2)
    twin = network.for_inference()
    assert twin.options == {**network.options, "num_slots": None} and twin.for_inference() is twin
    labels = LABELS.copy()
    labels[2, 0] = 0
    limited, unlimited = run(network, mixture, labels), run(twin, mixture, labels)
    assert np.abs(limited).max(axis=(2, 3))[labels > 0].min() > 0.01
    np.testing.assert_allclose(limited, unlimited, rtol=0, atol=1e-6)


def test_more_players_than_slots_leave_the_lowest_labels_silent(make_log_frequency_network, mixture):
    network = make_log_frequency_network(num_slots=2)
    limited, unlimited = (run(n, mixture, LABELS)[2] for n in (network, network.for_inference()))
    np.testing.assert_array_equal(limited[0], 0)
    assert np.abs(unlimited).max(axis=(1, 2)).min() > 0.01
    np.testing.assert_allclose(limited.sum(axis=0), mixture[2], rtol=0, atol=2e-6)


# --- gradients -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", ({}, {"conditioning": "concat", "num_slots": 2}), ids=("film", "concat"))
def test_gradients_are_finite_and_reach_weights_and_labels(
    make_log_frequency_network, rng, mixture, options, assert_gradients_reach_everything
):
    references = (0.3 * rng.normal(size=(4, 3, 205, 1))).astype(np.float32)
    # Logits and their bias in bands that share a bin: none of them is left out.
    network = make_log_frequency_network(**options)
    assert_gradients_reach_everything(network, mixture, np.clip(LABELS, 0.2, 0.9), references)


def test_gradients_are_finite_for_silence(make_log_frequency_network, estimates_of_silence):
    np.testing.assert_array_equal(estimates_of_silence(make_log_frequency_network(), LABELS), 0)


# --- ways of running -------------------------------------------------------------------------------------------------


def test_eager_graph_and_xla_agree(make_log_frequency_network, mixture, assert_ways_of_running_agree):
    network = make_log_frequency_network(num_slots=2, num_blocks=1)
    assert_ways_of_running_agree(network, {"mixture": mixture, "label_vector": LABELS})


def test_equal_shapes_are_traced_once_and_unknown_lengths_once_more(
    make_log_frequency_network, assert_lengths_are_traced_once
):
    network = make_log_frequency_network(num_blocks=1, memory_units=0)
    assert_lengths_are_traced_once(network, LogFrequencySpectrogram, LABELS[:2])


def test_half_precision_network_keeps_spectra_and_masks_in_full(make_log_frequency_network, mixture):
    full = run(make_log_frequency_network(), mixture, LABELS)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = make_log_frequency_network()
    finally:
        keras.config.set_dtype_policy(before)
    for name in ("harmonics", "fine_0", "coarse", "block_0_time", "memory_1_in", "head"):
        assert network.get_layer(name).compute_dtype == "bfloat16"
    for name in ("spectrum", "spectrogram", "logits", "logits_bias", "slots", "masks", "waveforms", "sources"):
        assert network.get_layer(name).compute_dtype == "float32"
        assert network.get_layer(name).output.dtype == "float32"
    estimates = run(network, mixture, LABELS)
    assert estimates.dtype == np.float32
    np.testing.assert_allclose(estimates, full, rtol=0, atol=0.05)
    np.testing.assert_allclose(estimates.sum(axis=1)[:3], mixture[:3], rtol=0, atol=2e-6)
    assert np.abs(estimates - full).max() > 0


# --- pitch and learning ----------------------------------------------------------------------------------------------


def test_a_note_moved_in_pitch_is_the_same_moved_along_the_axis(rng):
    """One coarse band up everything is the same, until the edges are heard: 22 bands above, 8 below, and kernels."""
    bands = {"sample_rate_hz": 2_000_000, "num_bands": 160, "bands_per_octave": 8, "lowest_hz": 1.0}
    sizes = {"num_fine_filters": 3, "num_filters": 4, "num_blocks": 1, "memory_units": 0}
    keras.utils.set_random_seed(3)
    network = LogFrequencyNetwork(("a", "b", "c"), frame_length=64, hop_length=16, **bands, **sizes)
    for name in ("block_0_time", "block_0_labels"):
        layer = network.get_layer(name)
        layer.set_weights([0.5 * rng.normal(size=w.shape).astype(np.float32) for w in layer.get_weights()])
    inside = between(network, "spectrogram", "logits_bias")
    spectrograms = rng.uniform(size=(1, 6, 160, 1)).astype(np.float32)
    spectrograms = np.concatenate([spectrograms, np.roll(spectrograms, 4, axis=2), np.roll(spectrograms, 2, axis=2)])
    here, moved, between_bands = inside.predict_on_batch([spectrograms, np.repeat(LABELS[:1], 3, axis=0)])
    np.testing.assert_allclose(moved[:, 44:116], here[:, 40:112], rtol=0, atol=1e-5)
    assert np.abs(moved[:, 40:112] - here[:, 40:112]).max() > 0.1
    # Between coarse bands the residual blocks see another spectrogram.
    assert np.abs(between_bands[:, 42:114] - here[:, 40:112]).max() > 1e-3


def test_two_tones_are_learnt_by_heart(make_sine):
    keras.utils.set_random_seed(3)
    sizes = {"frame_length": 128, "hop_length": 32, "num_fine_filters": 4, "num_filters": 8, "num_blocks": 1}
    bands = {"sample_rate_hz": 8000, "num_bands": 24, "bands_per_octave": 12, "lowest_hz": 400.0, "memory_units": 8}
    network = LogFrequencyNetwork(("first", "second", "third"), **sizes, **bands)
    turns = (np.arange(1024) // 256 % 2).astype(np.float32)
    first, second = make_sine(1000, 1024, 8000) * turns, make_sine(1000, 1024, 8000, phase=2) * (1 - turns)
    references = np.stack([first, second, np.zeros_like(first)])[None, :, :, None]
    inputs = {"mixture": references.sum(axis=1), "label_vector": np.array([[1, 1, 0]], np.float32)}
    network.compile(optimizer=keras.optimizers.Adam(0.005), loss=NegativeSNR(), jit_compile=False)
    losses = [float(network.train_on_batch(inputs, references)) for _ in range(50)]
    assert losses[0] > -4 and losses[-1] < -14


# --- options ---------------------------------------------------------------------------------------------------------


def test_network_knows_its_taxonomy_and_rate(make_log_frequency_network):
    network = make_log_frequency_network(["oboe", "horn"], sample_rate_hz=12000)
    assert network.source_names == ("oboe", "horn")
    assert network.sample_rate_hz == 12000
    assert network.takes_labels and not make_log_frequency_network(conditioning=None).takes_labels
    assert network.for_inference() is network
    assert type(build_network("LogFrequencyNetwork", network.options)) is LogFrequencyNetwork
    with pytest.raises(ParameterError, match="at least one sample. Received: 0"):
        network.output_samples(0)


def test_misspelt_options_are_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'conditionning'"):
        LogFrequencyNetwork(("a", "b"), conditionning="film")


@pytest.mark.parametrize(
    ("options", "message"),
    (
        ({"source_names": ()}, r"distinct source names\. Received: source_names=\(\)"),
        ({"source_names": ("a", "a")}, r"distinct source names\. Received: source_names=\('a', 'a'\)"),
        ({"conditioning": "attention"}, r"conditioning to be one of \(None, 'concat'.*Received: 'attention'"),
        ({"sample_rate_hz": -1}, "sample_rate_hz >= 1.*sample_rate_hz=-1"),
        ({"num_channels": 0}, "num_channels >= 1.*num_channels=0"),
        ({"bands_per_octave": 0}, "bands_per_octave >= 1.*bands_per_octave=0"),
        ({"num_fine_filters": 0}, "num_fine_filters >= 1.*num_fine_filters=0"),
        ({"num_filters": 0}, "num_filters >= 1.*num_filters=0"),
        ({"num_blocks": 0}, "num_blocks >= 1.*num_blocks=0"),
        ({"memory_units": -1}, "memory_units >= 0.*memory_units=-1"),
        ({"num_slots": 0}, "num_slots from 1 to 2. Received: num_slots=0"),
        ({"num_slots": 3}, "num_slots from 1 to 2. Received: num_slots=3"),
        ({"num_slots": 1, "conditioning": None}, "no num_slots without a conditioning"),
        ({"hop_length": 0}, "divisor of an even frame_length, and smaller.*frame_length=4096, hop_length=0"),
        ({"hop_length": 1000}, "divisor of an even frame_length.*hop_length=1000"),
        ({"hop_length": 4096}, "divisor of an even frame_length, and smaller.*hop_length=4096"),
        ({"frame_length": 0}, "divisor of an even frame_length, and smaller.*frame_length=0"),
        ({"frame_length": -4096}, "divisor of an even frame_length, and smaller.*frame_length=-4096"),
        ({"frame_length": 1025, "hop_length": 205}, "divisor of an even frame_length.*frame_length=1025"),
        ({"num_bands": 0}, "num_bands to be a multiple of 4. Received: num_bands=0"),
        ({"num_bands": 290}, "num_bands to be a multiple of 4. Received: num_bands=290"),
        ({"lowest_hz": 0}, "between 0 Hz and half the sample rate, 11025 Hz. Received: 0 to 0 Hz"),
        ({"lowest_hz": 65.4}, "half the sample rate, 11025 Hz. Received: 65.4 to 16423.1 Hz"),
    ),
    ids=str,
)
def test_options_that_cannot_be_used_are_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        LogFrequencyNetwork(**{"source_names": ("a", "b"), **options})
