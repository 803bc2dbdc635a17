"""The spectrogram U-Net's options, sizes and promises."""

import keras
import numpy as np
import pytest

from audio.conditioning import MECHANISMS, SITES
from audio.losses import NegativeSNR
from audio.spectrogram_layers import MagnitudeSpectrogram
from audio.spectrogram_unet import SpectrogramUNet
from av_sep.errors import ParameterError
from av_sep.instruments import URMP_13

LABELS = np.array([[1, 0, 0.4], [0, 1, 0], [0.7, 1, 1], [0, 0, 0]], np.float32)
GATED = {"conditioning": "film", "gate": True, "mixture_consistency": True}
EVERY_BOTTLENECK = pytest.mark.parametrize("bottleneck", ("conv", "gru"))


@pytest.fixture
def mixture(rng):
    return (0.3 * rng.normal(size=(4, 205, 1))).astype(np.float32)


def run(network, mixture, labels):
    return np.asarray(network({"mixture": mixture, "label_vector": labels}))


def counted(num_bins, num_sources, filters=16, levels=6):
    """Kernels, the gain and offset of every bin's normalisation, and the masks' 1x1 convolution, level by level."""
    count, width = 0, 1
    for level in range(levels):
        num_bins //= 2
        count += 25 * width * filters * 2**level + 2 * num_bins * filters * 2**level
        width = filters * 2**level
    for level in reversed(range(levels)):
        num_bins *= 2
        out = filters * 2 ** max(level - 1, 0)
        count += 25 * width * out + 2 * num_bins * out
        width = 2 * out
    return count + (filters + 1) * num_sources


def test_full_network_has_the_published_sizes():
    network = SpectrogramUNet(URMP_13.names)
    assert network.count_params() == 9_937_517 == counted(512, 13)
    filters = [network.get_layer(f"down_{level}").filters for level in range(6)]
    assert filters == [16, 32, 64, 128, 256, 512]
    assert network.get_layer("down_5").output.shape[2:] == (8, 512)
    # Jansson et al. 2017 have one source, batch normalisation and a last kernel of 5 that gives the mask itself.
    assert SpectrogramUNet(("vocals",), normalization="batch").count_params() / 1e6 == pytest.approx(9.82, abs=0.02)


def test_recurrent_bottleneck_can_be_narrower_than_its_frames():
    sizes = {"num_levels": 5, "num_time_levels": 2, "bottleneck": "gru", "recurrent_units": 192}
    narrow = SpectrogramUNet(URMP_13.names, **sizes, num_filters=12, recurrent_filters=24)
    convolutional = SpectrogramUNet(URMP_13.names, num_levels=5, num_time_levels=2, num_filters=12)
    # Of 16 bins with 192 filters to 24 each and back; two directions of three gates with two biases; what both heard.
    there_and_back = (192 + 1) * 24 + (24 + 1) * 192
    gates = 2 * 3 * 192 * (16 * 24 + 192 + 2)
    heard = (2 * 192 + 1) * 16 * 24
    assert narrow.count_params() == convolutional.count_params() + there_and_back + gates + heard
    wide = SpectrogramUNet(URMP_13.names, **sizes, num_filters=12)
    assert SpectrogramUNet(URMP_13.names, **sizes, num_filters=12, recurrent_filters=192).count_params() == (
        wide.count_params()
    )


@pytest.mark.parametrize("num_samples", (1, 15, 16, 17, 64, 1000))
@EVERY_BOTTLENECK
def test_any_length_comes_back(make_spectrogram_network, rng, num_samples, bottleneck):
    network = make_spectrogram_network(num_channels=2, bottleneck=bottleneck)
    mixture = rng.normal(size=(2, num_samples, 2)).astype(np.float32)
    estimates = np.asarray(network({"mixture": mixture}))
    assert estimates.shape == (2, 3, num_samples, 2) and np.all(np.isfinite(estimates))
    assert network.output_shape == (None, 3, None, 2)


def test_open_masks_give_the_mixture_to_the_sample(make_spectrogram_network, mixture):
    network = make_spectrogram_network()
    network.set_weights([np.zeros_like(weights) for weights in network.get_weights()])
    layer = network.get_layer("masks_logits")
    layer.set_weights([np.zeros((1, 1, 4, 3), np.float32), np.array([30.0, 0.0, -30.0], np.float32)])
    estimates = np.asarray(network({"mixture": mixture}))
    for gain, estimate in zip((1, 0.5, 0), estimates.transpose(1, 0, 2, 3)):
        np.testing.assert_allclose(estimate, gain * mixture, rtol=0, atol=1e-6)


def test_masks_do_not_depend_on_other_channels_or_sources_only(make_spectrogram_network, rng):
    """Each channel has masks of its own, from a spectrogram of both."""
    network = make_spectrogram_network(num_channels=2)
    mixture = (0.3 * rng.normal(size=(1, 205, 2))).astype(np.float32)
    before = np.asarray(network({"mixture": mixture}))
    mixture[..., 1] = 0
    after = np.asarray(network({"mixture": mixture}))
    np.testing.assert_allclose(after[..., 1], 0, atol=1e-6)
    assert np.abs(after[..., 0] - before[..., 0]).max() > 0.01
    assert np.abs(before[:, 0] - before[:, 1]).max() > 0.01


def test_gate_silences_absent_instruments_and_leaves_the_others(make_spectrogram_network, mixture):
    free = run(make_spectrogram_network(conditioning="additive"), mixture, LABELS)
    gated = run(make_spectrogram_network(conditioning="additive", gate=True), mixture, LABELS)
    assert np.abs(free).max(axis=(2, 3)).min() > 0.01
    np.testing.assert_array_equal(gated[LABELS == 0], 0)
    np.testing.assert_array_equal(gated[LABELS > 0], free[LABELS > 0])


@pytest.mark.parametrize("options", ({"masks": "softmax", "conditioning": "film"}, GATED), ids=("softmax", "shared"))
def test_active_estimates_add_up_to_the_mixture_and_the_absent_are_exactly_silent(
    make_spectrogram_network, mixture, options
):
    estimates = run(make_spectrogram_network(**options), mixture, LABELS)
    np.testing.assert_allclose(estimates.sum(axis=1)[:3], mixture[:3], rtol=0, atol=2e-6)
    np.testing.assert_array_equal(estimates[LABELS == 0], 0)
    assert np.abs(estimates[2, 0] - estimates[2, 1]).max() > 0.01


def test_softmax_without_labels_shares_among_all(make_spectrogram_network, mixture):
    network = make_spectrogram_network(masks="softmax")
    assert not network.takes_labels
    estimates = np.asarray(network({"mixture": mixture}))
    np.testing.assert_allclose(estimates.sum(axis=1), mixture, rtol=0, atol=2e-6)


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_labels_steer_their_own_item_at_every_site(make_spectrogram_network, mixture, mechanism, site):
    network = make_spectrogram_network(conditioning=mechanism, conditioning_site=site)
    assert network.get_layer(f"conditioning_{site}").mechanism == mechanism
    before = run(network, mixture, LABELS)
    changed = LABELS.copy()
    changed[0] = [0, 0.5, 1]
    after = run(network, mixture, changed)
    assert np.abs(after[0] - before[0]).max() > 3e-5
    np.testing.assert_array_equal(after[1:], before[1:])


@EVERY_BOTTLENECK
@pytest.mark.parametrize("normalization", ("layer", "batch", "none"))
def test_permuting_the_batch_permutes_the_output(make_spectrogram_network, mixture, bottleneck, normalization):
    network = make_spectrogram_network(bottleneck=bottleneck, normalization=normalization, conditioning="film")
    if normalization == "batch":
        network.set_weights([np.abs(10 * w) if w.ndim == 1 else w for w in network.get_weights()])
    order = [2, 0, 3, 1]
    outputs = run(network, mixture, LABELS)
    np.testing.assert_allclose(run(network, mixture[order], LABELS[order]), outputs[order], rtol=0, atol=1e-6)
    assert np.abs(outputs - outputs[order]).max(axis=(1, 2, 3)).min() > 0.01


@EVERY_BOTTLENECK
@pytest.mark.parametrize("masks", ("sigmoid", "softmax"))
def test_gradients_are_finite_and_reach_weights_and_labels(
    make_spectrogram_network, rng, mixture, bottleneck, masks, assert_gradients_reach_everything
):
    network = make_spectrogram_network(bottleneck=bottleneck, masks=masks, **GATED)
    references = (0.3 * rng.normal(size=(4, 3, 205, 1))).astype(np.float32)
    assert_gradients_reach_everything(network, mixture, np.clip(LABELS, 0.2, 0.9), references)


def test_gradients_are_finite_for_silence(make_spectrogram_network, estimates_of_silence):
    estimates_of_silence(make_spectrogram_network(compression="power", masks="softmax", **GATED), LABELS)


@EVERY_BOTTLENECK
def test_eager_graph_and_xla_agree(make_spectrogram_network, mixture, bottleneck, assert_ways_of_running_agree):
    network = make_spectrogram_network(bottleneck=bottleneck, masks="softmax", **GATED)
    assert_ways_of_running_agree(network, {"mixture": mixture, "label_vector": LABELS})


def test_equal_shapes_are_traced_once_and_unknown_lengths_once_more(
    make_spectrogram_network, assert_lengths_are_traced_once
):
    assert_lengths_are_traced_once(make_spectrogram_network(), MagnitudeSpectrogram)


@EVERY_BOTTLENECK
def test_half_precision_network_keeps_spectra_and_masks_in_full(make_spectrogram_network, mixture, bottleneck):
    full = run(make_spectrogram_network(bottleneck=bottleneck, **GATED), mixture, LABELS)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = make_spectrogram_network(bottleneck=bottleneck, **GATED)
    finally:
        keras.config.set_dtype_policy(before)
    assert network.get_layer("down_0").compute_dtype == "bfloat16"
    for name in ("spectrum", "spectrogram", "masks_logits", "masks", "waveforms", "gate", "mixture_consistency"):
        assert network.get_layer(name).compute_dtype == "float32"
    estimates = run(network, mixture, LABELS)
    assert estimates.dtype == np.float32
    np.testing.assert_allclose(estimates, full, rtol=0, atol=0.05)
    np.testing.assert_allclose(estimates.sum(axis=1)[:3], mixture[:3], rtol=0, atol=2e-6)
    assert np.abs(estimates - full).max() > 0


def test_dropout_acts_in_training_alone(make_spectrogram_network, mixture):
    network = make_spectrogram_network(dropout=0.5, num_levels=4)
    dropped = [layer.name for layer in network.layers if "dropout" in layer.name]
    assert dropped == ["dropout_3", "dropout_2", "dropout_1"]
    plain = np.asarray(network({"mixture": mixture}))
    np.testing.assert_array_equal(network({"mixture": mixture}), plain)
    assert np.abs(network({"mixture": mixture}, training=True) - plain).max() > 0.01
    np.testing.assert_allclose(make_spectrogram_network(num_levels=4)({"mixture": mixture}), plain, atol=1e-6)


@EVERY_BOTTLENECK
def test_tiny_network_learns_one_mixture_by_heart(make_sine, bottleneck):
    """Two sines of one frequency that alternate: no static filter parts them, only a mask over time."""
    keras.utils.set_random_seed(3)
    sizes = {"frame_length": 128, "hop_length": 32, "num_levels": 3, "num_filters": 8, "recurrent_units": 8}
    network = SpectrogramUNet(("first", "second"), sample_rate_hz=8000, bottleneck=bottleneck, **sizes)
    turns = (np.arange(2048) // 512 % 2).astype(np.float32)
    first, second = make_sine(1000, 2048, 8000) * turns, make_sine(1000, 2048, 8000, phase=2) * (1 - turns)
    references = np.stack([first, second])[None, :, :, None]
    network.compile(optimizer=keras.optimizers.Adam(0.003), loss=NegativeSNR(), jit_compile=False)
    losses = [float(network.train_on_batch({"mixture": references.sum(axis=1)}, references)) for _ in range(60)]
    assert losses[0] > -4 and losses[-1] < -14


def test_network_knows_its_taxonomy_and_rate(make_spectrogram_network):
    network = make_spectrogram_network(["oboe", "horn"], sample_rate_hz=8000)
    assert network.source_names == ("oboe", "horn")
    assert network.sample_rate_hz == 8000
    assert not network.takes_labels
    assert all(make_spectrogram_network(**{name: True}).takes_labels for name in ("gate", "mixture_consistency"))
    assert make_spectrogram_network(conditioning="concat").takes_labels
    assert make_spectrogram_network(num_time_levels=None).options["num_time_levels"] == 2
    assert network.for_inference() is network


def test_misspelt_options_are_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'conditionning'"):
        SpectrogramUNet(("a", "b"), conditionning="film")


@pytest.mark.parametrize(
    ("options", "message"),
    (
        ({"source_names": ()}, r"distinct source names\. Received: source_names=\(\)"),
        ({"source_names": ("a", "a")}, r"distinct source names\. Received: source_names=\('a', 'a'\)"),
        ({"compression": "mel"}, r"compression to be one of \('log', 'power'\).*compression='mel'"),
        ({"normalization": "instance"}, r"normalization to be one of \('layer', .*normalization='instance'"),
        ({"bottleneck": "lstm"}, r"bottleneck to be one of \('conv', 'gru'\).*bottleneck='lstm'"),
        ({"masks": "tanh"}, r"masks to be one of \('sigmoid', 'softmax'\).*masks='tanh'"),
        ({"conditioning": "attention"}, r"conditioning to be one of \(None, 'concat'.*conditioning='attention'"),
        ({"conditioning_site": "top"}, r"conditioning_site to be one of .*conditioning_site='top'"),
        ({"num_levels": 0}, "num_levels >= 1.*num_levels=0"),
        ({"num_filters": 0}, "num_filters >= 1.*num_filters=0"),
        ({"num_channels": 0}, "num_channels >= 1.*num_channels=0"),
        ({"sample_rate_hz": -1}, "sample_rate_hz >= 1.*sample_rate_hz=-1"),
        ({"recurrent_units": 0}, "recurrent_units >= 1.*recurrent_units=0"),
        ({"recurrent_filters": 0}, "recurrent_filters >= 1, or None.*recurrent_filters=0"),
        ({"hop_length": 0}, "hop_length >= 1.*hop_length=0"),
        ({"num_time_levels": 7}, "num_time_levels from 0 to num_levels.*num_time_levels=7"),
        ({"num_time_levels": -1}, "num_time_levels from 0 to num_levels.*num_time_levels=-1"),
        ({"kernel_size": 4}, "kernel_size to be odd, 3 or more.*kernel_size=4"),
        ({"kernel_size": 1}, "kernel_size to be odd, 3 or more.*kernel_size=1"),
        ({"dropout": 1.0}, "dropout from 0 to below 1.*dropout=1.0"),
        ({"frame_length": 1000}, r"multiple of 2\*\*\(num_levels \+ 1\) = 128.*frame_length=1000"),
        ({"frame_length": 0}, r"multiple of 2\*\*\(num_levels \+ 1\) = 128.*frame_length=0"),
        ({"hop_length": 768}, "divisor of frame_length, and smaller.*frame_length=1024, hop_length=768"),
        ({"hop_length": 1024}, "divisor of frame_length, and smaller.*hop_length=1024"),
    ),
    ids=str,
)
def test_options_that_cannot_be_used_are_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        SpectrogramUNet(**{"source_names": ("a", "b"), **options})
