"""A network saved under TensorFlow gives the same numbers under JAX."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

from audio.framing import valid_lengths

# Keras saves TensorFlow's variables by an `np.array` that NumPy 2 warns about.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SCRIPT = """
import sys
import keras, numpy as np
from audio.models import load_model
assert keras.backend.backend() == "jax"
model = load_model(sys.argv[1])
with np.load(sys.argv[2]) as inputs:
    chunk = model.separate_chunk(inputs["mixture"][0, :, 0], inputs["label_vector"][0])
    batch = model.network.predict_on_batch({name: inputs[name] for name in inputs.files})
np.savez(sys.argv[3], batch=np.asarray(batch), chunk=chunk)
"""


@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="JAX is not installed (pip install av-sep[jax])")
def test_network_saved_under_tensorflow_gives_the_same_under_jax(make_network, rng, tmp_path):
    network = make_network(conditioning="multiplicative", upsampling="learned", gate=True, mixture_consistency=True)
    num_samples = valid_lengths(100, num_levels=3).num_input_samples
    inputs = {
        "mixture": (0.3 * rng.normal(size=(2, num_samples, 1))).astype(np.float32),
        "label_vector": np.array([[1, 0, 0.4], [0, 0.8, 1]], np.float32),
    }
    expected = network.predict_on_batch(inputs)
    network.save(tmp_path / "network.keras")
    np.savez(tmp_path / "inputs.npz", **inputs)
    paths = [str(tmp_path / name) for name in ("network.keras", "inputs.npz", "outputs.npz")]
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", SCRIPT, *paths], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "outputs.npz") as outputs:
        np.testing.assert_allclose(outputs["batch"], expected, rtol=0, atol=1e-5)
        np.testing.assert_allclose(outputs["chunk"], expected[0, :, :, 0], rtol=0, atol=1e-5)
