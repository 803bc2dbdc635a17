"""A network saved under TensorFlow gives the same numbers under JAX, and so do the losses and the masks' gradients."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

from audio.framing import valid_lengths
from audio.log_frequency_layers import SlotMasks
from audio.losses import LOSSES, make_loss
from audio.spectrogram_layers import SoftmaxMasks

# Keras saves TensorFlow's variables by an `np.array` that NumPy 2 warns about.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SCRIPT = """
import pathlib, sys
import jax, keras, numpy as np
from audio.log_frequency_layers import SlotMasks
from audio.losses import LOSSES, make_loss
from audio.models import load_model
from audio.spectrogram_layers import SoftmaxMasks
assert keras.backend.backend() == "jax"
folder = pathlib.Path(sys.argv[1])
inputs = np.load(folder / "inputs.npz")
outputs = {}
for path in folder.glob("*.keras"):
    model = load_model(path)
    batch = {name: inputs[f"{path.stem}_{name}"] for name in ("mixture", "label_vector")}
    outputs[f"{path.stem}_chunk"] = model.separate_chunk(batch["mixture"][0, :, 0], batch["label_vector"][0])
    outputs[f"{path.stem}_batch"] = np.asarray(model.network.predict_on_batch(batch))
for name in LOSSES:
    options = {"resolutions": [[64, 40, 8]]} if name == "mr_stft" else {}
    outputs[name] = float(make_loss(name, **options)(inputs["references"], inputs["estimates"]))
    slope = jax.grad(lambda estimates: make_loss(name, **options)(inputs["faint"], estimates))
    outputs[f"{name}_slope"] = slope(np.zeros_like(inputs["faint"]))
logits, weights = inputs["logits"], inputs["weights"]
outputs["SlotMasks"] = jax.grad(lambda x: (weights * SlotMasks()(x, np.eye(3)[None])).sum())(logits)
outputs["SoftmaxMasks"] = jax.grad(lambda x: (weights[:, None] * SoftmaxMasks(3)(x, np.ones((1, 3)))).sum())(logits)
np.savez(folder / "outputs.npz", **outputs)
"""

CONSISTENT = {"gate": True, "mixture_consistency": True}
OPTIONS = {
    "wave": {"conditioning": "multiplicative", "upsampling": "learned", **CONSISTENT},
    "filtered": {"conditioning": "multiplicative", "gate": True, "wiener_frame_length": 32},
    "spectrogram": {"conditioning": "film", "masks": "softmax", "num_time_levels": 1, **CONSISTENT},
    # At a low rate, for it reads two seconds on each side.
    "recurrent": {
        "conditioning": "concat", "bottleneck": "gru", "compression": "power", "sample_rate_hz": 1000, **CONSISTENT
    },
    # As many slots as labels: the file is separated by its twin without a limit.
    "log_frequency": {"num_slots": 2},
}  # fmt: skip


@pytest.fixture(scope="module")
def networks(make_network, make_spectrogram_network, make_log_frequency_network):
    makers = {"wave": make_network, "filtered": make_network, "log_frequency": make_log_frequency_network}
    return {kind: makers.get(kind, make_spectrogram_network)(**options) for kind, options in OPTIONS.items()}


@pytest.fixture(scope="module")
def inputs(networks):
    rng = np.random.default_rng(20180923)
    references = (0.3 * rng.normal(size=(2, 3, 400, 1))).astype(np.float32)
    references[0, 1] = 0
    noise = 0.1 * rng.normal(size=references.shape)
    arrays = {"references": references, "estimates": (references + noise).astype(np.float32)}
    # From a whisper to what is no more than rounding.
    arrays["faint"] = references * 10.0 ** np.array([-4, -6, -7], np.float32)[:, None, None]
    arrays["logits"] = rng.normal(size=(1, 4, 5, 3)).astype(np.float32)
    arrays["weights"] = np.array([1, -2, 3], np.float32)
    for kind, network in networks.items():
        num_samples = valid_lengths(100, num_levels=3).num_input_samples + 2 * network.border_samples
        arrays[f"{kind}_mixture"] = (0.3 * rng.normal(size=(2, num_samples, 1))).astype(np.float32)
        arrays[f"{kind}_label_vector"] = np.array([[1, 0, 0.4], [0, 0.8, 1]], np.float32)
    return arrays


@pytest.fixture(scope="module")
def under_jax(networks, inputs, tmp_path_factory):
    """What the same files and losses give in a process of its own, where Keras runs on JAX."""
    if importlib.util.find_spec("jax") is None:
        pytest.skip("JAX is not installed (pip install av-sep[jax])")
    folder = tmp_path_factory.mktemp("jax")
    for kind, network in networks.items():
        network.save(folder / f"{kind}.keras")
    np.savez(folder / "inputs.npz", **inputs)
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", SCRIPT, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with np.load(folder / "outputs.npz") as outputs:
        return dict(outputs)


@pytest.mark.parametrize("kind", OPTIONS)
def test_network_saved_under_tensorflow_gives_the_same_under_jax(networks, inputs, under_jax, kind):
    network = networks[kind]
    batch = {name: inputs[f"{kind}_{name}"] for name in ("mixture", "label_vector")}
    expected = network.predict_on_batch(batch)
    inside = slice(network.border_samples, expected.shape[2] - network.border_samples)
    assert np.abs(expected[:, :, inside]).max() > 0.1
    np.testing.assert_allclose(under_jax[f"{kind}_batch"], expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(under_jax[f"{kind}_chunk"], expected[0, :, inside, 0], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", LOSSES)
def test_loss_is_the_same_under_jax(inputs, under_jax, name):
    options = {"resolutions": [[64, 40, 8]]} if name == "mr_stft" else {}
    expected = float(make_loss(name, **options)(inputs["references"], inputs["estimates"]))
    assert under_jax[name] == pytest.approx(expected, rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("name", LOSSES)
def test_slope_of_silence_is_finite_under_jax(under_jax, name):
    assert np.all(np.isfinite(under_jax[f"{name}_slope"]))


@pytest.mark.parametrize("layer", (SlotMasks, SoftmaxMasks))
def test_gradient_of_masks_is_the_softmax_s_under_jax(inputs, under_jax, layer):
    """Even at the largest logit, where a bound would be touched."""
    weights, exponentials = inputs["weights"].astype(np.float64), np.exp(inputs["logits"].astype(np.float64))
    shares = exponentials / exponentials.sum(axis=-1, keepdims=True)
    expected = shares * (weights - (weights * shares).sum(axis=-1, keepdims=True))
    np.testing.assert_allclose(under_jax[layer.__name__], expected, rtol=0, atol=1e-6)
