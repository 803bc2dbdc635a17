"""Separation losses on sources `[batch, num_sources, time, channels]`, reference before estimate.

Every loss gives one number per example, which Keras averages over the batch, measures in float32 whatever the network
computes in, and says in its docstring what a silent reference contributes. Values and gradients are finite everywhere.
"""

import keras

from audio.losses.ratios import NegativeSISDR, NegativeSNR
from audio.losses.spectral import MultiResolutionSTFT
from audio.losses.waveform import WaveformL1, WaveformMSE, WaveformSSE
from av_sep.errors import ParameterError

LOSSES = {
    "mse": WaveformMSE,
    "sse": WaveformSSE,
    "l1": WaveformL1,
    "neg_snr": NegativeSNR,
    "neg_si_sdr": NegativeSISDR,
    "mr_stft": MultiResolutionSTFT,
}

__all__ = [
    "LOSSES",
    "MultiResolutionSTFT",
    "NegativeSISDR",
    "NegativeSNR",
    "WaveformL1",
    "WaveformMSE",
    "WaveformSSE",
    "make_loss",
]


def make_loss(name: str, **options) -> keras.losses.Loss:
    """A loss by its short name.

    Args:
        name: one of `LOSSES`: "mse", "sse", "l1", "neg_snr", "neg_si_sdr" or "mr_stft".
        options: of the loss's constructor, such as `floor_db`.

    Raises:
        ParameterError: for an unknown name or option.
    """
    if name not in LOSSES:
        raise ParameterError(f"Expected a loss among {', '.join(LOSSES)}. Received: {name!r}")
    try:
        return LOSSES[name](**options)
    except TypeError as error:
        raise ParameterError(f"Expected options of the loss {name}. Received: {options} ({error})") from error
