"""The scores of one system on one track, as rows of the tables.

A stem is "present" where its instrument plays and was separated, "missed" where it plays and has none, or a silent one,
because nobody said so (its improvement is none: its listener is left with the mixture), "leak" where it does not play
and got a stem all the same: no ratio is defined there, so what is measured is how far below the mixture it lies.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from audio.metrics import (
    SegmentScores,
    bss_eval_v3_segment,
    bss_eval_v4,
    level_below_mixture_db,
    sdr,
    sdr_improvement,
    si_sdr,
    si_sdr_improvement,
)
from pipelines.evaluate.sounds import TrackSound

_METHODS: Mapping[str, Callable[..., SegmentScores]] = {"v3_segment": bss_eval_v3_segment, "v4": bss_eval_v4}
# museval's filters are ill determined where references are cleaner than any recording (made sound, steep band limits):
# its ISR, SIR and SAR then come out at random, 10 to 60 dB low. They were seen to settle to about 0.2 dB from noise at
# -70 dB on, while the SDR does not move. The noise is the same for every system.
REFERENCE_NOISE_DB = -70.0
_SCORES = {"v3_segment": ("sdr", "sir", "sar"), "v4": ("sdr", "isr", "sir", "sar")}


@dataclass(frozen=True)
class Scored:
    """What came of one system on one track with one source of labels.

    Attributes:
        left_out: why it was not scored; empty where it was.
        tracks: one row per stem.
        segments: method -> one row per stem and segment.
        remarks: what is odd about the track's files.
        sound_seconds: how much sound there was.
        seconds: what its separation took.
    """

    left_out: str = ""
    tracks: list[dict[str, Any]] = field(default_factory=list)
    segments: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    sound_seconds: float = math.nan
    seconds: float = math.nan

    def to_json(self) -> dict[str, Any]:
        """As plain values; NaN and infinities stay what they are."""
        return asdict(self)


def score(
    sound: TrackSound, estimates: Mapping[str, np.ndarray], segment_metrics: tuple[str, ...], keys: Mapping[str, Any]
) -> Scored:
    """Scores the estimates of a track.

    Args:
        sound: the track.
        estimates: instrument -> `[time, channels]`; a missing one is a missed stem, one without a reference a leak.
        segment_metrics: any of "v3_segment", "v4".
        keys: columns that every row begins with, without `instrument`.
    """
    names = sound.sounding
    keys = {**keys, "num_sources": len(names)}
    silence = np.zeros_like(sound.mixture)
    references = np.stack([sound.references[name] for name in names])
    # A silent file is no more of a stem than none.
    stems = {name: estimate for name, estimate in estimates.items() if np.any(estimate)}
    separated = np.stack([stems.get(name, silence) for name in names])
    rows = [
        {**keys, "instrument": name, **_ratios(reference, stems.get(name), sound.mixture)}
        for name, reference in zip(names, references)
    ]
    segments = {}
    for method in segment_metrics:
        true = _with_noise(references) if method == "v4" else references
        scores = _METHODS[method](true, separated, sound.sample_rate_hz)
        columns = {f"{name}_{method}": getattr(scores, name) for name in _SCORES[method]}
        medians = scores.median_over_segments()
        for i, row in enumerate(rows):
            row.update({f"{name}_{method}": float(medians[name][i]) for name in _SCORES[method]})
        times = [float(start) for start in scores.start_seconds]
        segments[method] = [
            {**keys, "instrument": name, "start_seconds": start, **{c: float(v[i, k]) for c, v in columns.items()}}
            for i, name in enumerate(names)
            for k, start in enumerate(times)
        ]
    rows += [
        {**keys, "instrument": name, "status": "leak", "leakage_db": level_below_mixture_db(sound.mixture, estimate)}
        for name, estimate in stems.items()
        if name not in names
    ]
    sound_seconds = len(sound.mixture) / sound.sample_rate_hz
    return Scored(tracks=rows, segments=segments, remarks=sound.remarks, sound_seconds=sound_seconds)


def _with_noise(references: np.ndarray) -> np.ndarray:
    """References `[num_sources, time, channels]` with white noise at `REFERENCE_NOISE_DB` of their power."""
    noise = np.random.default_rng(0).normal(size=references.shape)
    rms = np.sqrt(np.mean(np.square(references, dtype=np.float64)))
    return references + 10 ** (REFERENCE_NOISE_DB / 20) * rms * noise


def _ratios(reference: np.ndarray, estimate: np.ndarray | None, mixture: np.ndarray) -> dict[str, Any]:
    if estimate is None:
        # Silence has an SDR of 0 dB, which for a faint stem would be an improvement over the mixture.
        return {"status": "missed", "si_sdr": -math.inf, "si_sdr_improvement": 0.0, "sdr": 0.0, "sdr_improvement": 0.0}
    return {
        "status": "present",
        "si_sdr": si_sdr(reference, estimate),
        "si_sdr_improvement": si_sdr_improvement(reference, estimate, mixture),
        "sdr": sdr(reference, estimate),
        "sdr_improvement": sdr_improvement(reference, estimate, mixture),
    }
