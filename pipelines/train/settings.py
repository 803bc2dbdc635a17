"""What must be true of a run's settings, whatever feeds it: said before anything is built or written."""

import math
from typing import get_type_hints

from av_sep.errors import ParameterError
from pipelines.config import TrainConfig
from pipelines.distribution import PRECISIONS
from pipelines.overrides import of_type

_LOWEST = {
    "segment_samples": 1,
    "batch_size": 1,
    "steps_per_epoch": 1,
    "num_epochs": 1,
    "steps_per_execution": 1,
    "validation_steps": 1,
    "decay_steps": 1,
    "patience": 1,
    "warmup_steps": 0,
    "sound_epochs": 0,
    "seed": 0,
}
_ABOVE_ZERO = ("learning_rate", "decay_rate", "global_clipnorm")


def require_settings(config: TrainConfig) -> None:
    """Makes sure that every setting is of its type and in its range, and that they go together.

    Raises:
        ParameterError: naming the first one of which that is not so.
    """
    for name, annotation in get_type_hints(TrainConfig).items():
        value = getattr(config, name)
        of_type(name, value, annotation)
        # Where None may stand, it says that the setting is not used.
        if name in _LOWEST and value is not None:
            _require(value >= _LOWEST[name], f"{name} of {_LOWEST[name]} or more", value)
        if name in _ABOVE_ZERO and value is not None:
            _require(0 < value < math.inf, f"{name} above 0", value)
    momentum = config.ema_momentum or 0.0
    _require(0 <= momentum < 1, "ema_momentum from 0 to below 1", momentum)
    _require(config.precision in PRECISIONS, f"a precision among {', '.join(PRECISIONS)}", repr(config.precision))
    # Keras makes the last call of an epoch a whole one, so a run that goes on would count epochs that never were.
    _require(
        config.steps_per_epoch % config.steps_per_execution == 0,
        "steps_per_epoch to be a multiple of steps_per_execution",
        f"{config.steps_per_epoch} and {config.steps_per_execution}",
    )


def _require(true: bool, expected: str, received: object) -> None:
    if not true:
        raise ParameterError(f"Expected {expected}. Received: {received}")
