"""The vision stage over one video: detections, pooled labels and a few pictures.

Pictures are let go one by one; only their detections, about a kilobyte each, are kept until the film is over.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from av_sep.errors import ParameterError
from av_sep.media import video_frames
from av_sep.types import Detection, InstrumentLabels, MediaInfo, SeenPlayer, VideoFrame
from pipelines.joint.files import open_detector
from pipelines.progress import Progress
from pipelines.similar_pictures import SimilarPictures
from vision.detector import InstrumentDetector
from vision.labels import DEFAULT_THRESHOLD, players_and_labels

# 4K frames gain nothing here: the detectors look at 512 and 224 pixels.
MAX_FRAME_HEIGHT = 1080
MAX_FRAMES_PER_SECOND = 1000  # more than any camera takes; ffmpeg would make them all up
NUM_SHOWN = 12  # most frames kept for showing

Observer = Callable[[VideoFrame, Sequence[Detection]], None]


@dataclass(frozen=True, eq=False)
class Sighting:
    """What was seen in a video.

    Attributes:
        labels: pooled over time.
        detections: all of them, by time.
        shown: some frames, evenly spread, each with its detections.
        num_video_frames: how many frames were taken from the video.
        size: width and height in pixels of the pictures that the boxes refer to.
        players: the players of the film, left to right.
        judged_times_seconds: of the frames that the detector looked at; all that were taken, unless near-identical
            ones were passed over.
        damage: what is to be told of pictures that are damaged and were read all the same; else None.
    """

    labels: InstrumentLabels
    detections: tuple[Detection, ...]
    shown: tuple[tuple[VideoFrame, tuple[Detection, ...]], ...]
    num_video_frames: int
    size: tuple[int, int]
    players: tuple[SeenPlayer, ...] = ()
    judged_times_seconds: tuple[float, ...] = ()
    damage: str | None = None


@dataclass
class EvenlySpread:
    """Keeps between `limit // 2` and `limit` items of a stream of unknown length, evenly spread over it."""

    limit: int
    items: list = field(default_factory=list)
    _every: int = 1
    _seen: int = 0

    @property
    def wants_next(self) -> bool:
        """Whether the next item will be taken, for items that cost something to make."""
        return self._seen % self._every == 0

    def offer(self, item) -> None:
        """Takes an item or leaves it."""
        if self.wants_next:
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
        skip_similar: pass over pictures that look almost like the one before, as `pipelines.similar_pictures` says;
            they count as if they showed what that one does.

    Raises:
        ParameterError: for a rate or threshold that cannot be used.
    """

    def __init__(
        self, detector: str, *, frames_per_second: float, threshold: float | None, skip_similar: bool = False
    ):
        if not 0 < frames_per_second <= MAX_FRAMES_PER_SECOND:
            raise ParameterError(
                f"Expected frames_per_second above 0 and at most {MAX_FRAMES_PER_SECOND}. Received: {frames_per_second}"
            )
        if threshold is not None and not 0 <= threshold <= 1:
            raise ParameterError(f"Expected a threshold in [0, 1]. Received: {threshold}")
        self.detector_name = detector
        self.frames_per_second = frames_per_second
        self.threshold = DEFAULT_THRESHOLD if threshold is None else threshold
        self.skip_similar = skip_similar

    @cached_property
    def detector(self) -> InstrumentDetector:
        """What looks at the pictures."""
        return open_detector(self.detector_name)

    def look(self, path: Path, info: MediaInfo, progress: Progress, observe: Observer | None = None) -> Sighting:
        """Detects instruments in a video.

        Args:
            path: the video.
            info: what `av_sep.media.probe` says of it.
            progress: told the time reached after every picture.
            observe: shown every picture that the detector looked at, with its detections.

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
        judged_times: list[float] = []
        size = (0, 0)
        taken = _Taken(self.skip_similar)
        # Closed here even if the detector fails: an error keeps its frames alive, and ffmpeg must not wait for that.
        with closing(frames):
            for frame, found in detector.iter_detections(taken.choose(_reporting(frames, info, progress))):
                detections.extend(found)
                judged_times.append(frame.time_seconds)
                shown.offer((frame, tuple(found)))
                size = (frame.picture.shape[1], frame.picture.shape[0])
                if observe is not None:
                    observe(frame, found)
        pooled = [*detections, *taken.repeat(detections)]
        players, labels = players_and_labels(pooled, detector.taxonomy, self.threshold, detector.lookalikes)
        return Sighting(
            labels=labels,
            detections=tuple(detections),
            shown=tuple(shown.items),
            num_video_frames=len(judged_times) + len(taken.similar_to),
            size=size,
            players=players,
            judged_times_seconds=tuple(judged_times),
            damage=frames.damage,
        )


class _Taken:
    """The frames taken from a film: those to be judged, and which of them the others look like.

    Args:
        skip_similar: whether any are passed over.

    Attributes:
        similar_to: time of each frame passed over -> time of the judged frame that it looks like.
    """

    def __init__(self, skip_similar: bool):
        self.similar_to: dict[float, float] = {}
        self._skip_similar = skip_similar

    def choose(self, frames: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
        """The frames to be judged; to be run through before the rest is asked for."""
        similar, judged_time = SimilarPictures(), 0.0
        for frame in frames:
            if self._skip_similar and similar.is_similar(frame.picture):
                self.similar_to[frame.time_seconds] = judged_time
                continue
            judged_time = frame.time_seconds
            yield frame

    def repeat(self, detections: Iterable[Detection]) -> Iterator[Detection]:
        """What the frames passed over show: the detections of the frames that they look like."""
        followers: dict[float, list[float]] = {}
        for time, judged_time in self.similar_to.items():
            followers.setdefault(judged_time, []).append(time)
        for detection in detections:
            for time in followers.get(detection.time_seconds, ()):
                yield replace(detection, time_seconds=time)


def _reporting(frames: Iterable[VideoFrame], info: MediaInfo, progress: Progress) -> Iterator[VideoFrame]:
    for frame in frames:
        yield frame
        progress("looking", frame.time_seconds, info.duration_seconds)
    progress("looking", info.duration_seconds, info.duration_seconds)


def confidences(labels: InstrumentLabels) -> dict[str, float]:
    """Instrument -> soft confidence over the whole taxonomy, rounded for files."""
    return {name: round(float(value), 4) for name, value in zip(labels.taxonomy, np.asarray(labels.label_vector))}
