"""Devices and backends: what works together, what is refused, and that several devices do what one does."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from av_sep.errors import ParameterError
from pipelines.distribution import choose_backend, open_devices


@pytest.fixture(autouse=True)
def same_environment(monkeypatch):
    for name in ("KERAS_BACKEND", "JAX_PLATFORMS", "XLA_FLAGS"):
        monkeypatch.setenv(name, os.environ.get(name, ""))


def test_a_tpu_means_jax():
    with pytest.raises(ParameterError, match="--backend jax"):
        choose_backend("tpu", "tensorflow")


def test_keras_cannot_change_its_backend_once_it_runs():
    import keras

    other = {"tensorflow": "jax", "jax": "tensorflow"}[keras.backend.backend()]
    with pytest.raises(ParameterError, match=f"KERAS_BACKEND={other}"):
        choose_backend("cpu", other)
    assert choose_backend("cpu", keras.backend.backend()) == keras.backend.backend()


@pytest.mark.parametrize(("options", "words"), [(("npu", None), "npu"), (("cpu", "torch"), "torch")])
def test_unknown_names(options, words):
    with pytest.raises(ParameterError, match=words):
        choose_backend(*options)


def test_an_accelerator_that_nobody_knows_is_not_a_cpu():
    with pytest.raises(ParameterError, match="among auto, cpu, gpu, tpu. Received: 'banana'"):
        open_devices("banana", batch_size=8)


def test_a_tpu_is_not_a_cpu():
    """Whichever backend Keras has, this machine has none."""
    import keras

    words = "--backend jax" if keras.backend.backend() == "tensorflow" else "Expected a tpu, but jax sees only"
    with pytest.raises(ParameterError, match=words):
        open_devices("tpu", batch_size=8)


def test_a_gpu_that_is_not_there():
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is one")
    with pytest.raises(ParameterError, match="sees only: cpu"):
        open_devices("gpu", batch_size=8)


def test_examples_must_divide_among_devices():
    with pytest.raises(ParameterError, match="3 devices share equally. Received: 8"):
        open_devices("cpu", 3, batch_size=8)


RUN = """
import json, sys
from pipelines.distribution import choose_backend
choose_backend("cpu", sys.argv[1], int(sys.argv[2]))
import numpy as np
import keras
from pipelines.distribution import open_devices
try:
    devices = open_devices("cpu", int(sys.argv[2]), batch_size=8, **json.loads(sys.argv[3]))
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
from audio.losses import NegativeSNR
from audio.wave_unet import WaveUNet
keras.utils.set_random_seed(0)
with devices.scope():
    network = WaveUNet(("a", "b"), num_levels=2, num_filters=3, context=False, conditioning="multiplicative")
    weights = np.random.default_rng(1)
    network.set_weights([0.2 * weights.normal(size=w.shape) for w in network.get_weights()])
    network.compile(keras.optimizers.Adam(1e-2), NegativeSNR(), jit_compile=sys.argv[1] == "jax")
rng = np.random.default_rng(0)
sources = rng.normal(size=(32, 2, 64, 1)).astype("float32")
labels = rng.integers(0, 2, size=(32, 2)).astype("float32")
history = network.fit({"mixture": sources.sum(axis=1), "label_vector": labels}, sources, batch_size=8, epochs=2,
                      shuffle=False, verbose=0)
sums = [float(np.abs(w).sum()) for w in network.get_weights()]
print(json.dumps([devices.describe(), history.history["loss"], sums]))
"""


def run(backend, num_devices, **options):
    command = [sys.executable, "-c", RUN, backend, str(num_devices), json.dumps(options)]
    environment = {key: value for key, value in os.environ.items() if value or key != "KERAS_BACKEND"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    return done.stderr.strip().splitlines()[-1] if done.returncode else json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(("backend", "num_devices"), [("tensorflow", 2), ("jax", 8)])
def test_several_devices_do_what_one_does(backend, num_devices):
    if backend == "jax":
        pytest.importorskip("jax", reason="needs av-sep[jax]")
    name, losses, sums = run(backend, num_devices)
    assert name == f"{num_devices} x cpu, {backend}"
    _, expected_losses, expected_sums = run(backend, 1)
    np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)
    np.testing.assert_allclose(sums, expected_sums, rtol=1e-5)
    assert losses[1] < losses[0]


@pytest.mark.parametrize("options", [{"jit_compile": True}, {"steps_per_execution": 4}])
def test_what_mirrored_strategy_cannot_do_is_refused_naming_what_can(options):
    message = run("tensorflow", 2, **options)
    assert message.startswith("ParameterError") and "--backend jax" in message


REFUSED = """
from pipelines.distribution import choose_backend
choose_backend("cpu", "jax", 2)
import keras, sys
from av_sep.errors import MediaError
from pipelines.config import TrainConfig
from pipelines.train import train
model = {"source_names": ("a", "b"), "sample_rate_hz": 8000, "num_levels": 2, "num_filters": 2, "context": False}
config = TrainConfig(recipe="tiny", model=model, segment_samples=64, batch_size=4, precision="bfloat16")
try:
    train(config, sys.argv[1], sys.argv[1], accelerator="cpu", num_devices=2)
except MediaError:
    print(keras.distribution.distribution(), keras.config.dtype_policy().name)
"""


def test_a_refused_run_leaves_keras_neither_its_devices_nor_its_precision(tmp_path):
    pytest.importorskip("jax", reason="needs av-sep[jax]")
    command = [sys.executable, "-c", REFUSED, str(tmp_path)]
    environment = {key: value for key, value in os.environ.items() if value or key != "KERAS_BACKEND"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.stdout.split() == ["None", "float32"], done.stderr


def test_both_backends_take_the_same_steps():
    """Losses after eight steps of Adam agree only where the gradients do."""
    pytest.importorskip("jax", reason="needs av-sep[jax]")
    (_, one, sums), (_, other, other_sums) = run("tensorflow", 1), run("jax", 1)
    np.testing.assert_allclose(one, other, rtol=1e-4)
    np.testing.assert_allclose(sums, other_sums, rtol=1e-4)
