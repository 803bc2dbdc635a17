"""The vision stage over one video: detections, pooled labels and a few pictures, in memory that does not grow."""

import math
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from av_sep.errors import ParameterError
from av_sep.media import video_frames
from av_sep.types import Detection, InstrumentLabels, MediaInfo, VideoFrame
from pipelines.joint.files import open_detector
from pipelines.progress import Progress
from vision.detector import InstrumentDetector
from vision.labels import DEFAULT_THRESHOLD, pool_detections

# 4K frames gain nothing here: the detectors look at 512 and 224 pixels.
MAX_FRAME_HEIGHT = 1080
NUM_SHOWN = 12  # most frames kept for showing


@dataclass(frozen=True, eq=False)
class Sighting:
    """What was seen in a video.

    Attributes:
        labels: pooled over time.
        detections: all of them, by time.
        shown: some frames, evenly spread, each with its detections.
        num_video_frames: how many frames were looked at.
        size: width and height in pixels of the pictures that the boxes refer to.
    """

    labels: InstrumentLabels
    detections: tuple[Detection, ...]
    shown: tuple[tuple[VideoFrame, tuple[Detection, ...]], ...]
    num_video_frames: int
    size: tuple[int, int]


@dataclass
class EvenlySpread:
    """Keeps between `limit // 2` and `limit` items of a stream of unknown length, evenly spread over it."""

    limit: int
    items: list = field(default_factory=list)
    _every: int = 1
    _seen: int = 0

    def offer(self, item) -> None:
        """Takes an item or leaves it."""
        if self._seen % self._every == 0:
            self.items.append(item)
            if len(self.items) > self.limit:
                self.items = self.items[::2]
                self._every *= 2
        self._seen += 1


class Looker:
    """Looks at one video after the other with the same settings; the detector is loaded once, on first use.

    Args:
        detector: as `pipelines.joint.files.open_detector` takes it.
        frames_per_second: how many pictures to look at per second.
        threshold: confidence in [0, 1] that an instrument must reach; None for the project's default.

    Raises:
        ParameterError: for a rate or threshold that cannot be used.
    """

    def __init__(self, detector: str, *, frames_per_second: float, threshold: float | None):
        if not (math.isfinite(frames_per_second) and frames_per_second > 0):
            raise ParameterError(f"Expected frames_per_second above 0. Received: {frames_per_second}")
        if threshold is not None and not 0 <= threshold <= 1:
            raise ParameterError(f"Expected a threshold in [0, 1]. Received: {threshold}")
        self.detector_name = detector
        self.frames_per_second = frames_per_second
        self.threshold = DEFAULT_THRESHOLD if threshold is None else threshold

    @cached_property
    def detector(self) -> InstrumentDetector:
        """What looks at the pictures."""
        return open_detector(self.detector_name)

    def look(self, path: Path, info: MediaInfo, progress: Progress) -> Sighting:
        """Detects instruments in a video.

        Args:
            path: the video.
            info: what `av_sep.media.probe` says of it.
            progress: told the time reached after every picture.

        Raises:
            MediaError: if the video cannot be read.
            ParameterError: if the detector is unknown or cannot be loaded.
        """
        detector = self.detector
        frames = video_frames(path, frames_per_second=self.frames_per_second, max_height=MAX_FRAME_HEIGHT)
        # Said before the first picture, because loading the networks takes seconds.
        progress("looking", 0.0, info.duration_seconds)
        shown = EvenlySpread(NUM_SHOWN)
        detections: list[Detection] = []
        size, num_video_frames = (0, 0), 0
        # Closed here even if the detector fails: an error keeps its frames alive, and ffmpeg must not wait for that.
        with closing(frames):
            for frame, found in detector.iter_detections(_reporting(frames, info, progress)):
                detections.extend(found)
                shown.offer((frame, tuple(found)))
                size = (frame.picture.shape[1], frame.picture.shape[0])
                num_video_frames += 1
        labels = pool_detections(detections, detector.taxonomy, self.threshold, detector.lookalikes)
        return Sighting(labels, tuple(detections), tuple(shown.items), num_video_frames, size)


def _reporting(frames: Iterable[VideoFrame], info: MediaInfo, progress: Progress) -> Iterator[VideoFrame]:
    for frame in frames:
        yield frame
        progress("looking", frame.time_seconds, info.duration_seconds)
    progress("looking", info.duration_seconds, info.duration_seconds)


def confidences(labels: InstrumentLabels) -> dict[str, float]:
    """Instrument -> soft confidence over the whole taxonomy, rounded for files."""
    return {name: round(float(value), 4) for name, value in zip(labels.taxonomy, np.asarray(labels.label_vector))}
