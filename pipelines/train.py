"""Training run: a bank of solo lines in, checkpoints and a curve out. It can be killed at any time and started again.

In the run's folder: `config.json` (resolved settings), `last.keras` (weights and optimizer after the last epoch, for
resuming), `best.weights.h5` (moving average with the lowest validation loss), `history.csv`.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import keras
import pandas as pd
import tensorflow as tf

from audio.losses import NegativeSNR
from audio.wave_unet import WaveUNet
from av_sep.datasets.mixing import MixingConfig, make_batch
from av_sep.datasets.solo_bank import SoloBank, open_bank
from av_sep.errors import ParameterError
from pipelines.config import TrainConfig

# A stream of its own, so that validation examples never depend on the training seed.
VALIDATION_SEED = 20_000


def train(config: TrainConfig, bank_dir: Path, output_dir: Path) -> Path:
    """Trains a Wave-U-Net on mixtures made from a bank of solo lines, or goes on where a killed run stopped.

    Args:
        config: the run's settings.
        bank_dir: folder with `bank.json`, `train/` and, for validation, `heldout/`.
        output_dir: folder of this run.

    Returns:
        The best weights, `<output_dir>/best.weights.h5`.

    Raises:
        ParameterError: if bank and model disagree on the sample rate, or the folder holds a run with other settings.
        MediaError: if the bank cannot be read.
    """
    bank = open_bank(bank_dir, "train")
    if bank.sample_rate_hz != config.model["sample_rate_hz"]:
        raise ParameterError(
            f"Expected a bank at the model's {config.model['sample_rate_hz']} Hz. Received: {bank.sample_rate_hz} Hz"
        )
    output_dir.mkdir(parents=True, exist_ok=True)
    _record(config, output_dir)
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(config.precision)
    model = _new_or_resumed(config, output_dir)
    first_step = int(model.optimizer.iterations.numpy())
    model.fit(
        _batches(bank, config, config.seed, first_step, config.total_steps),
        steps_per_epoch=config.steps_per_epoch,
        validation_data=_batches(open_bank(bank_dir, "heldout"), config, VALIDATION_SEED, 0, config.validation_steps),
        initial_epoch=first_step // config.steps_per_epoch,
        epochs=config.num_epochs,
        callbacks=_callbacks(output_dir),
        shuffle=False,
        verbose=2,
    )
    return output_dir / "best.weights.h5"


def _new_or_resumed(config: TrainConfig, output_dir: Path) -> WaveUNet:
    last = output_dir / "last.keras"
    if last.exists():
        return keras.saving.load_model(last)
    model = WaveUNet(**config.model)
    model.compile(optimizer=_optimizer(config), loss=NegativeSNR(), jit_compile=False)
    return model


def _batches(bank: SoloBank, config: TrainConfig, seed: int, first: int, end: int) -> tf.data.Dataset:
    """Batches `first` to `end` of the stream that `seed` names; the same whether or not a run was interrupted."""
    names = list(config.model["source_names"])
    mixing = MixingConfig(num_samples=config.segment_samples, **config.mixing)

    def draw(index):
        return make_batch(bank, names, mixing, seed=seed, index=int(index), batch_size=config.batch_size)

    def load(index):
        mixture, labels, sources = tf.numpy_function(draw, [index], [tf.float32] * 3)
        mixture.set_shape((config.batch_size, config.segment_samples, 1))
        labels.set_shape((config.batch_size, len(names)))
        sources.set_shape((config.batch_size, len(names), config.segment_samples, 1))
        return {"mixture": mixture, "label_vector": labels}, sources

    return tf.data.Dataset.range(first, end).map(load, num_parallel_calls=2, deterministic=True).prefetch(2)


def _optimizer(config: TrainConfig) -> keras.optimizers.Optimizer:
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=config.learning_rate / 100,
        warmup_target=config.learning_rate,
        warmup_steps=config.warmup_steps,
        decay_steps=config.total_steps - config.warmup_steps,
        alpha=0.01,
    )
    return keras.optimizers.Adam(
        schedule, global_clipnorm=config.global_clipnorm, use_ema=True, ema_momentum=config.ema_momentum
    )


def _callbacks(output_dir: Path) -> Sequence[keras.callbacks.Callback]:
    # `last` comes before the swap: a resumed run must go on from the raw weights, not from their average.
    return [
        keras.callbacks.ModelCheckpoint(str(output_dir / "last.keras")),
        keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
        keras.callbacks.ModelCheckpoint(
            str(output_dir / "best.weights.h5"),
            monitor="val_loss",
            save_best_only=True,
            save_weights_only=True,
            initial_value_threshold=_best_so_far(output_dir / "history.csv"),
        ),
        History(output_dir / "history.csv"),
        keras.callbacks.TerminateOnNaN(),
    ]


class History(keras.callbacks.Callback):
    """Appends epoch, losses and learning rate to a CSV file, complete after every epoch whatever happens later.

    Args:
        path: the file.
    """

    def __init__(self, path: Path):
        super().__init__()
        self.path = path

    def on_epoch_end(self, epoch, logs=None):
        row = {"epoch": epoch, **(logs or {}), "learning_rate": float(self.model.optimizer.learning_rate)}
        pd.DataFrame([row]).to_csv(self.path, mode="a", header=not self.path.exists(), index=False)


def _best_so_far(history: Path) -> float | None:
    return float(pd.read_csv(history)["val_loss"].min()) if history.exists() else None


def _record(config: TrainConfig, output_dir: Path) -> None:
    resolved = json.dumps(dataclasses.asdict(config), indent=2)
    path = output_dir / "config.json"
    if path.exists() and path.read_text() != resolved:
        raise ParameterError(f"Expected an empty folder or a run with the same settings. Received: {output_dir}")
    path.write_text(resolved)
