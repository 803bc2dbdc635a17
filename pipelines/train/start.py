"""Where a new run's weights come from."""

import logging

import keras

from audio.models import load_model
from audio.separation_model import NetworkModel
from av_sep.errors import ParameterError

_log = logging.getLogger(__name__)

FEWEST_ALIKE = 0.5


def take_weights(network: keras.Model, source: str) -> None:
    """Gives a network the weights of another one that is built alike.

    Arrays are matched by their names and shapes. Those that have no match, as where the other is conditioned and this
    network is not, stay as they are, and a warning names them.

    Args:
        network: to be trained.
        source: name of a packaged model or path of a `.keras` file.

    Raises:
        ParameterError: where the other is no network, or has a match for less than half of the arrays.
        MediaError: where the file does not exist.
    """
    other = load_model(source)
    if not isinstance(other, NetworkModel):
        raise ParameterError(f"Expected start_from to name a single network. Received: {source!r}")
    given = {(variable.path, tuple(variable.shape)): variable for variable in other.network.weights}
    matches = [(variable, given.get((variable.path, tuple(variable.shape)))) for variable in network.weights]
    without = [variable.path for variable, match in matches if match is None]
    if len(without) > (1 - FEWEST_ALIKE) * len(matches):
        raise ParameterError(
            f"Expected start_from to have the weights of this network, {len(matches)} arrays. Received: {source!r},"
            f" which has {len(matches) - len(without)} of them"
        )
    if without:
        _log.warning("%r has no weights for %s: left as they were", source, ", ".join(without))
    for variable, match in matches:
        if match is not None:
            variable.assign(match)
