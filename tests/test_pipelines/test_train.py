"""A training run on a tiny bank: it learns, and a killed run goes on as if it had never stopped."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from av_sep.errors import MediaError, ParameterError
from pipelines.config import TrainConfig
from pipelines.configs import RECIPES

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
)


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bank")
    time = np.arange(80_000) / 8000
    for split in ("train", "heldout"):
        for name, frequency_hz in zip(NAMES, (1200.0, 300.0, 60.0)):
            (folder / split / name).mkdir(parents=True)
            line = 8000 * np.sin(2 * np.pi * frequency_hz * time) * (0.6 + 0.4 * np.sin(time))
            np.save(folder / split / name / "tones.npy", line.astype(np.int16))
    (folder / "bank.json").write_text(json.dumps({"sample_rate_hz": 8000}))
    return folder


def train(config, bank, folder):
    from pipelines.train import train as run

    run(config, bank, folder)
    return pd.read_csv(folder / "history.csv")


def test_validation_loss_falls_and_a_resumed_run_equals_an_undisturbed_one(bank, tmp_path, monkeypatch):
    import keras

    from pipelines import train as module

    class Interruption(keras.callbacks.Callback):
        """Ends the run in the middle of the third epoch, after two were kept."""

        def on_train_batch_end(self, batch, logs=None):
            if self.model.optimizer.iterations.numpy() == 2 * TINY.steps_per_epoch + 3:
                raise KeyboardInterrupt

    whole = train(TINY, bank, tmp_path / "whole")
    assert whole["val_loss"].iloc[-1] < whole["val_loss"].iloc[0] - 1
    with monkeypatch.context() as patch:
        callbacks = module._callbacks
        patch.setattr(module, "_callbacks", lambda folder: [*callbacks(folder), Interruption()])
        with pytest.raises(KeyboardInterrupt):
            train(TINY, bank, tmp_path / "stopped")
    resumed = train(TINY, bank, tmp_path / "stopped")
    assert list(resumed["epoch"]) == [0, 1, 2, 3]
    np.testing.assert_allclose(resumed["loss"], whole["loss"], rtol=1e-4)
    np.testing.assert_allclose(resumed["val_loss"], whole["val_loss"], rtol=1e-4)


def test_other_settings_in_the_same_folder_are_refused(bank, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ParameterError, match="same settings"):
        train(TINY, bank, tmp_path)


def test_bank_at_another_rate_is_refused(bank, tmp_path):
    config = dataclasses.replace(TINY, model={**TINY.model, "sample_rate_hz": 16000})
    with pytest.raises(ParameterError, match="16000 Hz. Received: 8000"):
        train(config, bank, tmp_path)


def test_folder_that_is_no_bank(tmp_path):
    with pytest.raises(MediaError, match="bank.json"):
        train(TINY, tmp_path, tmp_path / "run")


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_recipes_build_and_say_what_they_cost(name):
    from audio.wave_unet import WaveUNet

    config = RECIPES[name]()
    assert config.recipe == name
    assert config.segment_samples % 2 ** config.model["num_levels"] == 0
    assert WaveUNet(**config.model).source_names == tuple(config.model["source_names"])
    for word in ("Command:", "Cost:", "Score:"):
        assert word in RECIPES[name].__doc__
