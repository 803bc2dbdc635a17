"""The floors: what doing nothing scores. No method that scores below them has separated anything.

Conventions: as `audio.separation_model.SeparationModel`; an instrument is active where its label is above 0. Nothing
depends on the sample rate, but a recording of another rate loses what this one cannot hold on its way through.
"""

from collections.abc import Sequence

import numpy as np

from audio.framing import ChunkPlan


class _Unseparated:
    """What both floors share: names, rate, and chunks without any context.

    Args:
        source_names: instruments in order.
        sample_rate_hz: of the sound that comes in.
    """

    def __init__(self, source_names: Sequence[str], sample_rate_hz: int):
        self.source_names = tuple(source_names)
        self.sample_rate_hz = sample_rate_hz

    def chunk_plan(self, chunk_samples: int) -> ChunkPlan:
        """Any hop will do, without context."""
        return ChunkPlan(chunk_samples, chunk_samples, 0)

    def _scaled(self, chunk: np.ndarray, gains: np.ndarray) -> np.ndarray:
        return np.asarray(gains, np.float32)[:, None] * np.asarray(chunk, np.float32)


class Mixture(_Unseparated):
    """Every active instrument is the whole mixture: what doing nothing scores, the zero of every improvement.

    Attributes:
        adds_up: False, as the estimates add up to the mixture times the number of active instruments on purpose;
            mixture consistency would turn this floor into the other one.
    """

    adds_up = False

    def separate_chunk(self, chunk: np.ndarray, label_vector: np.ndarray) -> np.ndarray:
        """`[num_input_samples]` to `[num_sources, num_input_samples]`, float32."""
        return self._scaled(chunk, np.asarray(label_vector) > 0)


class SharedMixture(_Unseparated):
    """Every active instrument is the mixture divided by their number: the floor of estimates that add up.

    For references that are uncorrelated and equally loud no other multiple of the mixture has so small a squared error.
    """

    adds_up = True

    def separate_chunk(self, chunk: np.ndarray, label_vector: np.ndarray) -> np.ndarray:
        """`[num_input_samples]` to `[num_sources, num_input_samples]`, float32."""
        active = np.asarray(label_vector) > 0
        return self._scaled(chunk, active / max(active.sum(), 1))
