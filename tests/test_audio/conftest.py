"""Random sounds, tiny networks with audible outputs, and the three ways of running a Keras layer."""

import numpy as np
import pytest

SOURCES = ("violin", "flute", "tuba")


@pytest.fixture
def rng():
    return np.random.default_rng(20180923)


def loud_weights(network, seed=7):
    """Random weights that keep the signal's size through the layers, so that no output is negligible."""
    rng = np.random.default_rng(seed)

    def draw(shape):
        if len(shape) < 2:
            return 0.1 * rng.normal(size=shape)
        return rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[:-1]))

    network.set_weights([draw(array.shape).astype(np.float32) for array in network.get_weights()])
    return network


@pytest.fixture(scope="session")
def make_network():
    """Function that builds a tiny Wave-U-Net: 3 levels of 4 filters, three sources, kernels as published."""
    from audio.wave_unet import WaveUNet

    def make(source_names=SOURCES, **options):
        sizes = {"sample_rate_hz": 16000, "num_levels": 3, "num_filters": 4}
        return loud_weights(WaveUNet(source_names, **{**sizes, **options}))

    return make


@pytest.fixture(scope="session")
def make_spectrogram_network():
    """Function that builds a tiny spectrogram U-Net: frames of 64, 2 levels of 4 and 8 filters, three sources."""
    from audio.spectrogram_unet import SpectrogramUNet

    def make(source_names=SOURCES, **options):
        sizes = {"sample_rate_hz": 16000, "frame_length": 64, "hop_length": 16, "num_levels": 2, "num_filters": 4}
        return loud_weights(SpectrogramUNet(source_names, **{**sizes, "recurrent_units": 5, **options}))

    return make


@pytest.fixture(scope="session")
def make_log_frequency_network():
    """Function that builds a tiny log-frequency network: frames of 64, 16 bands, 2 blocks and memories, 3 sources."""
    from audio.log_frequency_network import LogFrequencyNetwork

    def make(source_names=SOURCES, **options):
        sizes = {"sample_rate_hz": 16000, "frame_length": 64, "hop_length": 16, "num_blocks": 2, "memory_units": 5}
        bands = {"num_bands": 16, "bands_per_octave": 4, "lowest_hz": 400.0, "num_fine_filters": 3, "num_filters": 4}
        return loud_weights(LogFrequencyNetwork(source_names, **{**sizes, **bands, **options}))

    return make


@pytest.fixture(scope="session")
def conditioned_network(make_network):
    """A conditioned network without gate and consistency, so that nothing but the labels' multiplication steers it."""
    return make_network(conditioning="multiplicative")


@pytest.fixture(scope="session")
def runners():
    """Name -> function that runs a layer or model on NumPy inputs: eagerly, as a traced graph, compiled by XLA."""
    import tensorflow as tf

    def to_tensors(inputs):
        return tf.nest.map_structure(tf.constant, inputs)

    def eager(layer, *inputs):
        return np.asarray(layer(*to_tensors(inputs)))

    def graph(layer, *inputs):
        return tf.function(lambda *tensors: layer(*tensors))(*to_tensors(inputs)).numpy()

    def xla(layer, *inputs):
        return tf.function(lambda *tensors: layer(*tensors), jit_compile=True)(*to_tensors(inputs)).numpy()

    return {"eager": eager, "graph": graph, "xla": xla}


@pytest.fixture(scope="session")
def assert_everywhere(runners):
    """Function that holds a layer against an expected array in all three ways of running it."""

    def check(layer, inputs, expected, atol=1e-6):
        for name, run in runners.items():
            output = run(layer, *inputs)
            assert output.shape == expected.shape, name
            np.testing.assert_allclose(output, expected, rtol=0, atol=atol, err_msg=name)

    return check


@pytest.fixture(scope="session")
def assert_ways_of_running_agree(runners):
    """Function that holds a network run as a graph and by XLA against itself run eagerly."""

    def check(network, inputs):
        eager = runners["eager"](network, inputs)
        np.testing.assert_allclose(runners["graph"](network, inputs), eager, rtol=0, atol=2e-6)
        np.testing.assert_allclose(runners["xla"](network, inputs), eager, rtol=0, atol=1e-5)

    return check


def gradients_of(network, mixture, labels, references):
    """(estimates, gradient of the labels, gradients of the weights) of the negative SNR in training."""
    import tensorflow as tf

    from audio.losses import NegativeSNR

    labels = tf.constant(labels)
    with tf.GradientTape() as tape:
        tape.watch(labels)
        estimates = network({"mixture": tf.constant(mixture), "label_vector": labels}, training=True)
        loss = NegativeSNR()(references, estimates)
    label_gradient, *gradients = tape.gradient(loss, [labels, *network.trainable_variables])
    return estimates, label_gradient, gradients


@pytest.fixture(scope="session")
def assert_gradients_reach_everything():
    """Function that finds gradients of all weights and labels finite, and none of them left out."""

    def check(network, mixture, labels, references):
        _, label_gradient, gradients = gradients_of(network, mixture, labels, references)
        assert len(gradients) == len(network.get_weights())
        assert all(np.all(np.isfinite(gradient)) and np.any(gradient) for gradient in gradients)
        assert np.all(np.isfinite(label_gradient)) and np.all(np.asarray(label_gradient) != 0)

    return check


@pytest.fixture(scope="session")
def estimates_of_silence():
    """Function that finds gradients of all weights finite for silence, and gives what is estimated of it."""

    def check(network, labels, num_samples=205):
        silence = np.zeros((len(labels), num_samples, 1), np.float32)
        references = np.zeros((*labels.shape, num_samples, 1))
        estimates, _, gradients = gradients_of(network, silence, labels, references)
        assert all(np.all(np.isfinite(gradient)) for gradient in gradients)
        return estimates

    return check


@pytest.fixture
def assert_lengths_are_traced_once(monkeypatch, rng):
    """Function that counts how often a network is traced, by a layer of it, for mixtures of some equal lengths."""

    def check(network, layer_class, labels=None):
        traced = []
        original = layer_class.call

        def counted_call(layer, given):
            traced.append(layer.name)
            return original(layer, given)

        monkeypatch.setattr(layer_class, "call", counted_call)
        network.compile(jit_compile=False)
        steering = {} if labels is None else {"label_vector": labels}
        lengths = (200, 200, 330, 411, 500)
        batches = [{"mixture": rng.normal(size=(2, n, 1)).astype(np.float32), **steering} for n in lengths]
        outputs, counts = [], []
        for batch in batches:
            outputs.append(network.predict_on_batch(batch))
            counts.append(len(traced))
        # After the second length TensorFlow traces once for any.
        assert 0 < counts[0] == counts[1] < counts[2] == counts[3] == counts[4]
        for batch, output in zip(batches, outputs):
            np.testing.assert_allclose(output, network(batch), rtol=0, atol=1e-5)

    return check


def sine(hz, num_samples, rate_hz, amplitude=0.5, phase=0.3):
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(num_samples) / rate_hz + phase)).astype(np.float32)


@pytest.fixture(scope="session")
def make_sine():
    """Function that makes a sine `[time]` of a frequency, length and rate, starting at a phase of its own."""
    return sine


@pytest.fixture(scope="session")
def make_band_noise():
    """Function that makes noise `[time, channels]` whose spectrum is exactly zero outside a band."""

    def make(rng, num_samples, num_channels, low_hz, high_hz, rate_hz, peak=0.5):
        spectrum = np.fft.rfft(rng.normal(size=(num_samples, num_channels)), axis=0)
        frequency = np.fft.rfftfreq(num_samples, 1 / rate_hz)
        spectrum[(frequency < low_hz) | (frequency > high_hz)] = 0
        noise = np.fft.irfft(spectrum, num_samples, axis=0)
        return (peak * noise / np.abs(noise).max()).astype(np.float32)

    return make
