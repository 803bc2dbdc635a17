"""The Wave-U-Net's options, sizes and promises."""

import keras
import numpy as np
import pytest

from audio.framing import valid_lengths
from audio.layers import Decimate
from audio.wave_unet import WaveUNet
from audio.wiener_filter import WienerFilter
from av_sep.errors import ParameterError
from av_sep.instruments import URMP_13

LABELS = np.array([[1, 0, 0.4], [0, 1, 0], [0.7, 1, 1]], np.float32)
NUM_INPUT = valid_lengths(40, num_levels=3).num_input_samples
CONTEXT = valid_lengths(40, num_levels=3).context_samples


@pytest.fixture
def mixture(rng):
    return (0.3 * rng.normal(size=(3, NUM_INPUT, 1))).astype(np.float32)


def middle(mixture):
    return mixture[:, CONTEXT:-CONTEXT]


def published_count(num_levels, num_sources, bottleneck_copies):
    """Kernels and biases of the published network, layer by layer (Stoller et al. 2018, table 1)."""
    filters = [24 * (level + 1) for level in range(num_levels + 1)]
    count, width = 0, 1
    for filters_out in filters:
        count += (15 * width + 1) * filters_out
        width = filters_out
    width *= bottleneck_copies
    for filters_out in reversed(filters[:-1]):
        count += (5 * (width + filters_out) + 1) * filters_out
        width = filters_out
    return count + (width + 1 + 1) * num_sources


@pytest.mark.parametrize(
    ("conditioning", "copies", "exact", "published_millions"),
    ((None, 1, 10_263_314, 10.26), ("multiplicative", 13, 15_654_674, 15.65)),
)
def test_full_network_has_the_published_number_of_parameters(conditioning, copies, exact, published_millions):
    network = WaveUNet(URMP_13.names, conditioning=conditioning)
    assert network.count_params() == exact == published_count(12, 13, copies)
    assert round(exact / 1e6, 2) == published_millions


def test_config_of_before_later_options_still_loads(make_network):
    config = make_network().get_config()
    del config["output_kernel_size"], config["wiener_frame_length"], config["num_slots"]
    assert WaveUNet.from_config(config).options == make_network().options


@pytest.mark.parametrize("output", ("direct", "difference"))
def test_channels_and_sources_have_their_axes(make_network, rng, output):
    network = make_network(("a", "b", "c", "d"), num_channels=2, output=output)
    assert network.output_shape == (None, 4, None, 2)
    estimates = network({"mixture": rng.normal(size=(3, NUM_INPUT, 2))})
    assert estimates.shape == (3, 4, NUM_INPUT - 2 * CONTEXT, 2)


def test_difference_output_sums_to_the_mixture(make_network, mixture):
    estimates = np.asarray(make_network(output="difference")({"mixture": mixture}))
    assert np.abs(estimates).max(axis=(0, 2, 3)).min() > 0.1
    np.testing.assert_allclose(estimates.sum(axis=1), middle(mixture), rtol=0, atol=1e-6)


def test_gate_silences_absent_instruments_and_leaves_the_others(make_network, mixture):
    free = make_network(conditioning="additive")
    gated = make_network(conditioning="additive", gate=True)
    inputs = {"mixture": mixture, "label_vector": LABELS}
    expected, estimates = np.asarray(free(inputs)), np.asarray(gated(inputs))
    assert np.abs(expected).max(axis=(2, 3)).min() > 0.01
    np.testing.assert_array_equal(estimates[LABELS == 0], 0)
    np.testing.assert_array_equal(estimates[LABELS > 0], expected[LABELS > 0])


def test_consistent_estimates_sum_to_the_mixture(make_network, mixture):
    network = make_network(gate=True, mixture_consistency=True)
    estimates = np.asarray(network({"mixture": mixture, "label_vector": LABELS}))
    np.testing.assert_allclose(estimates.sum(axis=1), middle(mixture), rtol=0, atol=1e-6)
    np.testing.assert_array_equal(estimates[LABELS == 0], 0)
    assert np.abs(estimates[0, 0] - estimates[0, 2]).max() > 0.01


@pytest.mark.parametrize("options", ({"gate": True, "mixture_consistency": True}, {"output": "difference"}), ids=str)
def test_wiener_filter_is_the_last_thing_and_has_no_weights(make_network, mixture, options):
    plain, filtered = make_network(**options), make_network(wiener_frame_length=32, **options)
    filtered.set_weights(plain.get_weights())
    inputs = {"mixture": mixture, "label_vector": LABELS} if plain.takes_labels else {"mixture": mixture}
    expected = WienerFilter(32)(plain(inputs), middle(mixture))
    np.testing.assert_allclose(filtered(inputs), expected, rtol=0, atol=1e-6)
    assert np.abs(expected - plain(inputs)).max() > 0.1


def test_frames_of_a_wiener_filter_that_cannot_be_cut_are_refused(make_network):
    with pytest.raises(ParameterError, match="multiple of 4, 8 or more.*frame_length=30"):
        make_network(wiener_frame_length=30)


@pytest.mark.parametrize("num_slots", (2, 3))
def test_slots_filter_the_highest_labels(make_network, mixture, num_slots):
    options = {"gate": True, "conditioning": "film", "wiener_frame_length": 32}
    limited, unlimited = make_network(num_slots=num_slots, **options), make_network(**options)
    kept = LABELS.copy()
    kept[2, 0] = LABELS[2, 0] if num_slots == 3 else 0
    # Who has no slot is left out of the filter, not out of the labels that steer the network.
    plain = make_network(gate=True, conditioning="film")({"mixture": mixture, "label_vector": LABELS})
    expected = WienerFilter(32)(plain * (kept > 0)[:, :, None, None], middle(mixture))
    estimates = np.asarray(limited({"mixture": mixture, "label_vector": LABELS}))
    np.testing.assert_allclose(estimates, expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(estimates[kept == 0], 0)
    for_inference = limited.for_inference()
    assert for_inference.options == unlimited.options and for_inference.for_inference() is for_inference
    inputs = {"mixture": mixture, "label_vector": LABELS}
    np.testing.assert_allclose(for_inference(inputs), unlimited(inputs), rtol=0, atol=1e-6)


@pytest.mark.parametrize("num_slots", (0, 4))
def test_numbers_of_slots_that_cannot_be_are_refused(make_network, num_slots):
    with pytest.raises(ParameterError, match=f"num_slots from 1 to 3. Received: num_slots={num_slots}"):
        make_network(gate=True, wiener_frame_length=32, num_slots=num_slots)


@pytest.mark.parametrize("options", ({"gate": True}, {"wiener_frame_length": 32, "conditioning": "film"}), ids=str)
def test_slots_need_a_gate_and_a_filter(make_network, options):
    with pytest.raises(ParameterError, match="Expected a gate and a wiener_frame_length with num_slots"):
        make_network(num_slots=2, **options)


@pytest.mark.parametrize("site", ("input", "bottleneck", "output"))
@pytest.mark.parametrize("mechanism", ("concat", "additive", "multiplicative", "film"))
def test_labels_steer_the_output_at_every_site(make_network, mixture, mechanism, site):
    network = make_network(conditioning=mechanism, conditioning_site=site)
    assert network.get_layer(f"conditioning_{site}").mechanism == mechanism
    first = np.asarray(network({"mixture": mixture, "label_vector": LABELS}))
    second = np.asarray(network({"mixture": mixture, "label_vector": 1 - LABELS}))
    assert np.abs(first - second).max(axis=(1, 2, 3)).min() > 1e-3


def test_output_activation_is_the_last_thing_before_the_sources(make_network, mixture):
    linear = np.asarray(make_network(output_activation="linear")({"mixture": mixture}))
    bounded = np.asarray(make_network()({"mixture": mixture}))
    np.testing.assert_allclose(bounded, np.tanh(linear), rtol=0, atol=1e-6)
    assert np.abs(linear).max() > 0.5


def test_gradients_are_finite_and_reach_weights_and_labels(
    make_network, rng, mixture, assert_gradients_reach_everything
):
    network = make_network(conditioning="multiplicative", gate=True, mixture_consistency=True)
    labels = np.array([[0.9, 0.8, 0.4], [0.3, 1, 0.5], [0.7, 1, 1]], np.float32)
    references = rng.normal(size=(3, 3, NUM_INPUT - 2 * CONTEXT, 1)).astype(np.float32)
    assert_gradients_reach_everything(network, mixture, labels, references)


def test_eager_graph_and_xla_agree(make_network, mixture, assert_ways_of_running_agree):
    network = make_network(conditioning="multiplicative", gate=True, mixture_consistency=True)
    assert_ways_of_running_agree(network, {"mixture": mixture, "label_vector": LABELS})


def test_equal_shapes_are_traced_once(make_network, rng, monkeypatch):
    traced = []
    original = Decimate.call

    def counted(layer, features):
        traced.append(layer.name)
        return original(layer, features)

    network = make_network()
    monkeypatch.setattr(Decimate, "call", counted)
    network.compile(jit_compile=False)
    counts = []
    for _ in range(4):
        network.predict_on_batch({"mixture": rng.normal(size=(2, NUM_INPUT, 1)).astype(np.float32)})
        counts.append(len(traced))
    assert counts[0] > 0 and counts == counts[:1] * 4
    network.predict_on_batch({"mixture": np.zeros((2, NUM_INPUT + 8, 1), np.float32)})
    assert len(traced) > counts[0]


def test_half_precision_network_gives_full_precision_estimates(make_network, mixture):
    full = np.asarray(make_network()({"mixture": mixture}))
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = make_network(gate=True, mixture_consistency=True)
        plain = make_network()
    finally:
        keras.config.set_dtype_policy(before)
    estimates = np.asarray(network({"mixture": mixture, "label_vector": np.ones((3, 3))}))
    assert estimates.dtype == np.float32
    np.testing.assert_allclose(estimates.sum(axis=1), middle(mixture), rtol=0, atol=1e-6)
    np.testing.assert_allclose(plain({"mixture": mixture}), full, rtol=0, atol=0.1)


def test_an_activation_that_is_none_is_refused(make_network):
    with pytest.raises(ParameterError, match="Expected an activation of Keras. Received: output_activation='tahn'"):
        make_network(output_activation="tahn")


def test_one_name_is_no_list_of_names():
    with pytest.raises(ParameterError, match="Expected source names, in a list or tuple. Received: 'viola'"):
        WaveUNet("viola")


def test_with_context_copies_weights_and_options(make_network):
    network = make_network(context=False, upsampling="learned", conditioning="film")
    twin = network.with_context(True)
    assert twin.options == {**network.options, "context": True}
    before = [weights.copy() for weights in twin.get_weights()]
    for ours, theirs in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    network.set_weights([weights + 1 for weights in network.get_weights()])
    for now, then in zip(twin.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_network_knows_its_taxonomy_and_rate(make_network):
    network = make_network(["oboe", "horn"], sample_rate_hz=8000)
    assert network.source_names == ("oboe", "horn")
    assert network.sample_rate_hz == 8000
    assert not network.takes_labels
    assert all(make_network(**{name: True}).takes_labels for name in ("gate", "mixture_consistency"))
    assert make_network(conditioning="concat").takes_labels


def test_misspelt_options_are_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'conditionning'"):
        WaveUNet(("a", "b"), conditionning="film")


@pytest.mark.parametrize(
    ("options", "message"),
    (
        ({"source_names": ()}, r"distinct source names\. Received: source_names=\(\)"),
        ({"source_names": ("a", "a")}, r"distinct source names\. Received: source_names=\('a', 'a'\)"),
        ({"upsampling": "cubic"}, r"upsampling to be one of \('linear', 'learned'\).*upsampling='cubic'"),
        ({"output": "mask"}, r"output to be one of \('direct', 'difference'\).*output='mask'"),
        ({"conditioning": "attention"}, r"conditioning to be one of \(None, 'concat'.*conditioning='attention'"),
        ({"conditioning_site": "top"}, r"conditioning_site to be one of .*conditioning_site='top'"),
        ({"num_levels": 0}, "num_levels >= 1.*num_levels=0"),
        ({"num_filters": 0}, "num_filters >= 1.*num_filters=0"),
        ({"num_channels": 0}, "num_channels >= 1.*num_channels=0"),
        ({"sample_rate_hz": -1}, "sample_rate_hz >= 1.*sample_rate_hz=-1"),
        ({"down_kernel_size": 14}, "down_kernel_size to be odd.*Received: down_kernel_size=14"),
        ({"up_kernel_size": 4}, "up_kernel_size to be odd.*Received: up_kernel_size=4"),
        ({"output_kernel_size": 2}, "output_kernel_size to be odd.*Received: output_kernel_size=2"),
        ({"up_kernel_size": -3}, "up_kernel_size to be odd.*Received: up_kernel_size=-3"),
        ({"output": "difference", "gate": True}, "difference output needs .* no gate.*gate=True"),
        ({"output": "difference", "source_names": ("a",)}, r"two sources or more.*source_names=\('a',\)"),
    ),
    ids=str,
)
def test_options_that_cannot_be_used_are_refused(options, message):
    with pytest.raises(ParameterError, match=message):
        WaveUNet(**{"source_names": ("a", "b"), **options})


def test_output_samples_is_what_comes_out():
    for context, num_samples in ((True, 147_443), (False, 4096 * 3)):
        network = WaveUNet(("a", "b"), num_filters=1, context=context)
        spec = network.compute_output_spec(keras.KerasTensor((1, num_samples, 1)))
        assert network.output_samples(num_samples) == spec.shape[2]
        with pytest.raises(ParameterError, match=f"Received: {num_samples + 1}"):
            network.output_samples(num_samples + 1)
