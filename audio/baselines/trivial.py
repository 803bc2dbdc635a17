"""The floors: what doing nothing scores. No method that scores below them has separated anything.

Conventions: as `audio.separation_model.WholeMixtureModel`, so that the mixture keeps its own rate and every bit of its
sound; an instrument is active where its label is above 0.
"""

from collections.abc import Sequence

import numpy as np


class _Unseparated:
    """What both floors share.

    Args:
        source_names: instruments in order.
    """

    def __init__(self, source_names: Sequence[str]):
        self.source_names = tuple(source_names)

    def _scaled(self, mixture: np.ndarray, gains: np.ndarray) -> np.ndarray:
        return np.asarray(gains, np.float32)[:, None, None] * np.asarray(mixture, np.float32)


class Mixture(_Unseparated):
    """Every active instrument is the whole mixture: what doing nothing scores, the zero of every improvement.

    Attributes:
        adds_up: False, as the estimates add up to the mixture times the number of active instruments on purpose;
            mixture consistency would turn this floor into the other one.
    """

    adds_up = False

    def separate_mixture(self, mixture: np.ndarray, label_vector: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """`[time, channels]` to `[num_sources, time, channels]`, float32."""
        return self._scaled(mixture, np.asarray(label_vector) > 0)


class SharedMixture(_Unseparated):
    """Every active instrument is the mixture divided by their number: the floor of estimates that add up.

    For references that are uncorrelated and equally loud no other multiple of the mixture has so small a squared error.
    """

    adds_up = True

    def separate_mixture(self, mixture: np.ndarray, label_vector: np.ndarray, sample_rate_hz: int) -> np.ndarray:
        """`[time, channels]` to `[num_sources, time, channels]`, float32."""
        active = np.asarray(label_vector) > 0
        return self._scaled(mixture, active / max(active.sum(), 1))
