"""Stretches of a stream: what a separator yields, samples that wait for their turn, and what a block may be.

Conventions: blocks are float32 `[time, channels]`.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from av_sep.errors import ParameterError


@dataclass(frozen=True, eq=False)
class SeparatedBlock:
    """A stretch of the stream.

    Attributes:
        mixture: `[time, channels]`.
        estimates: of the active instruments, `[num_active, time, channels]`.
    """

    mixture: np.ndarray
    estimates: np.ndarray

    @property
    def residual(self) -> np.ndarray:
        """Mixture minus the sum of the estimates, `[time, channels]`."""
        return self.mixture - self.estimates.sum(axis=0)


class SampleQueue:
    """First in, first out, for samples `[time, channels]` that arrive and leave in stretches of any length."""

    def __init__(self, num_channels: int):
        self._blocks: deque[np.ndarray] = deque()
        self._empty = np.zeros((0, num_channels), np.float32)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def push(self, block: np.ndarray) -> None:
        """Puts a block at the end."""
        if len(block):
            self._blocks.append(block)
            self._length += len(block)

    def peek(self, num_samples: int) -> np.ndarray:
        """The first samples, or all if there are fewer; they stay."""
        whole = np.concatenate([self._empty, *self._blocks])
        self._blocks = deque([whole])
        return whole[:num_samples]

    def drop(self, num_samples: int) -> None:
        """Throws the first samples away."""
        self.peek(num_samples)
        rest = self._blocks[0][num_samples:]
        self._blocks = deque([rest] if len(rest) else [])
        self._length = len(rest)

    def take(self, num_samples: int) -> np.ndarray:
        """The first samples, or all if there are fewer; they go."""
        taken = self.peek(num_samples)
        self.drop(num_samples)
        return taken


def validated_block(block: np.ndarray, num_channels: int | None) -> np.ndarray:
    """A block as float32 `[time, channels]`; raises ParameterError for another shape and for samples that are none.

    It is a copy: parts of it wait for later blocks, and a source may fill one buffer again and again.
    """
    block = np.array(block, np.float32)
    if block.ndim != 2 or (num_channels is not None and block.shape[1] != num_channels):
        wanted = "channels" if num_channels is None else num_channels
        raise ParameterError(f"Expected blocks [time, {wanted}]. Received: shape {block.shape}")
    if not np.all(np.isfinite(block)):
        raise ParameterError("Expected finite samples; clean the recording first. Received: NaN or infinity")
    return block
