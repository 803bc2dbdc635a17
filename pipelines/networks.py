"""Every network that can be trained, by the name of its class: those that hear, and the joint model."""

from collections.abc import Mapping
from typing import Any

import keras

from audio import networks as audio_networks
from pipelines.joint.model import JointModel

NETWORKS: dict[str, type[keras.Model]] = {**audio_networks.NETWORKS, "JointModel": JointModel}


def build_network(name: str, options: Mapping[str, Any]) -> keras.Model:
    """As `audio.networks.build_network`, of `NETWORKS`."""
    return audio_networks.build_network(name, options, NETWORKS)


def objectives(network: keras.Model, separation_loss: keras.losses.Loss) -> dict[str, Any]:
    """What a network's `compile` is told of losses and metrics.

    Args:
        network: that is to be trained.
        separation_loss: one of `audio.losses.LOSSES`.
    """
    return network.objectives(separation_loss) if isinstance(network, JointModel) else {"loss": separation_loss}
