"""Scores segment by segment, and what the metrics that give them ask of their arguments."""

from dataclasses import dataclass

import numpy as np

from av_sep.errors import ParameterError


@dataclass(frozen=True, eq=False)
class SegmentScores:
    """BSS Eval's ratios in dB for every source and segment, NaN where there is none.

    A stem that is missed has no score, so it costs nothing in a median: report `num_scored_segments` beside it.

    Attributes:
        start_seconds: `[num_segments]`, where each segment starts.
        sdr: `[num_sources, num_segments]`, source to distortion ratio: all errors taken together.
        sir: `[num_sources, num_segments]`, source to interference ratio: what came from the other sources.
        sar: `[num_sources, num_segments]`, source to artifacts ratio: what came from no source.
        isr: `[num_sources, num_segments]`, image to spatial distortion ratio: filtering of the source itself; None
            where the protocol forgives that.
    """

    start_seconds: np.ndarray
    sdr: np.ndarray
    sir: np.ndarray
    sar: np.ndarray
    isr: np.ndarray | None = None

    @property
    def num_scored_segments(self) -> np.ndarray:
        """How many segments of each source have an SDR, `[num_sources]`."""
        return np.sum(~np.isnan(self.sdr), axis=1)

    def median_over_segments(self) -> dict[str, np.ndarray]:
        """Median of each ratio by its name, `[num_sources]`, over the segments that have one; NaN where none has."""
        return self._over_segments(np.median)

    def mean_over_segments(self) -> dict[str, np.ndarray]:
        """Mean of each ratio by its name, `[num_sources]`, over the segments that have one; NaN where none has."""
        return self._over_segments(np.mean)

    def _over_segments(self, average):
        ratios = {"sdr": self.sdr, "isr": self.isr, "sir": self.sir, "sar": self.sar}
        return {name: _average_scored(average, values) for name, values in ratios.items() if values is not None}


def _average_scored(average, values):
    # Not np.nanmedian, which warns of sources that have no score.
    scored = [row[~np.isnan(row)] for row in values]
    return np.array([average(row) if row.size else np.nan for row in scored])


def validated_sources(references: np.ndarray, estimates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """References and estimates `[num_sources, time, channels]` in float64.

    Raises:
        ParameterError: for unequal shapes, other axes, no source, sample or channel, or samples that are not finite.
    """
    references, estimates = np.asarray(references, np.float64), np.asarray(estimates, np.float64)
    if references.shape != estimates.shape or references.ndim != 3:
        raise ParameterError(
            "Expected references and estimates [num_sources, time, channels] of one shape. "
            f"Received: {references.shape} and {estimates.shape}"
        )
    if references.size == 0:
        raise ParameterError(
            f"Expected at least one source, one sample and one channel. Received: shape {references.shape}"
        )
    if not (np.all(np.isfinite(references)) and np.all(np.isfinite(estimates))):
        raise ParameterError("Expected finite samples. Received: NaN or infinity")
    return references, estimates


def whole_samples(name: str, seconds: float, sample_rate_hz: float) -> int:
    """Length of `seconds` in samples, rounded.

    Args:
        name: of the argument, for the message.
        seconds: the length.
        sample_rate_hz: samples in a second.

    Raises:
        ParameterError: for a rate that is not above 0, or less than one sample.
    """
    if not 0 < sample_rate_hz < np.inf:
        raise ParameterError(f"Expected sample_rate_hz above 0. Received: sample_rate_hz={sample_rate_hz}")
    if not 0.5 / sample_rate_hz < seconds < np.inf:
        raise ParameterError(
            f"Expected {name} of at least one sample ({1 / sample_rate_hz:g} s). Received: {name}={seconds}"
        )
    return round(seconds * sample_rate_hz)
