"""Batches of a bank of solo lines as networks take them, whoever feeds them: mixed by NumPy, cut to the output."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from av_sep.datasets.mixing import MixingConfig, make_batch, require_mixable
from av_sep.datasets.packed_bank import SPLITS, open_any_bank
from av_sep.datasets.solo_bank import SoloBank
from av_sep.errors import ParameterError
from pipelines.config import TrainConfig
from pipelines.overrides import from_options

# A stream of its own, so that validation examples never depend on the training seed.
VALIDATION_SEED = 20_000


def mixing_config(config: TrainConfig) -> MixingConfig:
    """How a run mixes solos.

    Raises:
        ParameterError: for a part of `mixing` that does not exist, and a value of another type.
    """
    return from_options("mixing", MixingConfig, config.mixing, num_samples=config.segment_samples)


def open_sides(config: TrainConfig, folder: Path) -> dict[str, SoloBank]:
    """The sides "train" and "heldout" of a bank, once it is known that a run can draw its batches from both.

    Args:
        config: of the run.
        folder: of the bank, packed or not.

    Raises:
        MediaError: where a side is missing, or a file is damaged.
        ParameterError: as `mixing_config`, `require_rate` and `require_mixable`.
    """
    sides = {side: open_any_bank(folder, side) for side in SPLITS}
    for side, bank in sides.items():
        require_rate(config, bank.sample_rate_hz)
        place = f"the side {side!r} of {folder}"
        require_mixable(bank, config.model["source_names"], mixing_config(config), place)
    return sides


def batch_maker(
    config: TrainConfig, bank: SoloBank, output_samples: int, seed: int
) -> Callable[[int], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Function from a batch's number to the batch.

    Args:
        config: of the run.
        bank: one side of a bank, see `open_sides`.
        output_samples: length of the sources; the centre of the mixture's stretch.
        seed: of the stream.

    Returns:
        number -> (mixture `[batch, segment_samples, 1]`, label_vector `[batch, num_sources]`, sources `[batch,
        num_sources, output_samples, 1]`), float32.

    Raises:
        ParameterError: as `mixing_config`.
    """
    names, mixing = list(config.model["source_names"]), mixing_config(config)
    excess = (config.segment_samples - output_samples) // 2

    def make(number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        batch = make_batch(bank, names, mixing, seed=seed, index=int(number), batch_size=config.batch_size)
        return batch[0], batch[1], batch[2][:, :, excess : excess + output_samples]

    return make


def require_rate(config: TrainConfig, rate_hz: int) -> None:
    """Makes sure that data and model have one sample rate.

    Raises:
        ParameterError: where they differ.
    """
    if rate_hz != config.model["sample_rate_hz"]:
        expected = f"Expected data at the model's {config.model['sample_rate_hz']} Hz"
        raise ParameterError(f"{expected}. Received: {rate_hz} Hz")
