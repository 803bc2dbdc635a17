"""BSS Eval version 3 on short segments: distortion filters of each segment's own, only the sources that sound in it.

The protocol of Slizovskaia et al. 2019. Every filter of 512 taps that a segment's estimate can be explained by is
forgiven, and it is fitted anew every 0.743 s: not the errors that `bss_eval_v4` counts.

Channels are averaged first. Segments do not overlap; an incomplete one at the end is dropped, so a signal shorter than
a segment has none. In each segment:

* Sources whose reference is not active (above `ACTIVE_ABOVE_DB` of the energy of its own loudest segment; all zeros
  never is) are left out, as if neither they nor their estimates existed, and score NaN. The threshold is our own.
* A silent estimate scores NaN and changes nothing for the other sources.
* Where only one source is active, SIR is NaN: there is nothing to interfere. SDR and SAR are then equal.
"""

import numpy as np

from audio.metrics.projection import DelayedReferences
from audio.metrics.segment_scores import SegmentScores, validated_sources, whole_samples
from av_sep.errors import ParameterError

# A reference sounds in a segment that has more than a millionth of the energy of its own loudest segment. Below lie the
# noise and the reverberation of a player who pauses: 512 free taps per source would make them explain other players'
# sound, and a score against them says nothing. Relative to itself, so that no gain, however unequal, matters.
ACTIVE_ABOVE_DB = -60.0


def bss_eval_v3_segment(
    references: np.ndarray,
    estimates: np.ndarray,
    sample_rate_hz: float,
    *,
    segment_seconds: float = 16384 / 22050,
    filter_taps: int = 512,
) -> SegmentScores:
    """SDR, SIR and SAR of BSS Eval v3 (`bss_eval_sources`, nothing permuted) on each segment by itself.

    What pauses, or is alone, or shorter than a segment goes by the rules at the top of this module. Scores depend
    neither on a gain common to everything nor on the gain of any single signal. A reference against itself scores above
    100 dB, how far above being a matter of rounding. Where the references can be told apart numerically, the scores are
    those of mir_eval's `bss_eval_sources` (0.8 at the latest); where not, which takes synthetic sounds, see
    `DelayedReferences`. The authors' own code averages by the mean, as does `SegmentScores.mean_over_segments`.

    Args:
        references: `[num_sources, time, channels]`.
        estimates: `[num_sources, time, channels]`, the same shape.
        sample_rate_hz: of both.
        segment_seconds: length of a segment, to the nearest sample.
        filter_taps: length of the distortion filters, at most a segment.

    Returns:
        The ratios by segment; `isr` is None, as the filter of the source itself is forgiven.

    Raises:
        ParameterError: for unequal shapes, empty arrays, samples that are not finite, segments shorter than a sample,
            or filters of no tap or longer than a segment.

    References: Slizovskaia, Kim, Haro, Gomez 2019; Vincent, Gribonval, Fevotte 2006, section III.B and the ratios.
    """
    references, estimates = (np.mean(s, axis=2) for s in validated_sources(references, estimates))
    length = whole_samples("segment_seconds", segment_seconds, sample_rate_hz)
    if not 1 <= filter_taps <= length:
        raise ParameterError(
            f"Expected filter_taps from 1 to the {length} samples of a segment. Received: filter_taps={filter_taps}"
        )
    references, estimates = _segments(references, length), _segments(estimates, length)
    active = _active(references)
    ratios = np.full((3, *active.shape), np.nan)
    for segment in np.flatnonzero(np.any(active, axis=0)):
        here = active[:, segment]
        ratios[:, here, segment] = _ratios(references[here, segment], estimates[here, segment], filter_taps)
    sdr, sir, sar = ratios
    return SegmentScores(np.arange(active.shape[1]) * length / sample_rate_hz, sdr=sdr, sir=sir, sar=sar)


def _segments(signals, length):
    """`[num_sources, time]` as `[num_sources, num_segments, length]`."""
    num_segments = signals.shape[1] // length
    return signals[:, : num_segments * length].reshape(len(signals), num_segments, length)


def _active(references):
    """Which sources sound in which segment, `[num_sources, num_segments]`."""
    peaks = np.max(np.abs(references), axis=(1, 2), keepdims=True, initial=0)
    energies = np.sum((references / np.where(peaks > 0, peaks, 1)) ** 2, axis=2)
    return energies > 10 ** (ACTIVE_ABOVE_DB / 10) * np.max(energies, axis=1, keepdims=True, initial=0)


def _ratios(references, estimates, num_taps):
    """SDR, SIR and SAR `[3, num_sources]` of one segment's sounding references and their estimates `[..., time]`."""
    # Gains change nothing but how far rounding errors reach.
    references, estimates = _unit_energy(references), _unit_energy(estimates)
    space = DelayedReferences(references, num_taps)
    from_all = space.project(estimates)
    from_own = np.stack([space.project_on_one(i, estimate) for i, estimate in enumerate(estimates)])
    whole = np.pad(estimates, ((0, 0), (0, num_taps - 1)))
    sdr = _ratios_db(from_own, whole - from_own)
    sir = _ratios_db(from_own, from_all - from_own) if len(references) > 1 else np.nan * sdr
    return sdr, sir, _ratios_db(from_all, whole - from_all)


def _unit_energy(signals):
    # By the peak first, so that no energy overflows or vanishes.
    peaks = np.max(np.abs(signals), axis=1, keepdims=True)
    signals = signals / np.where(peaks > 0, peaks, 1)
    norms = np.linalg.norm(signals, axis=1, keepdims=True)
    return signals / np.where(norms > 0, norms, 1)


def _ratios_db(signals, errors):
    """Ratios of energy; infinite without error, NaN for a silent estimate, which has neither signal nor error."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return 10 * np.log10(np.sum(signals**2, axis=1) / np.sum(errors**2, axis=1))
