"""What the separators need of a model, and the adapter that makes a Keras network one."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from audio.framing import ChunkPlan
from av_sep.errors import ParameterError


@runtime_checkable
class SeparationModel(Protocol):
    """Maps a stretch of one channel to sources, shift-equivariantly on the grid of its chunk plan.

    Attributes:
        source_names: the sources in output order.
        sample_rate_hz: rate of its sound.
    """

    @property
    def source_names(self) -> Sequence[str]: ...

    @property
    def sample_rate_hz(self) -> int: ...

    def chunk_plan(self, chunk_samples: int) -> ChunkPlan:
        """How to cut a signal, in hops of at least `chunk_samples`."""
        ...

    def separate_chunk(self, chunk: np.ndarray, label_vector: np.ndarray) -> np.ndarray:
        """`[num_input_samples]` and `[num_sources]` to `[num_sources, at least hop_samples]`, float32."""
        ...


@runtime_checkable
class WholeMixtureModel(Protocol):
    """Separates a mixture that it must hear as a whole, all channels together (the blind classics).

    Attributes:
        source_names: the sources in output order.
    """

    @property
    def source_names(self) -> Sequence[str]: ...

    def separate_mixture(self, mixture: np.ndarray, label_vector: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """`[time, channels]` and `[num_sources]` to `[num_sources, time, channels]`; absent sources exactly silent."""
        ...


class NetworkModel:
    """A network as a separation model: one static shape, so it is traced once, and no sample that a cut could change.

    Args:
        network: one of `audio.networks.NETWORKS` with one channel; of a Wave-U-Net with zero-padded convolutions the
            weights are moved to a twin with valid ones.
        shares_notes: whether separators share the estimates out anew by notes (`audio.note_sharing`).

    Raises:
        ParameterError: if the network is not for one channel.
    """

    def __init__(self, network, *, shares_notes: bool = False):
        if network.options["num_channels"] != 1:
            raise ParameterError(
                "Expected a network for one channel; every channel of a recording is separated by itself."
                f" Received: num_channels={network.options['num_channels']}"
            )
        self.network = network.for_inference()
        self.shares_notes = shares_notes
        # XLA on CPU costs seconds of compilation and gains little on one forward pass. Not by `compile`, which would
        # take the optimizer of a network that is being trained.
        self.network.jit_compile = _must_compile()

    @property
    def source_names(self) -> tuple[str, ...]:
        return self.network.source_names

    @property
    def sample_rate_hz(self) -> int:
        return self.network.sample_rate_hz

    @property
    def takes_labels(self) -> bool:
        """Whether the network is told what plays."""
        return self.network.takes_labels

    def chunk_plan(self, chunk_samples: int) -> ChunkPlan:
        return self.network.chunk_plan(chunk_samples)

    def separate_chunk(self, chunk: np.ndarray, label_vector: np.ndarray) -> np.ndarray:
        inputs = {"mixture": chunk[None, :, None].astype(np.float32)}
        if self.takes_labels:
            inputs["label_vector"] = label_vector[None].astype(np.float32)
        estimates = np.asarray(self.network.predict_on_batch(inputs))[0, :, :, 0]
        border = self.network.border_samples
        return estimates[:, border : estimates.shape[1] - border]


def _must_compile() -> bool:
    import keras

    return keras.backend.backend() == "jax"
