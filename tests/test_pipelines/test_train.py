"""Training runs on tiny data: they learn, and a killed run goes on as if it had never stopped."""

import dataclasses
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest

import av_sep
from av_sep.errors import MediaError, ParameterError
from pipelines.config import TrainConfig
from pipelines.configs import RECIPES
from pipelines.train.callbacks import is_exhausted
from pipelines.train.run_folder import RunFolder

NAMES = ("violin", "cello", "tuba")
TINY = TrainConfig(
    recipe="tiny",
    model={
        "source_names": NAMES,
        "sample_rate_hz": 8000,
        "num_levels": 3,
        "num_filters": 4,
        "context": False,
        "conditioning": "multiplicative",
        "gate": True,
        "mixture_consistency": True,
    },
    segment_samples=1024,
    batch_size=4,
    steps_per_epoch=8,
    num_epochs=4,
    learning_rate=5e-3,
    warmup_steps=2,
    ema_momentum=0.8,
    validation_steps=4,
    mixing={"room_probability": 0.0},
    # So that resuming is held against a stream that is changed at random after the feed as well.
    label_noise={"drop_probability": 0.1, "add_probability": 0.2, "lowest_confidence": 0.9},
)
TOLD = ("conditioning", "gate", "mixture_consistency")
UNTOLD = {name: value for name, value in TINY.model.items() if name not in TOLD}


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bank")
    seconds = np.arange(80_000) / 8000
    for split in ("train", "heldout"):
        for name, frequency_hz in zip(NAMES, (1200.0, 300.0, 60.0)):
            (folder / split / name).mkdir(parents=True)
            line = 8000 * np.sin(2 * np.pi * frequency_hz * seconds) * (0.6 + 0.4 * np.sin(seconds))
            np.save(folder / split / name / "tones.npy", line.astype(np.int16))
    (folder / "bank.json").write_text(json.dumps({"sample_rate_hz": 8000}))
    return folder


def train(config, data, folder, **options):
    from pipelines.train import train as run

    return run(config, str(data), str(folder), accelerator="cpu", **options)


@pytest.fixture(scope="module")
def whole(bank, tmp_path_factory):
    """An undisturbed run's folder."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(dataclasses.replace(TINY, sound_epochs=2), bank, folder)
    return folder


def weights_of(path):
    import keras

    return keras.saving.load_model(path, compile=False).get_weights()


def test_validation_loss_falls(whole):
    history = pd.read_csv(whole / "history.csv")
    assert list(history["epoch"]) == [0, 1, 2, 3] and list(history["step"]) == [8, 16, 24, 32]
    assert history["val_loss"].iloc[-1] < history["val_loss"].iloc[0] - 1
    assert (history["examples_per_second"] > 0).all()
    ratio = history["hours_per_hour"] / history["examples_per_second"]
    np.testing.assert_allclose(ratio, 1024 / 8000, rtol=0.02)


def test_a_network_without_labels_learns_from_the_same_bank(bank, tmp_path):
    expanded = {name: TINY.model[name] for name in ("source_names", "sample_rate_hz", "num_levels", "num_filters")}
    config = dataclasses.replace(TINY, model={**expanded, "context": False}, label_noise=None, num_epochs=3)
    train(config, bank, tmp_path / "run")
    losses = pd.read_csv(tmp_path / "run" / "history.csv")["val_loss"]
    assert losses.iloc[-1] < losses.iloc[0] - 1


def test_a_run_does_not_go_on_with_other_data(bank, whole, tmp_path):
    other = shutil.copytree(bank, tmp_path / "bank")
    run = shutil.copytree(whole, tmp_path / "run")
    config = dataclasses.replace(TINY, sound_epochs=2)
    assert len(train(config, other, run).history) == 4
    np.save(other / "train" / "tuba" / "more.npy", np.load(other / "train" / "tuba" / "tones.npy"))
    with pytest.raises(ParameterError, match="begun with other data"):
        train(config, other, run)


def start_process(config: TrainConfig, bank, folder, backend="tensorflow"):
    code = (
        "import json, sys; from pipelines.config import TrainConfig; from pipelines.train import train;"
        "train(TrainConfig(**json.loads(sys.argv[1])), sys.argv[2], sys.argv[3], accelerator='cpu')"
    )
    command = [sys.executable, "-c", code, json.dumps(dataclasses.asdict(config)), str(bank), str(folder)]
    return subprocess.Popen(command, env={**os.environ, "KERAS_BACKEND": backend}, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_killed_at_any_step_and_started_again_equals_never_stopped(bank, whole, tmp_path, backend):
    if backend == "jax":
        pytest.importorskip("jax", reason="needs av-sep[jax]")
        whole = tmp_path / "whole"
        assert start_process(TINY, bank, whole, backend).wait() == 0
    config = dataclasses.replace(TINY, sound_epochs=2) if backend == "tensorflow" else TINY
    process = start_process(config, bank, tmp_path / "killed", backend)
    deadline = time.monotonic() + 180
    while not (tmp_path / "killed" / "last.keras").exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(pd.read_csv(whole / "history.csv")) == 4
    assert start_process(config, bank, tmp_path / "killed", backend).wait() == 0
    mine, theirs = (pd.read_csv(folder / "history.csv") for folder in (tmp_path / "killed", whole))
    assert list(mine["epoch"]) == list(theirs["epoch"])
    for column in ("loss", "val_loss", "learning_rate"):
        np.testing.assert_allclose(mine[column], theirs[column], rtol=1e-4)
    for one, other in zip(weights_of(tmp_path / "killed" / "best.keras"), weights_of(whole / "best.keras")):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_steps_in_groups_are_the_same_steps(bank, whole, tmp_path):
    seen = []
    config = dataclasses.replace(TINY, sound_epochs=2, steps_per_execution=4)
    done = train(config, bank, tmp_path / "run", progress=lambda stage, made, total: seen.append((made, total)))
    np.testing.assert_allclose(done.history["val_loss"], pd.read_csv(whole / "history.csv")["val_loss"], rtol=1e-4)
    assert seen[0] == (0.0, 32.0) and seen[-1] == (32.0, 32.0) and len(set(seen)) == 9


def test_a_finished_run_is_left_as_it_is(bank, whole):
    before = {path: path.stat().st_mtime_ns for path in whole.iterdir()}
    done = train(dataclasses.replace(TINY, sound_epochs=2), bank, whole)
    assert len(done.history) == 4 and {path: path.stat().st_mtime_ns for path in whole.iterdir()} == before


def test_best_is_a_model_with_its_settings_inside(whole, bank):
    from audio.models import load_model

    assert load_model(whole / "best.keras").source_names == NAMES
    with zipfile.ZipFile(whole / "best.keras") as archive:
        settings = json.loads(archive.read("train_config.json"))
    assert settings["recipe"] == "tiny" and settings["learning_rate"] == 5e-3
    assert (whole / "best.keras").stat().st_size < 0.6 * (whole / "last.keras").stat().st_size


def test_tensorboard_has_curves_and_sounds(whole):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def tags(pattern):
        (path,) = (whole / "events").glob(pattern)
        accumulator = EventAccumulator(str(path), size_guidance={"tensors": 0})
        accumulator.Reload()
        return {tag: [e.step for e in accumulator.Tensors(tag)] for tag in accumulator.Tags()["tensors"]}

    assert tags("*.v2")["val_loss"] == [8, 16, 24, 32]
    sounds = tags("*.sound")
    assert sounds["mixture"] == [16, 32] and any(tag.startswith("estimate/") for tag in sounds)


def test_other_settings_in_the_same_folder_are_refused(bank, whole, tmp_path):
    with pytest.raises(ParameterError, match="same settings"):
        train(dataclasses.replace(TINY, seed=1), bank, whole)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ParameterError, match="empty folder"):
        train(TINY, bank, tmp_path)


def test_a_new_run_looks_into_its_folder_once(bank, tmp_path, monkeypatch):
    from pipelines.train import files

    seen = []
    is_empty = files._LocalFiles.is_empty
    monkeypatch.setattr(files._LocalFiles, "is_empty", lambda self, path: seen.append(path) or is_empty(self, path))
    train(dataclasses.replace(TINY, num_epochs=1, steps_per_epoch=1), bank, tmp_path / "run")
    assert seen == [str(tmp_path / "run")] and (tmp_path / "run" / "config.json").exists()


@pytest.mark.parametrize("name", ["config.json", "history.csv", "last.keras"])
def test_a_run_does_not_go_on_from_damaged_files(bank, whole, tmp_path, name):
    shutil.copytree(whole, tmp_path / "run")
    content = (whole / name).read_bytes()
    (tmp_path / "run" / name).write_bytes(content[: len(content) // 2] if name != "history.csv" else b"")
    with pytest.raises(MediaError, match=f"/run/{name}[^\n]*$"):
        train(dataclasses.replace(TINY, sound_epochs=2), bank, tmp_path / "run")


def test_a_loss_that_is_no_number_stops_the_run_and_names_the_step(bank, tmp_path):
    config = dataclasses.replace(TINY, learning_rate=1e30, global_clipnorm=None, warmup_steps=0)
    with pytest.raises(ParameterError, match=r"loss became (nan|inf) at step \d+ \(batch \d+"):
        train(config, bank, tmp_path / "run")
    assert not (tmp_path / "run" / "last.keras").exists()


def test_a_run_ends_when_validation_no_longer_improves(bank, tmp_path):
    frozen = {"learning_rate": 1e-12, "ema_momentum": None, "precision": "bfloat16"}
    config = dataclasses.replace(TINY, num_epochs=9, patience=2, **frozen)
    done = train(config, bank, tmp_path / "run")
    assert 3 <= len(done.history) < 9
    assert len(train(config, bank, tmp_path / "run").history) == len(done.history)


NAN = math.nan


@pytest.mark.parametrize(
    ("losses", "ends"),
    [([5, 4, 3], False), ([3, 4, 5], True), ([5, 4, NAN, 3, 2], False), ([4, NAN, 5], True), ([NAN], False)],
)
def test_a_validation_loss_that_is_no_number_counts_for_nothing(tmp_path, losses, ends):
    folder = RunFolder(str(tmp_path))
    (tmp_path / "history.csv").write_text(
        "epoch,val_loss\n" + "".join(f"{epoch},{loss}\n" for epoch, loss in enumerate(losses))
    )
    assert is_exhausted(folder, 2) is ends and not is_exhausted(folder, None)


@pytest.mark.parametrize("sample_rate_hz", [8000, 16000])
def test_networks_built_after_a_run_are_not_in_its_precision(bank, tmp_path, sample_rate_hz):
    """Whether it ends well or, since the bank is at another rate, does not."""
    from audio.models import load_model

    model = {**TINY.model, "sample_rate_hz": sample_rate_hz}
    config = dataclasses.replace(TINY, precision="bfloat16", num_epochs=1, steps_per_epoch=1, model=model)
    ends = nullcontext() if sample_rate_hz == 8000 else pytest.raises(ParameterError, match="16000 Hz")
    with ends:
        train(config, bank, tmp_path / "run")
    assert (tmp_path / "run" / "best.keras").exists() == (sample_rate_hz == 8000)
    assert {layer.compute_dtype for layer in load_model("conditioned_small").network.layers} == {"float32"}


def test_a_run_on_another_file_system(bank):
    """TensorFlow's memory file system stands for gs://: the same calls, no local path."""
    import tensorflow as tf

    config = dataclasses.replace(TINY, num_epochs=2)
    done = train(config, bank, "ram://runs/one")
    assert len(done.history) == 2 and tf.io.gfile.exists("ram://runs/one/best.keras")
    assert len(train(config, bank, "ram://runs/one").history) == 2


def test_bank_at_another_rate_is_refused(bank, tmp_path):
    config = dataclasses.replace(TINY, model={**TINY.model, "sample_rate_hz": 16000})
    with pytest.raises(ParameterError, match="16000 Hz. Received: 8000"):
        train(config, bank, tmp_path / "run")


@pytest.mark.parametrize(
    ("side", "source_names", "weights", "words"),
    [
        ("train", ("horn", "oboe"), (1,), "some of horn, oboe in the side 'train' of .*: solo lines of cello, tuba"),
        ("train", ("horn", "tuba"), (0, 1), r"up to 1, .* in the side 'train' of .*\. Received: \(0.0, 1.0\)$"),
        ("heldout", ("horn", "violin"), (1,), "in the side 'heldout' of .*: solo lines of cello, tuba$"),
        ("heldout", NAMES, (0, 0, 1), "up to 2, .* in the side 'heldout'"),
    ],
)
def test_a_bank_without_the_model_s_instruments_is_refused(bank, tmp_path, side, source_names, weights, words):
    shutil.copytree(bank, tmp_path / "bank")
    if side == "heldout":
        shutil.rmtree(tmp_path / "bank" / "heldout" / "violin")
    model, mixing = {**TINY.model, "source_names": source_names}, {"num_instruments_weights": weights}
    with pytest.raises(ParameterError, match=words):
        train(dataclasses.replace(TINY, model=model, mixing=mixing), tmp_path / "bank", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_folders_may_be_named_by_paths(bank, whole):
    """As in `separate`; the run in this folder is finished, so nothing is trained."""
    done = av_sep.train(dataclasses.replace(TINY, sound_epochs=2), bank, whole, accelerator="cpu")
    assert done.best == f"{whole}/best.keras" and len(done.history) == TINY.num_epochs


def test_folder_that_holds_no_data(tmp_path):
    with pytest.raises(MediaError, match=r"manifest\.json.*bank\.json"):
        train(TINY, tmp_path, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"segment_samples": 1001}, "Received: 1001"),
        ({"precision": "float8"}, "float8"),
        ({"steps_per_execution": 3}, "multiple of steps_per_execution. Received: 8 and 3"),
        ({"schedule": "stairs"}, "stairs"),
        ({"loss": "hinge"}, "hinge"),
        ({"network": "Transformer"}, "WaveUNet, .*, JointModel. Received: 'Transformer'"),
        ({"model": {**TINY.model, "num_lewels": 3}}, "num_lewels"),
        ({"batch_size": 5}, "5 examples"),
        ({"num_epochs": 0}, "num_epochs of 1 or more. Received: 0"),
        ({"steps_per_execution": 0}, "steps_per_execution of 1 or more. Received: 0"),
        ({"validation_steps": 0}, "validation_steps of 1 or more"),
        ({"patience": "abc"}, "patience of type int or null"),
        ({"patience": 0}, "patience of 1 or more"),
        ({"seed": -1}, "seed of 0 or more"),
        ({"learning_rate": None}, "learning_rate of type float"),
        ({"learning_rate": float("nan")}, "learning_rate above 0. Received: nan"),
        ({"ema_momentum": 1.5}, "ema_momentum from 0 to below 1. Received: 1.5"),
        ({"mixing": {"level_spread": 3}}, "Did you mean 'level_spread_db'"),
        ({"label_noise": {"bogus": 3}}, "label_noise.bogus"),
        ({"label_noise": {}, "model": UNTOLD}, "needs a network that is told labels"),
    ],
)
def test_settings_that_cannot_be(bank, tmp_path, change, words):
    options = {"num_devices": 1} if "batch_size" not in change else {"num_devices": 2}
    with pytest.raises(ParameterError, match=words):
        train(dataclasses.replace(TINY, **change), bank, tmp_path / "run", **options)
    # The corrected command must find the folder free.
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recipes_build_and_say_what_they_cost(name):
    from pipelines.networks import NETWORKS
    from pipelines.train.settings import require_settings

    config = RECIPES[name]()
    require_settings(config)
    assert config.recipe == name and config.network in NETWORKS
    assert len(RECIPES[name].__doc__.splitlines()[0]) < 120
    for word in ("Command:", "Cost:", "Score:"):
        assert word in RECIPES[name].__doc__


# --- starting from other weights -------------------------------------------------------------------------------------


def test_a_run_starts_from_another_run_s_weights(whole, bank, tmp_path):
    """With steps too small to move anything, it ends where it started; by itself it would end at random weights."""
    still = {"schedule": "constant", "learning_rate": 1e-12, "warmup_steps": 0, "num_epochs": 1, "ema_momentum": None}
    config = dataclasses.replace(TINY, start_from=str(whole / "best.keras"), **still)
    train(config, bank, tmp_path / "run")
    for mine, theirs in zip(weights_of(tmp_path / "run/best.keras"), weights_of(whole / "best.keras"), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6)


def test_a_network_without_labels_starts_from_a_conditioned_one(whole, bank, tmp_path, caplog):
    """All but the layer that has the labels in it, of which a warning says so."""
    labelled = ("conditioning", "gate", "mixture_consistency")
    model = {name: value for name, value in TINY.model.items() if name not in labelled}
    still = {"schedule": "constant", "learning_rate": 1e-12, "warmup_steps": 0, "num_epochs": 1, "ema_momentum": None}
    config = dataclasses.replace(
        TINY, model=model, label_noise=None, start_from=str(whole / "best.keras"), seed=5, **still
    )
    train(config, bank, tmp_path / "run")
    pairs = list(zip(weights_of(tmp_path / "run/best.keras"), weights_of(whole / "best.keras"), strict=True))
    differ = [number for number, (mine, theirs) in enumerate(pairs) if mine.shape != theirs.shape]
    assert len(differ) == 1
    for number, (mine, theirs) in enumerate(pairs):
        if number not in differ:
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6)
    assert "has no weights for up_2/kernel: left as they were" in caplog.text


def test_a_run_that_goes_on_no_longer_needs_what_it_started_from(whole, bank, tmp_path):
    source = tmp_path / "source.keras"
    source.write_bytes((whole / "best.keras").read_bytes())
    config = dataclasses.replace(TINY, start_from=str(source), num_epochs=1)
    train(config, bank, tmp_path / "run")
    source.unlink()
    assert len(train(config, bank, tmp_path / "run").history) == 1


@pytest.mark.parametrize(
    ("source", "error", "message"),
    (
        ("nmf", ParameterError, "start_from to name a single network. Received: 'nmf'"),
        ("conditioned_small", ParameterError, r"\d+ arrays. Received: 'conditioned_small', which has 0 of them"),
        ("nothing.keras", MediaError, "does not exist"),
        ("somebody", ParameterError, "a model's name"),
    ),
)
def test_weights_that_do_not_fit_are_refused(bank, tmp_path, source, error, message):
    with pytest.raises(error, match=message):
        train(dataclasses.replace(TINY, start_from=source), bank, tmp_path / "run")
    assert not (tmp_path / "run").exists()
