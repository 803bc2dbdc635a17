"""What happens beside the steps of a run: checkpoints, curves, guards, examples to hear, a progress bar."""

import math
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import keras
import numpy as np
from keras import ops

from av_sep.errors import ParameterError
from pipelines.config import TrainConfig
from pipelines.progress import Progress
from pipelines.train.events import open_events
from pipelines.train.run_folder import RunFolder


def make_callbacks(
    config: TrainConfig, folder: RunFolder, first_step: int, progress: Progress, example: Any = None
) -> list[keras.callbacks.Callback]:
    """The callbacks of a run, in the order in which they must come.

    Args:
        config: of the run.
        folder: of the run.
        first_step: steps made before.
        progress: told the steps made.
        example: a validation batch to listen to, if the settings ask for sound.
    """
    callbacks: list[keras.callbacks.Callback] = [
        StepGuard(first_step, config.steps_per_execution),
        StepProgress(progress, first_step, config),
        Throughput(config),
        SaveBest(folder, config),
    ]
    if config.sound_epochs and example is not None:
        callbacks.append(SoundExamples(folder, config, example))
    callbacks.append(Curves(folder, config))
    if config.ema_momentum is not None:
        callbacks.append(AveragedValidation())
    # Last of all, and of the raw weights: before it, a run that is killed makes the epoch again and writes the same.
    callbacks.append(SaveLast(folder, config))
    if config.patience is not None:
        callbacks.append(Patience(folder, config.patience))
    return callbacks


class StepGuard(keras.callbacks.Callback):
    """Stops a run at the first step whose loss is not a number, and says which batch it was.

    Args:
        first_step: steps made before.
        steps_per_execution: steps between two looks.
    """

    def __init__(self, first_step: int, steps_per_execution: int = 1):
        super().__init__()
        self.step, self.stride = first_step, steps_per_execution

    def on_train_batch_end(self, batch, logs=None):
        self.step += self.stride
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            which = f"step {self.step}" if self.stride == 1 else f"steps {self.step - self.stride + 1} to {self.step}"
            raise ParameterError(
                f"The loss became {loss} at {which} (batch {self.step - 1} of the stream); the checkpoint before it is"
                " whole. Lower the learning rate, clip gradients harder, or look at that batch"
            )


class StepProgress(keras.callbacks.Callback):
    """Tells how many steps are made.

    Args:
        progress: told them.
        first_step: steps made before.
        config: of the run.
    """

    def __init__(self, progress: Progress, first_step: int, config: TrainConfig):
        super().__init__()
        self.progress, self.made = progress, first_step
        self.total, self.stride = config.total_steps, config.steps_per_execution

    def on_epoch_begin(self, epoch, logs=None):
        self.progress("training", float(self.made), float(self.total))

    def on_train_batch_end(self, batch, logs=None):
        self.made += self.stride
        self.progress("training", float(self.made), float(self.total))


class Throughput(keras.callbacks.Callback):
    """Adds to the logs of an epoch how fast it was, validation not counted.

    `examples_per_second`, and `hours_per_hour`: hours of mixture gone through in an hour.

    Args:
        config: of the run.
    """

    def __init__(self, config: TrainConfig):
        super().__init__()
        self.num_examples = config.steps_per_epoch * config.batch_size
        self.example_seconds = config.segment_samples / config.model["sample_rate_hz"]

    def on_epoch_begin(self, epoch, logs=None):
        self.started = time.monotonic()
        self.last = self.started

    def on_train_batch_end(self, batch, logs=None):
        self.last = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        rate = self.num_examples / max(1e-9, self.last - self.started)
        if logs is not None:
            logs.update(examples_per_second=round(rate, 3), hours_per_hour=round(rate * self.example_seconds, 3))


class AveragedValidation(keras.callbacks.Callback):
    """Puts the weights' moving average in their place from the validation on to its own turn at the epoch's end.

    Copies rather than Keras's swap by additions, which rounds: training must go on from the very weights it had. And
    copies rather than views, because JAX gives the memory of weights away while it trains.
    """

    def on_test_begin(self, logs=None):
        self.raw = self._copies()
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        # Otherwise weights and averages would be the same memory under JAX.
        self._assign(self._copies())

    def on_epoch_end(self, epoch, logs=None):
        self._assign(self.raw)

    def _copies(self) -> list[np.ndarray]:
        return [np.array(ops.convert_to_numpy(variable)) for variable in self.model.trainable_variables]

    def _assign(self, values: list[np.ndarray]) -> None:
        for variable, value in zip(self.model.trainable_variables, values, strict=True):
            variable.assign(value)


class SaveLast(keras.callbacks.Callback):
    """Keeps weights and optimizer after every epoch."""

    def __init__(self, folder: RunFolder, config: TrainConfig):
        super().__init__()
        self.folder, self.config = folder, config

    def on_epoch_end(self, epoch, logs=None):
        self.folder.save_model(self.model, "last.keras", self.config)


class SaveBest(keras.callbacks.Callback):
    """Keeps the weights with the lowest validation loss, without the optimizer's three copies of them."""

    def __init__(self, folder: RunFolder, config: TrainConfig):
        super().__init__()
        self.folder, self.config = folder, config

    def on_epoch_end(self, epoch, logs=None):
        history = self.folder.history()
        earlier = history[history["epoch"] < epoch] if len(history) else history
        best = float(earlier["val_loss"].min()) if len(earlier) else math.inf
        if float((logs or {})["val_loss"]) < best:
            bare = type(self.model).from_config(self.model.get_config())
            bare.set_weights(self.model.get_weights())
            self.folder.save_model(bare, "best.keras", self.config)


class Curves(keras.callbacks.Callback):
    """One row per epoch, in history.csv and for TensorBoard."""

    def __init__(self, folder: RunFolder, config: TrainConfig):
        super().__init__()
        self.folder, self.config = folder, config
        self.events = open_events(folder.path("events"))

    def on_epoch_end(self, epoch, logs=None):
        step = (epoch + 1) * self.config.steps_per_epoch
        rate = float(ops.convert_to_numpy(self.model.optimizer.learning_rate))
        row = {"epoch": epoch, "step": step, **(logs or {}), "learning_rate": rate}
        self.folder.append_history(row)
        scalars = {name: float(value) for name, value in row.items() if name not in ("epoch", "step")}
        self.events.scalars(step, scalars)

    def on_train_end(self, logs=None):
        self.events.close()


class SoundExamples(keras.callbacks.Callback):
    """Every few epochs, what the network makes of one validation mixture, for TensorBoard's audio tab.

    One prediction, between epochs; encoding and writing go on in a thread while the next steps run.

    Args:
        folder: of the run.
        config: of the run.
        example: a validation batch, `(inputs, targets, …)`; its first example is used.
    """

    def __init__(self, folder: RunFolder, config: TrainConfig, example: tuple[Any, ...]):
        super().__init__()
        inputs, targets = example[:2]
        self.inputs = {name: np.asarray(values)[:1] for name, values in inputs.items()}
        self.sources = _sources(targets)[:1]
        self.config = config
        self.events = open_events(folder.path("events"), ".sound")
        self.thread = ThreadPoolExecutor(1)
        self.pending: Future | None = None

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.config.sound_epochs:
            return
        estimates = _sources(self.model.predict_on_batch(self.inputs))
        self._join()
        self.pending = self.thread.submit(self._write, estimates, (epoch + 1) * self.config.steps_per_epoch)

    def _write(self, estimates: np.ndarray, step: int) -> None:
        rate_hz = self.config.model["sample_rate_hz"]
        names: Sequence[str] = self.config.model["source_names"]
        sounds = {"mixture": self.inputs["mixture"]}
        for slot in map(int, np.flatnonzero(np.abs(self.sources[0]).max(axis=(1, 2)))):
            sounds[f"reference/{names[slot]}"] = self.sources[:, slot]
            sounds[f"estimate/{names[slot]}"] = estimates[:, slot]
        self.events.sounds(step, {name: np.clip(sound, -1, 1) for name, sound in sounds.items()}, rate_hz)

    def _join(self) -> None:
        if self.pending is not None:
            self.pending.result()

    def on_train_end(self, logs=None):
        self._join()
        self.thread.shutdown()
        self.events.close()


def _sources(structure: Any) -> np.ndarray:
    """Sources of a network's targets or outputs, which may hold labels besides."""
    return np.asarray(structure["sources"] if isinstance(structure, dict) else structure, np.float32)


class Patience(keras.callbacks.Callback):
    """Ends a run when the validation loss has not fallen for some epochs; counts from the file, so resuming is exact.

    Args:
        folder: of the run.
        num_epochs: epochs to wait.
    """

    def __init__(self, folder: RunFolder, num_epochs: int):
        super().__init__()
        self.folder, self.num_epochs = folder, num_epochs

    def on_epoch_end(self, epoch, logs=None):
        if is_exhausted(self.folder, self.num_epochs):
            self.model.stop_training = True


def is_exhausted(folder: RunFolder, num_epochs: int | None) -> bool:
    """Whether the lowest validation loss is that many epochs old; one that is no number counts for nothing."""
    history = folder.history()
    if num_epochs is None or not len(history) or history["val_loss"].isna().all():
        return False
    best = history["epoch"].to_numpy()[int(np.nanargmin(history["val_loss"].to_numpy()))]
    return int(history["epoch"].max()) - int(best) >= num_epochs
