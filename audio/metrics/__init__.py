"""Scores of estimates against their references, in dB: pure functions of arrays that never load files.

Conventions:
    Of one stem, reference and estimate are `[time, channels]`; of a whole separation, references and estimates are
    `[num_sources, time, channels]`, the estimate of a source at the place of its reference (nothing is permuted). Both
    have one shape, any float dtype, full scale 1.0; what is computed is computed in float64. References come first.
    What has no score is NaN in arrays of scores, and a ParameterError where a function returns one number. A wholly
    silent reference never has a score: there is no signal to be distorted, and any amount of leakage into it is
    infinitely much. `level_below_mixture_db` measures such leakage.
    Never mix these scores in one column: no two of them count the same errors.

Metrics:
    sdr, si_sdr and their improvements over the mixture: one number for a whole stem (`audio.metrics.ratios`).
    level_below_mixture_db: how quiet a stem is that should be silent.
    bss_eval_v4: SDR, ISR, SIR, SAR per window of 1 s, one distortion filter for the whole signal; the evaluation
        campaigns' numbers, computed by museval (`audio.metrics.global_filters`).
    bss_eval_v3_segment: SDR, SIR, SAR per segment of 0.743 s, distortion filters of each segment's own
        (`audio.metrics.segment_filters`).

References:
    Y. Mitsufuji et al., "Music Demixing Challenge 2021", Frontiers in Signal Processing 1, 2022: plain SDR.
    J. Le Roux, S. Wisdom, H. Erdogan, J. R. Hershey, "SDR - half-baked or well done?", ICASSP 2019: SI-SDR.
    E. Vincent, R. Gribonval, C. Fevotte, "Performance measurement in blind audio source separation", IEEE TASLP 14(4),
        2006: BSS Eval, its distortion filters and the split into interference and artifacts.
    F.-R. Stoeter, A. Liutkus, N. Ito, "The 2018 Signal Separation Evaluation Campaign", LVA/ICA 2018: BSS Eval v4.
    O. Slizovskaia, L. Kim, G. Haro, E. Gomez, "End-to-end sound source separation conditioned on instrument labels",
        ICASSP 2019: BSS Eval per segment, over the sources that sound.
"""

from audio.metrics.global_filters import bss_eval_v4
from audio.metrics.ratios import level_below_mixture_db, sdr, sdr_improvement, si_sdr, si_sdr_improvement
from audio.metrics.segment_filters import bss_eval_v3_segment
from audio.metrics.segment_scores import SegmentScores

__all__ = [
    "SegmentScores",
    "bss_eval_v3_segment",
    "bss_eval_v4",
    "level_below_mixture_db",
    "sdr",
    "sdr_improvement",
    "si_sdr",
    "si_sdr_improvement",
]
