"""Where a new run's weights come from."""

import keras

from audio.models import load_model
from audio.separation_model import NetworkModel
from av_sep.errors import ParameterError


def take_weights(network: keras.Model, source: str) -> None:
    """Gives a network the weights of another one that is built alike.

    Options that change no weight (rate, context, slots) may differ.

    Args:
        network: to be trained.
        source: name of a packaged model or path of a `.keras` file.

    Raises:
        ParameterError: where the other is no network, or its weights have other shapes.
        MediaError: where the file does not exist.
    """
    other = load_model(source)
    if not isinstance(other, NetworkModel):
        raise ParameterError(f"Expected start_from to name a network. Received: {source!r}")
    given, wanted = other.network.get_weights(), network.get_weights()
    shapes = [[array.shape for array in arrays] for arrays in (given, wanted)]
    if shapes[0] != shapes[1]:
        alike = next((i for i, pair in enumerate(zip(*shapes)) if pair[0] != pair[1]), min(map(len, shapes)))
        raise ParameterError(
            f"Expected start_from to have the weights of this network, {len(wanted)} arrays. Received: {source!r} with"
            f" {len(given)}, of which {alike} are alike before the first that differs"
        )
    network.set_weights(given)
