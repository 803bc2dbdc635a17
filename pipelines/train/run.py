"""The run: data, model and callbacks put together, begun or gone on with."""

import os
from dataclasses import dataclass
from typing import Any

import keras
import pandas as pd
from keras import ops

from audio.losses import make_loss
from pipelines.config import TrainConfig
from pipelines.distribution import PRECISIONS, Devices, keras_as_before, open_devices
from pipelines.networks import build_network, objectives
from pipelines.progress import Progress, silent
from pipelines.train.callbacks import is_exhausted, make_callbacks
from pipelines.train.data_digest import data_digest
from pipelines.train.optimizers import make_optimizer
from pipelines.train.run_folder import RunFolder
from pipelines.train.settings import require_settings
from pipelines.train.start import take_weights


@dataclass(frozen=True)
class TrainingRun:
    """What a run left.

    Attributes:
        best: path or URL of the best model.
        history: one row per epoch.
        devices: what it ran on.
    """

    best: str
    history: pd.DataFrame
    devices: Devices


@keras_as_before()
def train(
    config: TrainConfig, data: str | os.PathLike[str], output: str | os.PathLike[str], *, accelerator: str = "auto",
    num_devices: int | None = None, progress: Progress = silent,
) -> TrainingRun:  # fmt: skip
    """Trains a network, or goes on where a run in the same folder stopped.

    Every batch and every weight follows from settings and data, so a run that was killed and started again ends where
    an undisturbed one does (on the same machine; sums are taken in other orders elsewhere).

    Args:
        config: the run's settings.
        data: folder of records or of a bank of solo lines; see `pipelines.train.feeds.open_feed`, and
            `pipelines.train.device_feed` for runs that mix on the device.
        output: folder of this run, path or URL.
        accelerator: see `pipelines.distribution.open_devices`.
        num_devices: likewise.
        progress: told the steps made, as `progress("training", done, total)`.

    Raises:
        ParameterError: for settings, data and devices that do not fit together, for a run that was begun with others,
            and when the loss is not a number.
        MediaError: for data or a folder that cannot be read or written.
    """
    data, output = os.fspath(data), os.fspath(output)
    require_settings(config)
    if config.mix_on_device and num_devices is None:
        num_devices = 1
    devices = open_devices(
        accelerator, num_devices, batch_size=config.batch_size, jit_compile=config.jit_compile,
        steps_per_execution=config.steps_per_execution,
    )  # fmt: skip
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(PRECISIONS[config.precision])
    with devices.scope():
        network = build_network(config.network, config.model)
    feed = _feed_for(config, data, network)
    folder = RunFolder(output)
    digest = data_digest(data)
    folder.require_free_for(config, digest)
    with devices.scope():
        model = folder.load_model("last.keras") if folder.has("last.keras") else _begun(network, config)
    if not _is_finished(model, config, folder):
        validation = feed.validation()
        # Not before the settings have built everything: a corrected command must find the folder free.
        folder.claim(config, digest)
        _fit(model, config, feed, validation, folder, progress)
    return TrainingRun(folder.path("best.keras"), folder.history(), devices)


def _feed_for(config: TrainConfig, data: str, network: keras.Model) -> Any:
    """A `pipelines.train.feeds.Feed`, or a `DeviceFeed`, which needs no TensorFlow."""
    if config.mix_on_device:
        from pipelines.train.device_feed import DeviceFeed

        return DeviceFeed(config, data, network)
    from pipelines.train.feeds import feed_for

    return feed_for(config, data, network)


def _is_finished(model: keras.Model, config: TrainConfig, folder: RunFolder) -> bool:
    return _steps_made(model) >= config.total_steps or is_exhausted(folder, config.patience)


def _steps_made(model: keras.Model) -> int:
    return int(ops.convert_to_numpy(model.optimizer.iterations))


def _fit(
    model: keras.Model, config: TrainConfig, feed: Any, validation: Any, folder: RunFolder, progress: Progress
) -> None:
    first_step = _steps_made(model)
    example: Any = None
    if config.sound_epochs:
        example = validation[0] if config.mix_on_device else next(validation.take(1).as_numpy_iterator())
    if config.mix_on_device:
        feed.attach(model)
    model.fit(
        feed.training(first_step),
        steps_per_epoch=config.steps_per_epoch,
        validation_data=validation,
        initial_epoch=first_step // config.steps_per_epoch,
        epochs=config.num_epochs,
        callbacks=make_callbacks(config, folder, first_step, progress, example),
        shuffle=False,
        verbose=0,
    )


def _begun(network: keras.Model, config: TrainConfig) -> keras.Model:
    if config.start_from is not None:
        take_weights(network, config.start_from)
    network.compile(
        optimizer=make_optimizer(config),
        jit_compile=config.jit_compile or keras.backend.backend() == "jax",
        steps_per_execution=config.steps_per_execution,
        **objectives(network, make_loss(config.loss, **config.loss_options)),
    )
    return network
