"""A bank of solos in the device's memory: batches are mixed inside the compiled steps, so the device waits for nobody.

Keras's own `fit` runs as ever, with its callbacks and checkpoints. What differs is its function for some steps: instead
of batches it is given the number of the first step, and a scan on the device makes batch after batch and takes step
after step, `steps_per_execution` of them in a call. Validation is that of a bank under any backend, mixed by NumPy from
the held-out side while the first steps run, so validation losses of both ways compare.

Needs the JAX backend and one device, and no TensorFlow. Batches are pure functions of (seed, step), so a run that was
stopped goes on with those it would have had.
"""

import itertools
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np

from av_sep.datasets.packed_bank import is_bank
from av_sep.errors import MediaError, ParameterError
from pipelines.config import TrainConfig
from pipelines.joint.model import JointModel
from pipelines.train.bank_batches import VALIDATION_SEED, batch_maker, mixing_config, open_sides
from pipelines.train.noisy_labels import label_noise_of


class DeviceFeed:
    """Mixtures of unrelated solo lines, made on the device; see `audio.device_mixing`.

    Args:
        config: of the run.
        location: folder of a bank, packed or not.
        network: that is to be trained, one of `audio.networks.NETWORKS`.

    Raises:
        ParameterError: for another backend, several devices, a network that needs pictures, and settings that do not
            fit together.
        MediaError: where the folder is not a bank or cannot be read.
    """

    def __init__(self, config: TrainConfig, location: str, network: keras.Model):
        _require_what_it_needs(config, location, network)
        from audio.device_mixing import DeviceMixer, device_bank

        names = config.model["source_names"]
        sides = open_sides(config, Path(location))
        rate_hz = sides["train"].sample_rate_hz
        self.config, self.location, self.input_names = config, location, tuple(network.input)
        self.output_samples = network.output_samples(config.segment_samples)
        self.mixer = DeviceMixer(mixing_config(config), len(names), rate_hz, config.batch_size)
        self.bank = device_bank(sides["train"], names)
        self.noise = label_noise_of(config, network)
        make = batch_maker(config, sides["heldout"], self.output_samples, VALIDATION_SEED)
        self._validation = _HeldOut(config.validation_steps, lambda number: self._as_inputs(*make(number)))

    def training(self, first_step: int) -> Iterator[tuple[np.ndarray]]:
        """Numbers of the steps with which the device is called from `first_step` on; see `attach`."""
        return ((np.int32(step),) for step in itertools.count(first_step, self.config.steps_per_execution))

    def validation(self) -> keras.utils.PyDataset:
        """The fixed validation batches: mixtures of sources that are held out as a whole."""
        return self._validation

    def attach(self, model: keras.Model) -> None:
        """Has a compiled model make its training batches itself; `fit` is then fed by `training`."""
        # Losses and metrics are built from a batch, which training never sees.
        model.test_on_batch(*self._validation[0])
        run = _compiled_steps(model, self._batch, self.config.steps_per_execution)

        def train_function(state, numbers):
            (first_step,) = next(numbers)
            return run(state, self.bank, first_step)

        model.train_function = train_function

    def _batch(self, bank, step):
        from audio.device_label_noise import noisy_batch

        mixture, labels, sources = self.mixer.batch(bank, self.config.seed, step)
        excess = (self.config.segment_samples - self.output_samples) // 2
        sources = sources[:, :, excess : excess + self.output_samples]
        if self.noise is not None:
            labels, sources = noisy_batch(labels, sources, self.noise, self.config.seed, step)
        return self._as_inputs(mixture, labels, sources)

    def _as_inputs(self, mixture, labels, sources):
        inputs = {"mixture": mixture, "label_vector": labels}
        return {name: inputs[name] for name in self.input_names}, sources


def _compiled_steps(model: keras.Model, make_batch: Callable[..., Any], num_steps: int) -> Callable[..., Any]:
    """Function (state, bank, first step) -> (logs, state) that takes so many steps in one call of the device."""
    import jax
    import jax.numpy as jnp

    def take_steps(state, bank, first_step):
        def take_step(state, step):
            logs, state = model.train_step(state, make_batch(bank, step))
            return state, logs

        state, logs = jax.lax.scan(take_step, state, first_step + jnp.arange(num_steps))
        # Keras's logs are means over the epoch so far: the last say all.
        return {name: values[-1] for name, values in logs.items()}, state

    # The state's memory is used again; the bank's must stay.
    return jax.jit(take_steps, donate_argnums=0)


class _HeldOut(keras.utils.PyDataset):
    """Batches that are made once, in threads, and kept in the host's memory.

    Args:
        num_batches: how many.
        make: number -> batch.
    """

    def __init__(self, num_batches: int, make: Callable[[int], Any]):
        super().__init__()
        self.num, self.make = num_batches, make
        self.batches: list[Future] = []

    def __len__(self) -> int:
        return self.num

    def __getitem__(self, index: int) -> Any:
        # Not before they are asked for: a finished run needs none.
        if not self.batches:
            threads = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
            self.batches = [threads.submit(self.make, number) for number in range(self.num)]
            threads.shutdown(wait=False)
        return self.batches[index].result()


def _require_what_it_needs(config: TrainConfig, location: str, network: keras.Model) -> None:
    if keras.backend.backend() != "jax":
        raise ParameterError(f"mix_on_device needs --backend jax. Received: {keras.backend.backend()}")
    if keras.distribution.distribution() is not None:
        raise ParameterError("mix_on_device trains on one device: use --devices 1, or leave mix_on_device out")
    if isinstance(network, JointModel):
        raise ParameterError(f"mix_on_device has sound alone: {config.network} needs records with pictures")
    if not is_bank(Path(location)):
        raise MediaError(f"Expected a bank of solo lines (bank.json or packed_bank.json). Received: {location}")
