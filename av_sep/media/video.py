"""Pictures out of any video, at a steady rate, one by one."""

import math
import os
from collections.abc import Generator
from fractions import Fraction
from typing import Any

import numpy as np

from av_sep.errors import ParameterError
from av_sep.media.damage import require_whole
from av_sep.media.ffmpeg import FfmpegProcess, media_input, with_common_start
from av_sep.media.probe import MediaHeaders, read_headers, require_pictures, with_size_shown
from av_sep.types import MediaInfo, VideoFrame

# Rounded exactly and with full colour resolution, so that a picture does not depend on the processor or on odd widths.
_SCALE_FLAGS = "bicubic+accurate_rnd+full_chroma_int"


def video_frames(
    path: str | os.PathLike[str], *, frames_per_second: float = 1.0, max_height: int | None = None
) -> Generator[VideoFrame, None, None]:
    """Pictures of the first video stream, as they would be seen on a screen at the instants 0, 1/fps, 2/fps, ...

    Frame k shows what is on display at k / frames_per_second seconds from the start of the file: the last picture
    whose own time is not later than that. Rates above the video's repeat pictures; a video whose first picture comes
    late shows it from 0 on. There are as many frames as instants before the end of the video, at least one. Variable
    frame rates are fine.

    Args:
        path: any file that ffmpeg can read.
        frames_per_second: how many pictures per second of video.
        max_height: pictures higher than this are scaled down to it, with their aspect kept.

    Returns:
        An iterator of uint8 RGB `[height, width, 3]` pictures with their times, rotation metadata applied.

    Raises:
        MediaError: for a file that cannot be opened or has no video; while iterating, for one that is damaged or cut
        off. ParameterError: for a rate or height that is not positive.
    """
    if not (math.isfinite(frames_per_second) and frames_per_second > 0):
        raise ParameterError(f"Expected frames_per_second above 0. Received: {frames_per_second}")
    if max_height is not None and max_height < 1:
        raise ParameterError(f"Expected max_height of at least 1. Received: {max_height}")
    headers = read_headers(path)
    require_pictures(headers.info)
    rate = Fraction(frames_per_second).limit_denominator(10**6)
    return _stream(headers, rate, *_picture_size(with_size_shown(headers.info), max_height))


def _picture_size(info: MediaInfo, max_height: int | None) -> tuple[int, int]:
    """Width and height in pixels to deliver."""
    assert info.width is not None and info.height is not None
    if max_height is None or info.height <= max_height:
        return info.width, info.height
    return max(1, round(info.width * max_height / info.height)), max_height


def _pictures(info: MediaInfo, rate: Fraction, width: int, height: int) -> Any:
    """ffmpeg-python's output node: packed RGB of exactly this size, at exactly this rate."""
    source = media_input(info.path)
    output = (
        source["V:0"]
        # round=up gives a picture to the first instant that is not before it; start_time fills from 0 on.
        .filter("fps", fps=f"{rate.numerator}/{rate.denominator}", round="up", start_time=0)
        # Even where nothing is to be scaled: a video may change its size on the way, and the pipe knows no borders.
        .filter("scale", width, height, flags=_SCALE_FLAGS)
        .output("pipe:", format="rawvideo", pix_fmt="rgb24")
    )
    return with_common_start(output, source, "a") if info.has_audio else output


def _stream(headers: MediaHeaders, rate: Fraction, width: int, height: int) -> Generator[VideoFrame, None, None]:
    num_bytes = width * height * 3
    num_frames = 0
    with FfmpegProcess(_pictures(headers.info, rate, width, height)) as process:
        while len(data := process.stdout.read(num_bytes)) == num_bytes:
            # A copy, so that the picture may be drawn on.
            picture = np.frombuffer(data, np.uint8).reshape(height, width, 3).copy()
            yield VideoFrame(float(num_frames / rate), picture)
            num_frames += 1
        require_whole(headers, "pictures", float(num_frames / rate), process)
