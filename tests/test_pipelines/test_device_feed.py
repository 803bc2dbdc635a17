"""Training with batches made on the device: Keras's own steps, without TensorFlow, and exact after a stop."""

import configparser
import dataclasses
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from av_sep.datasets.mixing import MixingConfig, make_batch
from av_sep.datasets.packed_bank import pack_bank
from av_sep.datasets.solo_bank import open_bank
from av_sep.errors import ParameterError
from pipelines.config import TrainConfig

ROOT = Path(__file__).parents[2]
NAMES = ("violin", "cello", "tuba")
TINY = TrainConfig(
    recipe="tiny",
    model={
        "source_names": NAMES,
        "sample_rate_hz": 8000,
        "num_levels": 2,
        "num_filters": 4,
        "context": False,
        "conditioning": "multiplicative",
        "gate": True,
        "mixture_consistency": True,
    },
    segment_samples=512,
    batch_size=4,
    steps_per_epoch=8,
    num_epochs=3,
    learning_rate=5e-3,
    warmup_steps=2,
    ema_momentum=0.8,
    validation_steps=3,
    steps_per_execution=4,
    mixing={"room_probability": 0.0},
    mix_on_device=True,
    label_noise={"drop_probability": 0.1, "add_probability": 0.2, "lowest_confidence": 0.9},
)

SCRIPT = """
import sys
sys.modules.update(dict.fromkeys(sys.argv.pop().split(",")))
import pipelines.cli
import dataclasses, json
import jax, keras, numpy as np
from pipelines.config import TrainConfig
from pipelines.networks import build_network, objectives
from pipelines.progress import TerminalProgress
from pipelines.train import train
from pipelines.train.device_feed import DeviceFeed
from pipelines.train.optimizers import make_optimizer
from audio.losses import make_loss

bank, packed, folder, settings = sys.argv[1:]
config = TrainConfig(**json.loads(settings))
run = lambda config, data, name, **options: train(config, data, f"{folder}/{name}", accelerator="cpu", **options)

def interrupt(stage, done, total):
    if done > config.steps_per_epoch:
        raise KeyboardInterrupt

with TerminalProgress("tiny", shown=True, unit="steps") as bar:
    run(config, bank, "whole", progress=bar)
try:
    run(config, packed, "stopped", progress=interrupt)
except KeyboardInterrupt:
    pass
run(config, packed, "stopped")
for name in ("whole", "stopped"):
    kept = keras.saving.load_model(f"{folder}/{name}/last.keras", compile=False)
    np.savez(f"{folder}/{name}.npz", *kept.get_weights())

# === The same steps by Keras alone ===
keras.utils.set_random_seed(config.seed)
network = build_network(config.network, config.model)
network.compile(make_optimizer(config), jit_compile=True, **objectives(network, make_loss(config.loss)))
feed = DeviceFeed(config, bank, network)
make = jax.jit(feed._batch)
batches = [jax.tree.map(np.asarray, make(feed.bank, step)) for step in range(config.total_steps)]
for batch in batches:
    network.train_on_batch(*batch)
np.savez(f"{folder}/by_keras.npz", *network.get_weights())
inputs, sources = feed.validation()[2]
np.savez(f"{folder}/validation.npz", sources=sources, **inputs)
np.savez(f"{folder}/labels.npz", *[inputs["label_vector"] for inputs, _ in batches])

# === What is refused ===
messages = []
joint = {"network": "JointModel", "picture_size": (32, 32), "label_noise": None}
separator = {"conditioning": "multiplicative", "num_levels": 2, "num_filters": 2, "context": False}
joint["model"] = {"source_names": ["violin"], "sample_rate_hz": 8000, "picture_size": (32, 32), "separator": separator}
for change, data in (
    ({"steps_per_execution": 3}, bank), ({}, folder), (joint, bank),
    ({"model": {**config.model, "sample_rate_hz": 16000}}, bank),
    ({"model": {**config.model, "source_names": ["horn", "tuba"]}, "mixing": {"num_instruments_weights": [0, 1]}},
     bank),
    ({}, f"{folder}/others_held_out"),
):
    try:
        run(dataclasses.replace(config, **change), data, "refused")
    except (ValueError, OSError) as error:
        messages.append(f"{type(error).__name__}: {error}")
print(json.dumps(messages))
"""


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bank")
    seconds = np.arange(40_000) / 8000
    for split in ("train", "heldout"):
        for name, frequency_hz in zip(NAMES, (1200.0, 300.0, 60.0)):
            (folder / split / name).mkdir(parents=True)
            line = 8000 * np.sin(2 * np.pi * frequency_hz * seconds) * (0.6 + 0.4 * np.sin(seconds))
            np.save(folder / split / name / "tones.npy", line.astype(np.int16))
    (folder / "bank.json").write_text(json.dumps({"sample_rate_hz": 8000}))
    return folder


def modules_that_are_not_installed():
    """Of what av-sep depends on, what is missing where only the line in `examples/train_on_gpu.sh` was followed."""
    (line,) = re.findall("pip install (.*)", (ROOT / "examples" / "train_on_gpu.sh").read_text())
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg")
    lines = settings["options"]["install_requires"].splitlines()
    required = {re.split("[<>=]", line)[0].lower() for line in lines if line and not line.startswith("#")}
    # pip itself comes with setuptools on many a machine.
    missing = required - {re.sub(r"\W.*", "", word.strip("'")) for word in line.split()} - {"setuptools"}
    owners = importlib.metadata.packages_distributions()
    return sorted(module for module, names in owners.items() if any(name.lower() in missing for name in names))


@pytest.fixture(scope="module")
def trained(bank, tmp_path_factory):
    """The folder of two runs, and the messages of those that were refused."""
    pytest.importorskip("jax", reason="needs av-sep[jax]")
    folder = tmp_path_factory.mktemp("runs")
    pack_bank(bank, folder / "packed")
    shutil.copytree(bank, folder / "others_held_out")
    for name in NAMES:
        (folder / "others_held_out" / "heldout" / name).rename(folder / "others_held_out" / "heldout" / f"no_{name}")
    settings = json.dumps(dataclasses.asdict(TINY))
    arguments = [str(bank), str(folder / "packed"), str(folder), settings, ",".join(modules_that_are_not_installed())]
    command = [sys.executable, "-c", SCRIPT, *arguments]
    # Compilation is most of the time, and the second run compiles what the first one did.
    cache = {"JAX_COMPILATION_CACHE_DIR": str(folder / "cache"), "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    cache["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    environment = {**os.environ, **cache, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout.splitlines()[-1])


def arrays_of(path):
    with np.load(path) as archive:
        return [archive[name] for name in archive.files]


def test_validation_loss_falls_and_nothing_needs_more_than_the_script_installs(trained):
    assert {"tensorflow", "cv2", "sklearn", "museval"} <= {*modules_that_are_not_installed()}
    history = pd.read_csv(trained[0] / "whole" / "history.csv")
    assert list(history["step"]) == [8, 16, 24]
    assert history["val_loss"].iloc[-1] < history["val_loss"].iloc[0] - 0.3
    assert {path.name for path in (trained[0] / "whole").iterdir()} == {
        "config.json", "history.csv", "best.keras", "last.keras"
    }  # fmt: skip


def test_stopped_and_started_again_on_the_packed_bank_equals_never_stopped(trained):
    mine, theirs = (pd.read_csv(trained[0] / name / "history.csv") for name in ("stopped", "whole"))
    for column in ("epoch", "loss", "val_loss", "learning_rate"):
        np.testing.assert_allclose(mine[column], theirs[column], rtol=1e-5)
    for one, other in zip(*(arrays_of(trained[0] / f"{name}.npz") for name in ("stopped", "whole")), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


def test_steps_are_those_that_keras_takes_on_the_same_batches(trained):
    for one, other in zip(*(arrays_of(trained[0] / f"{name}.npz") for name in ("whole", "by_keras")), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_labels_are_noisy_in_training_and_true_in_validation(trained, bank):
    labels = np.concatenate(arrays_of(trained[0] / "labels.npz"))
    assert np.any((labels > 0.9) & (labels < 1)) and not np.any((labels > 0) & (labels < 0.9))
    config = MixingConfig(num_samples=512, room_probability=0.0)
    held_out = open_bank(bank, "heldout")
    # The seed and number of the third batch of every run's validation.
    expected = make_batch(held_out, list(NAMES), config, seed=20_000, index=2, batch_size=4)
    with np.load(trained[0] / "validation.npz") as archive:
        for name, array in zip(("mixture", "label_vector", "sources"), expected, strict=True):
            np.testing.assert_array_equal(archive[name], array)


def test_what_is_refused_says_what_to_do(trained):
    groups, no_bank, pictures, rate, players, others = trained[1]
    assert "multiple of steps_per_execution. Received: 8 and 3" in groups
    assert no_bank.startswith("MediaError") and "bank.json or packed_bank.json" in no_bank
    assert "JointModel needs records with pictures" in pictures
    assert "16000 Hz. Received: 8000" in rate
    assert "up to 1, as many" in players and players.endswith("Received: (0.0, 1.0)")
    assert "in the side 'heldout' of" in others
    assert others.endswith("Received: solo lines of no_cello, no_tuba, no_violin")
    assert not (trained[0] / "refused").exists()


def test_another_backend_is_refused(bank, tmp_path):
    import keras

    if keras.backend.backend() == "jax":
        pytest.skip("it is the one that works")
    from pipelines.train import train

    with pytest.raises(ParameterError, match="needs --backend jax"):
        train(dataclasses.replace(TINY, steps_per_execution=1), str(bank), str(tmp_path / "run"), accelerator="cpu")
    assert not (tmp_path / "run").exists()


def test_a_run_goes_on_when_settings_were_added_since(tmp_path):
    from pipelines.train.run_folder import RunFolder

    config = dataclasses.replace(TINY, mix_on_device=False)
    RunFolder(str(tmp_path / "run")).claim(config)
    path = tmp_path / "run" / "config.json"
    kept = json.loads(path.read_text())
    assert kept.pop("mix_on_device") is False
    path.write_text(json.dumps(kept))
    RunFolder(str(tmp_path / "run")).require_free_for(config)
    with pytest.raises(ParameterError, match="same settings"):
        RunFolder(str(tmp_path / "run")).require_free_for(TINY)
