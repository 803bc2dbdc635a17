"""Values that cross a floor or reach the user. They hold data and do nothing else.

Conventions:
    pictures are uint8 RGB `[height, width, 3]`; boxes are `(x1, y1, x2, y2)` in pixels of the picture as displayed
    (after rotation metadata); times are seconds from the start of the file; confidences lie in [0, 1].
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class MediaInfo:
    """What a media file contains, as far as its headers tell.

    Attributes:
        path: the file.
        duration_seconds: length of the longest stream; 0.0 where the file does not say.
        sample_rate_hz: of the first sound stream, None without sound.
        num_channels: of the first sound stream, None without sound.
        width: of the first picture stream in pixels as displayed, None without pictures.
        height: likewise.
        fps: average video frames per second, None without pictures.
    """

    path: Path
    duration_seconds: float
    sample_rate_hz: int | None = None
    num_channels: int | None = None
    width: int | None = None
    height: int | None = None
    fps: float | None = None

    @property
    def has_audio(self) -> bool:
        """Whether there is a sound stream."""
        return self.sample_rate_hz is not None

    @property
    def has_video(self) -> bool:
        """Whether there is a picture stream (album art does not count)."""
        return self.width is not None


@dataclass(frozen=True, eq=False)
class VideoFrame:
    """One picture of a video: uint8 RGB `[height, width, 3]` at `time_seconds`."""

    time_seconds: float
    picture: np.ndarray


@dataclass(frozen=True)
class Detection:
    """One instrument seen in one video frame.

    Attributes:
        time_seconds: when.
        box_xyxy: where, `(x1, y1, x2, y2)` in pixels.
        instrument: the likeliest instrument, or "other" for a player of none of the taxonomy's.
        confidence: that instrument's, in [0, 1].
        label_confidences: one confidence per instrument of the taxonomy, in its order (soft: a viola may also be a
            violin).
        player_confidence: of the person box; 1.0 where the whole frame was judged, 0.0 for an instrument without a
            visible player.
        whole_frame: True where the box is the whole picture rather than one player.
        given_players: of a whole-frame detection that repeats a file of labels: the instruments that get a stem,
            whatever the confidences, one entry for each player; None for what was really seen.
    """

    time_seconds: float
    box_xyxy: tuple[float, float, float, float]
    instrument: str
    confidence: float
    label_confidences: tuple[float, ...]
    player_confidence: float = 1.0
    whole_frame: bool = False
    given_players: tuple[str, ...] | None = None


@dataclass(frozen=True)
class SeenPlayer:
    """One player of a film, with one instrument decided over all of it.

    Attributes:
        number: from 1, left to right as the camera sees them; those without a place of their own come last.
        instrument: long name, or "other" for a person who plays none of the taxonomy's.
        confidence: that instrument's over the film, in [0, 1].
        label_confidences: one confidence per instrument of the taxonomy, in its order.
        box_xyxy: the median of his boxes, `(x1, y1, x2, y2)` in pixels, from the frames that show most players at once.
        first_time_seconds: when he is first seen.
        last_time_seconds: when he is last seen.
        num_video_frames: in how many of the frames looked at he is seen.
        alternatives: where the instrument is unsure, it and its rivals of the same family in taxonomy order, to be read
            as "violin or viola"; empty where it is sure.
        joint_confidence: of the alternatives together, that is, that he plays one of them; `confidence` without any.
        whole_frame: True where whole pictures showed the instrument but no box did: it has no place, `box_xyxy` is the
            picture's.
    """

    number: int
    instrument: str
    confidence: float
    label_confidences: tuple[float, ...]
    box_xyxy: tuple[float, float, float, float]
    first_time_seconds: float
    last_time_seconds: float
    num_video_frames: int
    alternatives: tuple[str, ...]
    joint_confidence: float
    whole_frame: bool = False


@dataclass(frozen=True, eq=False)
class InstrumentLabels:
    """Which instruments play, and how sure we are.

    Attributes:
        taxonomy: instrument names in order.
        label_vector: float32 `[num_instruments]` in [0, 1], soft.
        instruments: names above the threshold, in taxonomy order: the stems that will be written.
        num_players: instrument name -> how many players of it were seen (empty where the labels were given by name).
        threshold: the confidence that `instruments` had to reach.
        origin: "detected", "given" or "all".
    """

    taxonomy: tuple[str, ...]
    label_vector: np.ndarray
    instruments: tuple[str, ...]
    num_players: Mapping[str, int] = field(default_factory=dict)
    threshold: float = 0.0
    origin: str = "given"


@dataclass(frozen=True)
class SeparationResult:
    """What `separate` wrote for one input.

    Attributes:
        input_path: the performance.
        output_dir: the folder that holds everything below.
        stems: instrument -> its sound file, in taxonomy order.
        labels: the labels that steered the separation.
        residual: mixture minus the stems' sum, if asked for.
        manifest: manifest.json.
        report: report.html.
        duration_seconds: length of the stems; in a dry run what the input's headers say, see `MediaInfo`.
        model: name or path of the separator.
    """

    input_path: Path
    output_dir: Path
    stems: Mapping[str, Path]
    labels: InstrumentLabels
    residual: Path | None
    manifest: Path
    report: Path
    duration_seconds: float
    model: str


@dataclass(frozen=True)
class AnnotationResult:
    """What `annotate` found in one video and where it was written.

    Attributes:
        input_path: the video.
        labels: pooled over time.
        detections: every detection that the files hold, ordered by time.
        files: kind ("json", "csv", "coco", "jams", "overlay", "overlay_video", "review") -> file written; "checked" for
            a JSON file that a person had corrected and that was set aside.
        players: who was seen, left to right.
        is_kept: True where an earlier run had left the files, made alike, and nobody looked again.
        remade: kinds that were made anew of what an earlier run's JSON file says.
    """

    input_path: Path
    labels: InstrumentLabels
    detections: tuple[Detection, ...]
    files: Mapping[str, Path]
    players: tuple[SeenPlayer, ...] = ()
    is_kept: bool = False
    remade: tuple[str, ...] = ()
