"""BSS Eval version 4: ratios per window, with distortion filters that hold for the whole signal; computed by museval.

Each reference may be filtered by 512 taps before it is compared, but all windows share the filters, so an estimate
cannot be fitted to its reference window by window. This is museval's `mode="v4"`: SDR compares with the reference as it
is, and ISR says how much of the error a filter of the reference would explain.

Every number is museval's own. These rules hold where museval refuses or has no answer; "silent" is what museval takes
for it, a signal whose channels sum to zero at every sample:

* A source whose reference is wholly silent is left out, as if neither it nor its estimate existed, and scores NaN.
* A wholly silent estimate scores NaN and changes nothing for the other sources.
* In a window in which any remaining reference or estimate is silent, all sources score NaN (museval's rule). So an
  estimate that pauses for a window costs every source that window.
* Where only one source remains, SIR is NaN: there is nothing to interfere. (museval reports rounding errors.)
* A signal no longer than the window is one window, all of it; otherwise the last window, if incomplete, is dropped.
"""

import numpy as np

from audio.metrics.segment_scores import SegmentScores, validated_sources, whole_samples
from av_sep.errors import ParameterError
from av_sep.media import ensure_ffmpeg_on_path


def bss_eval_v4(
    references: np.ndarray,
    estimates: np.ndarray,
    sample_rate_hz: float,
    *,
    window_seconds: float = 1.0,
    hop_seconds: float = 1.0,
) -> SegmentScores:
    """SDR, ISR, SIR and SAR of BSS Eval v4 in windows of one second; the score of a stem is the median over them.

    What is silent, or alone, or shorter than a window goes by the rules at the top of this module. Scores do not depend
    on a gain common to everything. A reference against itself scores above 100 dB, up to infinity, as rounding has it.

    Args:
        references: `[num_sources, time, channels]`.
        estimates: `[num_sources, time, channels]`, the same shape.
        sample_rate_hz: of both.
        window_seconds: length of a window, to the nearest sample.
        hop_seconds: from one window's start to the next one's, to the nearest sample.

    Returns:
        The ratios by window, with ISR.

    Raises:
        ParameterError: for unequal shapes, empty arrays, samples that are not finite, windows or hops shorter than a
            sample, or references of which one is, exactly to the last bit, a filtered copy of others.
        MediaError: where there is no ffmpeg at all, without which museval cannot be imported.

    References: Stoeter, Liutkus, Ito 2018; Vincent, Gribonval, Fevotte 2006.
    """
    references, estimates = validated_sources(references, estimates)
    window = whole_samples("window_seconds", window_seconds, sample_rate_hz)
    hop = whole_samples("hop_seconds", hop_seconds, sample_rate_hz)
    sounding = ~_silent(references)
    scored = sounding & ~_silent(estimates)
    num_windows = max(references.shape[1] - window, 0) // hop + 1
    ratios = np.full((4, len(references), num_windows), np.nan)
    if np.any(scored):
        # A source's scores depend on no estimate but its own. The stand-in for a missed stem is silent in no window
        # that has scores, because it is the reference.
        stand_ins = np.where(scored[:, None, None], estimates, references)
        ratios[:, sounding] = _museval_ratios(references[sounding], stand_ins[sounding], window, hop)
        ratios[:, ~scored] = np.nan
    sdr, isr, sir, sar = ratios
    if np.sum(sounding) == 1:
        sir = np.full_like(sir, np.nan)
    return SegmentScores(np.arange(num_windows) * hop / sample_rate_hz, sdr=sdr, sir=sir, sar=sar, isr=isr)


def _silent(sources):
    return np.all(np.sum(sources, axis=2) == 0, axis=1)


def _museval_ratios(references, estimates, window, hop):
    ensure_ffmpeg_on_path()
    from museval.metrics import bss_eval

    try:
        with np.errstate(divide="ignore", invalid="ignore"):
            return bss_eval(references, estimates, window=window, hop=hop, framewise_filters=False)[:4]
    except AttributeError as error:
        # museval catches a singular matrix by a name of the exception that NumPy 2.4 has removed.
        if not isinstance(error.__context__, np.linalg.LinAlgError):
            raise
        raise ParameterError(
            "References of which one is a filtered copy of others cannot be told apart: leave one out. "
            f"Received: {len(references)} references whose correlations make a singular matrix"
        ) from error
