"""Pictures out of any video, at a steady rate, one by one."""

import math
import os
from collections.abc import Generator, Iterable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from av_sep.errors import ParameterError
from av_sep.media.damage import require_whole
from av_sep.media.ffmpeg import FfmpegProcess, media_input, with_common_start
from av_sep.media.probe import MediaHeaders, read_headers, require_pictures, with_size_shown
from av_sep.types import MediaInfo, VideoFrame

_MOST_PER_SECOND = 10**6
# Rounded exactly and with full colour resolution, so that a picture does not depend on the processor or on odd widths.
_SCALE_FLAGS = "bicubic+accurate_rnd+full_chroma_int"


class VideoFrames(Iterator[VideoFrame]):
    """Pictures of a video one by one, decoded as they are asked for. See `video_frames`.

    Attributes:
        damage: what is to be told of a file that is damaged and was read to its end all the same; else None.
    """

    def __init__(self, frames: Generator[VideoFrame, None, str | None]):
        """Take the frames from a generator that returns the damage."""
        self.damage: str | None = None
        self._frames = frames

    def __next__(self) -> VideoFrame:
        try:
            return next(self._frames)
        except StopIteration as end:
            # Asked once more, a generator that has ended returns nothing.
            self.damage = end.value or self.damage
            raise

    def close(self) -> None:
        """End decoding. May be called twice."""
        self._frames.close()


def video_frames(
    path: str | os.PathLike[str], *, frames_per_second: float = 1.0, max_height: int | None = None
) -> VideoFrames:
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
        An iterator of uint8 RGB `[height, width, 3]` pictures with their times, rotation metadata applied; close it
        where it is not run through.

    Raises:
        MediaError: for a file that cannot be opened or has no video; while iterating, for one that is damaged or cut
        off. ParameterError: for a height below 1, and for a rate as `frame_rate`.
    """
    rate = frame_rate(frames_per_second)
    if max_height is not None and max_height < 1:
        raise ParameterError(f"Expected max_height of at least 1. Received: {max_height}")
    headers = read_headers(path)
    require_pictures(headers.info)
    return VideoFrames(_stream(headers, rate, *_picture_size(with_size_shown(headers.info), max_height)))


def frame_rate(frames_per_second: float) -> Fraction:
    """The rate as ffmpeg is told it, in whole numbers.

    Raises:
        ParameterError: for a rate below one picture in a million seconds or above a million in one; ffmpeg's clocks
        hold no more.
    """
    if not 1 / _MOST_PER_SECOND <= frames_per_second <= _MOST_PER_SECOND:
        raise ParameterError(f"Expected frames_per_second from 0.000001 to 1000000. Received: {frames_per_second}")
    return Fraction(frames_per_second).limit_denominator(_MOST_PER_SECOND)


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


def _stream(
    headers: MediaHeaders, rate: Fraction, width: int, height: int
) -> Generator[VideoFrame, None, str | None]:
    num_frames = 0
    with FfmpegProcess(_pictures(headers.info, rate, width, height)) as process:
        for data in _until_the_end(headers, rate, _contents(process, width * height * 3)):
            # A copy, so that the picture may be drawn on.
            picture = np.frombuffer(data, np.uint8).reshape(height, width, 3).copy()
            yield VideoFrame(float(num_frames / rate), picture)
            num_frames += 1
        return require_whole(headers, "pictures", float(num_frames / rate), process)


def _contents(process: FfmpegProcess, num_bytes: int) -> Iterator[bytes]:
    """Picture by picture, whole ones only."""
    while len(data := process.stdout.read(num_bytes)) == num_bytes:
        yield data


def _until_the_end(headers: MediaHeaders, rate: Fraction, contents: Iterable[bytes]) -> Iterator[bytes]:
    """The same without the copies of the last picture after the end that the file states, if it does.

    ffmpeg shows the last picture for as long as it believes it lasts. Where pictures are not stored in the order of
    their times, as in most H.264, it takes that from another one, and at a variable rate that may be anything. Copies
    only: a file that goes on after the end it states is given whole.
    """
    is_stated = headers.info.duration_seconds > 0 and not headers.duration_is_estimate
    end_seconds = headers.info.duration_seconds if is_stated else math.inf
    last, num_given, num_held = b"", 0, 0
    for data in contents:
        if num_given and (num_given + num_held) / rate >= end_seconds and data == last:
            num_held += 1
            continue
        yield from [last] * num_held
        yield data
        last, num_given, num_held = data, num_given + num_held + 1, 0
