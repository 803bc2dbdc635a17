"""The separator's face for methods that must hear the whole mixture before they can separate any of it."""

from collections.abc import Iterator

import numpy as np

from audio.reweighting import share_difference
from audio.separation_model import WholeMixtureModel
from audio.separator import BLOCK_SAMPLES, StreamSeparator
from audio.stream_blocks import SeparatedBlock, validated_block
from av_sep.errors import ParameterError

# Blind NMF takes some 5 MB per second of stereo beside the estimates, so this is about 4 GB.
DEFAULT_MAX_SECONDS = 10 * 60.0


class WholeMixtureSeparator(StreamSeparator):
    """Gathers a stream and separates it at its end; promises what `audio.separator` does, save for memory.

    Args:
        model: what separates a whole mixture.
        mixture_consistency: see `StreamSeparator`.
        max_seconds: longest stream that is gathered, because memory grows with it.
    """

    model: WholeMixtureModel

    def __init__(
        self, model: WholeMixtureModel, *, mixture_consistency: bool = True, max_seconds: float = DEFAULT_MAX_SECONDS
    ):
        super().__init__(model, mixture_consistency=mixture_consistency)
        self.max_seconds = max_seconds

    def _stream(self, blocks, label_vector, sample_rate_hz) -> Iterator[SeparatedBlock]:
        gathered: list[np.ndarray] = []
        num_samples = 0
        for block in blocks:
            gathered.append(validated_block(block, gathered[0].shape[1] if gathered else None))
            num_samples += len(block)
            if num_samples > self.max_seconds * sample_rate_hz:
                raise ParameterError(
                    f"{type(self.model).__name__} must hear a recording as a whole: expected at most"
                    f" {self.max_seconds / 60:g} minutes. Received: a longer one; use another model or cut it"
                )
        if not num_samples:
            return
        mixture = np.concatenate(gathered)
        estimates = self._estimates(mixture, label_vector, sample_rate_hz)
        for start in range(0, num_samples, BLOCK_SAMPLES):
            stretch = slice(start, start + BLOCK_SAMPLES)
            yield SeparatedBlock(mixture[stretch], np.ascontiguousarray(estimates[:, stretch], np.float32))

    def _estimates(self, mixture, label_vector, sample_rate_hz) -> np.ndarray:
        """Estimates of the active instruments, `[num_active, time, channels]`."""
        active = list(self.active(label_vector))
        if not active or not np.any(mixture):
            return np.zeros((len(active), *mixture.shape), np.float32)
        estimates = self.model.separate_mixture(mixture, label_vector, sample_rate_hz)[active]
        return share_difference(estimates, mixture) if self.mixture_consistency else estimates
