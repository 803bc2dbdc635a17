"""Sample-rate conversion of a stream, by soxr (very high quality, linear phase, no delay left in the output).

Conventions: blocks are float32 `[time, channels]`. The converted blocks do not depend on how the stream was cut.
"""

import numpy as np
import soxr


class StreamResampler:
    """Converts a stream block by block; with equal rates it passes blocks through.

    Args:
        input_rate_hz: rate of what comes in.
        output_rate_hz: rate of what goes out.
        num_channels: channels of both.
    """

    def __init__(self, input_rate_hz: float, output_rate_hz: float, num_channels: int):
        self._stream = None
        if input_rate_hz != output_rate_hz:
            self._stream = soxr.ResampleStream(input_rate_hz, output_rate_hz, num_channels, "float32", quality="VHQ")

    def process(self, block: np.ndarray, *, last: bool = False) -> np.ndarray:
        """Takes a block `[time, channels]` and returns what is ready `[time', channels]`, all of it if `last`."""
        block = np.ascontiguousarray(block, np.float32)
        if self._stream is None:
            return block
        return self._stream.resample_chunk(block, last=last)


def resample(waveform: np.ndarray, input_rate_hz: float, output_rate_hz: float) -> np.ndarray:
    """Converts a whole waveform `[time, channels]`, float32."""
    return StreamResampler(input_rate_hz, output_rate_hz, waveform.shape[1]).process(waveform, last=True)
