"""What must be true of a run's settings, whatever feeds it: said before anything is built or written."""

from av_sep.errors import ParameterError
from pipelines.config import TrainConfig
from pipelines.distribution import PRECISIONS


def require_settings(config: TrainConfig) -> None:
    """Makes sure that the settings go together.

    Raises:
        ParameterError: naming the first one that does not.
    """
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
