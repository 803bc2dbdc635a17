"""TensorBoard's files of a run: curves and sounds. Without TensorFlow none are written; history.csv has the curves."""

import importlib.util
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from pipelines.distribution import hide_gpus_from_tensorflow


class Events(Protocol):
    """Where summaries go."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Adds numbers by name, of an optimizer's step."""

    def sounds(self, step: int, waveforms: Mapping[str, np.ndarray], rate_hz: int) -> None:
        """Adds waveforms by name, float32 `[1, time, channels]` in [-1, 1]."""

    def close(self) -> None:
        """Ends the file."""


def open_events(folder: str, suffix: str = ".v2") -> Events:
    """A new file of events.

    Args:
        folder: path or URL.
        suffix: of the file's name.
    """
    if importlib.util.find_spec("tensorflow") is None:
        return _NoEvents()
    return _TensorFlowEvents(folder, suffix)


class _TensorFlowEvents:
    """See `Events`."""

    def __init__(self, folder: str, suffix: str):
        hide_gpus_from_tensorflow()
        import tensorflow as tf

        self.summary: Any = tf.summary
        self.writer = tf.summary.create_file_writer(folder, filename_suffix=suffix)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        with self.writer.as_default(step=step):
            for name, value in values.items():
                self.summary.scalar(name, value)
        self.writer.flush()

    def sounds(self, step: int, waveforms: Mapping[str, np.ndarray], rate_hz: int) -> None:
        with self.writer.as_default(step=step):
            for name, waveform in waveforms.items():
                self.summary.audio(name, waveform, rate_hz)
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


class _NoEvents:
    """See `Events`."""

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        pass

    def sounds(self, step: int, waveforms: Mapping[str, np.ndarray], rate_hz: int) -> None:
        pass

    def close(self) -> None:
        pass
