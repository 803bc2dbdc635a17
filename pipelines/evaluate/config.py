"""Settings of `evaluate`."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

from av_sep.datasets.track import SPLITS
from av_sep.errors import ParameterError

LABEL_SOURCES = ("true", "detected", "none", "all")
SEGMENT_METRICS = ("v3_segment", "v4")
WHOLE_DATASET = "all"
Listed = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
_RATES_HZ = (8000, 192_000)


@dataclass(frozen=True)
class EvaluateConfig:
    """What is scored, and how.

    Attributes:
        models: names, `.keras` files and groups ("floors", "classics", "oracles"); see `pipelines.evaluate.systems`.
        labels: who says what plays: "true" (the dataset), "detected" (eyes and ears, from the film), "none" (nobody:
            for networks that take no labels) or "all" (every instrument may play).
        split: one of the dataset's; None for its default.
        side: of the split: "train", "validation", "test", or "all" for the whole dataset.
        max_tracks: score so many tracks at most, evenly spread over the side; None for all.
        max_seconds: of every track, from its start; None for all.
        sample_rate_hz: at which everything is scored.
        num_channels: 1 averages a recording's channels; 2 keeps or repeats them.
        segment_metrics: any of "v3_segment", "v4"; SI-SDR and SDR are always there and cost nothing beside these.
        detector: as `separate` takes it.
        witnesses: who detects labels, "video" or "both"; None for whom `separate` asks.
        gate_rests: silence networks' stems where the sound says that their player rests, as `separate` does.
        frames_per_second: pictures looked at per second of film.
        threshold: confidence in [0, 1] that a seen instrument must reach; None for
            `vision.labels.DEFAULT_THRESHOLD`, whatever the detector.
        num_examples: best, median and worst stems on the page: 3, or 0 for none.
        leave_out: names of tracks to leave out; the page says so.
        allow_problems: go on where tracks of the dataset cannot be used; the page lists them.
        taxonomy: of datasets that can be read by several; None for the dataset's own.
        overwrite: score everything anew.
    """

    models: tuple[str, ...] = ("default",)
    labels: tuple[str, ...] = ("true",)
    split: str | None = None
    side: str = "test"
    max_tracks: int | None = None
    max_seconds: float | None = None
    sample_rate_hz: int = 22050
    num_channels: int = 1
    segment_metrics: tuple[str, ...] = SEGMENT_METRICS
    detector: str = "embedded"
    witnesses: str | None = None
    gate_rests: bool = True
    frames_per_second: float = 1.0
    threshold: float | None = None
    num_examples: int = 3
    leave_out: tuple[str, ...] = ()
    allow_problems: bool = False
    taxonomy: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        for name in ("models", "labels", "segment_metrics", "leave_out"):
            object.__setattr__(self, name, as_tuple(getattr(self, name)))
        object.__setattr__(self, "detector", os.fspath(self.detector))
        _require_among("labels", self.labels, LABEL_SOURCES)
        _require_among("segment metrics", self.segment_metrics, SEGMENT_METRICS)
        _require_among("a side", (self.side,), (*SPLITS, WHOLE_DATASET))
        _require_among("witnesses", (self.witnesses or "both",), ("video", "both"))
        if not self.labels:
            raise ParameterError(f"Expected labels among {', '.join(LABEL_SOURCES)}. Received: an empty list")
        if self.num_channels not in (1, 2):
            raise ParameterError(f"Expected 1 or 2 channels. Received: {self.num_channels}")
        if not _RATES_HZ[0] <= self.sample_rate_hz <= _RATES_HZ[1]:
            raise ParameterError(
                f"Expected a sample rate of {_RATES_HZ[0]} to {_RATES_HZ[1]} Hz. Received: {self.sample_rate_hz} Hz"
            )
        for name in ("max_tracks", "max_seconds"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value >= 1):
                raise ParameterError(f"Expected {name} of 1 or more. Received: {value}")
        if self.num_examples not in (0, 3):
            raise ParameterError(f"Expected 3 examples, or 0 for none. Received: {self.num_examples}")


def as_tuple(value: Listed) -> tuple[str, ...]:
    """The items of "a,b" or of a sequence, each once, in order; a path is one item, whatever its name."""
    if isinstance(value, os.PathLike):
        return (os.fspath(value),)
    items = value.split(",") if isinstance(value, str) else [os.fspath(item) for item in value]
    return tuple(dict.fromkeys(item.strip() for item in items if item.strip()))


def _require_among(what: str, received: tuple[str, ...], expected: tuple[str, ...]) -> None:
    for item in received:
        if item not in expected:
            raise ParameterError(f"Expected {what} among {', '.join(expected)}. Received: {item!r}")
