"""A film of the pictures that were looked at, with boxes and the names of the players, for people to watch.

The video is decoded a second time for it, after all of it was seen, so that each box carries the instrument that was
decided over the whole film rather than that of the moment.
"""

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import ffmpeg
import numpy as np

from av_sep.media import video_frames
from av_sep.media.encoder_pipe import EncoderPipe
from av_sep.media.ffmpeg import file_url
from av_sep.media.video import frame_rate
from av_sep.types import Detection, SeenPlayer
from pipelines.annotation.content import Annotation
from pipelines.look import MAX_FRAME_HEIGHT
from pipelines.progress import Progress
from vision.overlay import draw_detections

# H.264 with 4:2:0 colours, which every browser plays; a key picture every few, so that one can jump in slow films.
_ENCODING = {
    "vcodec": "libx264", "pix_fmt": "yuv420p", "preset": "veryfast", "crf": 23, "g": 12, "movflags": "+faststart",
}  # fmt: skip


def write_overlay_video(
    path: Path, annotation: Annotation, progress: Progress, *, named: Path | None = None
) -> None:
    """Writes the film as mp4, at the rate of the frames taken, without sound.

    Args:
        path: the place.
        annotation: what was seen; its `info.path` is read again.
        progress: told the time reached after every picture.
        named: what errors call the film, where `path` is but a temporary name.

    Raises:
        MediaError: for a video that cannot be read, or where ffmpeg cannot write the film.
    """
    rate = frame_rate(annotation.frames_per_second)
    width, height = annotation.sighting.size
    source = ffmpeg.input(
        "pipe:", format="rawvideo", pix_fmt="rgb24", s=f"{width}x{height}", r=f"{rate.numerator}/{rate.denominator}"
    )
    # 4:2:0 has no odd sizes.
    padded = source.filter("pad", "ceil(iw/2)*2", "ceil(ih/2)*2")
    output = padded.output(file_url(path), format="mp4", **_ENCODING)
    with EncoderPipe(output, named or path) as pipe:
        for picture in _drawn_pictures(annotation, progress):
            pipe.write(picture.tobytes())


def _drawn_pictures(annotation: Annotation, progress: Progress) -> Iterator[np.ndarray]:
    """uint8 RGB `[height, width, 3]`; a frame that was passed over has the boxes of the judged one before it."""
    found = _found_by_time(annotation)
    judged = annotation.sighting.judged_times_seconds
    duration = annotation.info.duration_seconds
    frames = video_frames(
        annotation.info.path, frames_per_second=annotation.frames_per_second, max_height=MAX_FRAME_HEIGHT
    )
    with closing(frames):
        for frame in frames:
            shown_from = judged[max(0, bisect_right(judged, frame.time_seconds) - 1)]
            named = found.get(shown_from, [])
            detections, captions = [detection for detection, _ in named], [caption for _, caption in named]
            yield draw_detections(frame.picture, detections, captions)
            progress("drawing", frame.time_seconds, duration)
    progress("drawing", duration, duration)


def _found_by_time(annotation: Annotation) -> dict[float, list[tuple[Detection, str]]]:
    """Time -> detections and their captions; whole frames only where nothing was boxed."""
    found: dict[float, list[tuple[Detection, str]]] = {}
    players = {player.number: player for player in annotation.sighting.players}
    # Boxes first.
    for detection, number in sorted(annotation.labelled_detections, key=lambda pair: pair[0].whole_frame):
        if not detection.whole_frame or detection.time_seconds not in found:
            player = None if number is None else players[number]
            found.setdefault(detection.time_seconds, []).append(_named(detection, player))
    return found


def _named(detection: Detection, player: SeenPlayer | None) -> tuple[Detection, str]:
    """A detection with its player's instrument, which decides the colour, and what to write on it."""
    if player is None:
        return detection, f"{_title(detection.instrument)} {detection.confidence:.2f}"
    names = " or ".join(map(_title, player.alternatives or (player.instrument,)))
    caption = f"{player.number} {names} {player.joint_confidence:.2f}"
    return replace(detection, instrument=player.instrument), caption


def _title(instrument: str) -> str:
    return instrument.replace("_", " ")
