"""The networks by the name of their class, as configs and packaged weights name them."""

from collections.abc import Mapping
from typing import Any

import keras

from audio.log_frequency_network import LogFrequencyNetwork
from audio.spectrogram_unet import SpectrogramUNet
from audio.wave_unet import WaveUNet
from av_sep.errors import ParameterError

NETWORKS: dict[str, type[keras.Model]] = {
    "WaveUNet": WaveUNet,
    "SpectrogramUNet": SpectrogramUNet,
    "LogFrequencyNetwork": LogFrequencyNetwork,
}


def build_network(
    name: str, options: Mapping[str, Any], networks: Mapping[str, type[keras.Model]] = NETWORKS
) -> keras.Model:
    """A new network.

    Args:
        name: one of `networks`.
        options: arguments of its constructor.
        networks: classes by name.

    Raises:
        ParameterError: for an unknown class or options that it does not take.
    """
    if name not in networks:
        raise ParameterError(f"Expected a network among {', '.join(networks)}. Received: {name!r}")
    try:
        return networks[name](**options)
    except TypeError as error:
        raise ParameterError(f"{name} does not take these options: {error}") from error
