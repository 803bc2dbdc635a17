"""What a media file contains, read from what ffmpeg prints about it.

ffprobe would answer in JSON, but it is not everywhere (the ffmpeg that comes with imageio-ffmpeg has none), so there
is one code path that always works: `ffmpeg -i`, whose layout has been stable for many years.
"""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from av_sep.errors import MediaError, shown
from av_sep.media.claimed_size import promised_bytes_ratio
from av_sep.media.ffmpeg import FfmpegProcess, media_input
from av_sep.media.files import require_readable
from av_sep.types import MediaInfo

_DURATION = re.compile(r"^  Duration: (\d+):(\d\d):(\d\d(?:\.\d+)?)(?:, start: (\d+\.\d+))?")
# Formats whose duration ends where the last stream does and begins at 0, wherever the first stream begins.
_COUNTED_FROM_ZERO = ("Input #0, matroska", "Input #0, nut")
_STREAM = re.compile(r"^ +Stream #0:\d+\S*: (Audio|Video): (.*)$")
_SIZE = re.compile(r", (\d+)x(\d+)(?=[ ,]|$)")
_RATE = re.compile(r", ([\d.]+)(k?) (fps|tbr)(?=[ ,]|$)")
# Of ffmpeg's framecrc listing.
_DIMENSIONS = re.compile(rb"#dimensions 0: (\d+)x(\d+)")
_SOUND = re.compile(r", (\d+) Hz, ([^,]+)")
# Formats that ffmpeg would render into pictures from any text file of the right extension.
_TEXT_FORMATS = ("tty", "bin", "xbin", "adf", "idf")
_NAMED_LAYOUTS = {
    "mono": 1,
    "stereo": 2,
    "downmix": 2,
    "binaural": 2,
    "quad": 4,
    "hexagonal": 6,
    "octagonal": 8,
    "cube": 8,
    "hexadecagonal": 16,
}


@dataclass(frozen=True)
class MediaHeaders:
    """What the headers promise.

    Attributes:
        info: the public part.
        duration_is_estimate: True where the file does not state its duration and ffmpeg guessed it from the bit rate.
        promised_bytes_ratio: the size that the file claims for itself over the size it has; 1.0 where it is whole or
            makes no claim (see `claimed_size`).
        num_sound_streams: how many sound streams there are to choose from; `info` speaks of the first.
    """

    info: MediaInfo
    duration_is_estimate: bool
    promised_bytes_ratio: float
    num_sound_streams: int


def probe(path: str | os.PathLike[str]) -> MediaInfo:
    """What a media file contains, as far as its headers tell; of sound and pictures only the first picture is decoded.

    Width and height are those of the first picture after rotation metadata (a phone's upright video is upright), or the
    stored ones if it cannot be decoded; pixels that are not square are not stretched. Album art is not video.
    `video_frames` gives pictures of exactly this size.

    Raises:
        MediaError: for a missing file, a folder, an empty or unreadable file, and one that holds neither sound nor
        pictures.
    """
    return with_size_shown(read_headers(path).info)


def read_headers(path: str | os.PathLike[str]) -> MediaHeaders:
    """As `probe`, with what the readers need to judge whether a file is whole; pictures have the size stored."""
    path = require_readable(path)
    output = media_input(path).output("pipe:", format="null", c="copy", t=0)
    with FfmpegProcess(output, log_level="info") as process:
        process.wait()
        messages = process.messages
        lines = _input_section(messages)
        is_text = bool(lines) and lines[0].startswith(tuple(f"Input #0, {name}," for name in _TEXT_FORMATS))
        detail = "it is text" if is_text else process.reason
    if is_text or not lines:
        raise MediaError(f"Expected a sound or video file ({detail}). Received: {shown(path)}")
    info = _parse(path, lines)
    if not info.has_audio and not info.has_video:
        raise MediaError(f"Expected a file with sound or pictures, this one has neither. Received: {shown(path)}")
    is_estimate = any("Estimating duration from bitrate" in line for line in messages)
    return MediaHeaders(info, is_estimate, promised_bytes_ratio(path), _count_sound_streams(lines))


def with_size_shown(info: MediaInfo) -> MediaInfo:
    """The same with the size that the pictures have once they stand upright.

    A film's headers are not all that may turn it: pictures may themselves say how they lie (EXIF in JPEG files, SEI
    messages in H.264), and ffmpeg obeys. So the first one is asked for its size.
    """
    if not info.has_video:
        return info
    output = media_input(info.path)["V:0"].output("pipe:", format="framecrc", vframes=1)
    with FfmpegProcess(output) as process:
        size = _DIMENSIONS.search(process.stdout.read())
    return replace(info, width=int(size.group(1)), height=int(size.group(2))) if size else info


def require_sound(info: MediaInfo) -> None:
    """Raise MediaError unless the file has a sound stream."""
    if not info.has_audio:
        raise MediaError(f"Expected a file with sound, this one has no sound stream. Received: {shown(info.path)}")


def require_pictures(info: MediaInfo) -> None:
    """Raise MediaError unless the file has a picture stream."""
    if not info.has_video:
        raise MediaError(f"Expected a file with pictures, this one has no video stream. Received: {shown(info.path)}")


def require_sound_stream(headers: MediaHeaders, stream_index: int) -> None:
    """Raise MediaError unless the file has this sound stream, counted from 0."""
    require_sound(headers.info)
    count = headers.num_sound_streams
    if stream_index >= count:
        streams = "1 sound stream" if count == 1 else f"{count} sound streams"
        raise MediaError(
            f"Expected a file with a sound stream {stream_index} (counted from 0), this one has {streams}."
            f" Received: {shown(headers.info.path)}"
        )


def _count_sound_streams(lines: list[str]) -> int:
    matches = (_STREAM.match(line) for line in lines)
    return sum(match is not None and match.group(1) == "Audio" for match in matches)


def _input_section(messages: list[str]) -> list[str]:
    """The lines that describe the input, from "Input #0, ..." on to the output; empty where it was not opened."""
    starts = [i for i, line in enumerate(messages) if line.startswith("Input #0, ")]
    if not starts:
        return []
    section = messages[starts[0] :]
    ends = [i for i, line in enumerate(section) if line.startswith(("Output #0", "Stream mapping:"))]
    return section[: ends[0]] if ends else section


def _parse(path: Path, lines: list[str]) -> MediaInfo:
    duration_seconds = 0.0
    sound: dict = {}
    pictures: dict = {}
    for line in lines:
        if match := _DURATION.match(line):
            hours, minutes, seconds, start = match.groups()
            duration_seconds = 3600.0 * int(hours) + 60.0 * int(minutes) + float(seconds)
            if start and lines[0].startswith(_COUNTED_FROM_ZERO):
                duration_seconds = max(duration_seconds - float(start), 0.0)
        elif match := _STREAM.match(line):
            kind, description = match.groups()
            if kind == "Audio" and not sound:
                sound = _parse_sound(description)
            elif kind == "Video" and not pictures and not description.endswith("(attached pic)"):
                pictures = _parse_pictures(description)
    return MediaInfo(path=path, duration_seconds=duration_seconds, **sound, **pictures)


def _parse_sound(description: str) -> dict:
    match = _SOUND.search(description)
    if match is None or int(match.group(1)) == 0:
        return {}
    return {"sample_rate_hz": int(match.group(1)), "num_channels": count_channels(match.group(2))}


def _parse_pictures(description: str) -> dict:
    size = _SIZE.search(description)
    if size is None:
        return {}
    rates = {unit: float(number) * (1000.0 if kilo else 1.0) for number, kilo, unit in _RATE.findall(description)}
    # The average where the file states it, else ffmpeg's guess ("tbr").
    fps = rates.get("fps") or rates.get("tbr") or None
    return {"width": int(size.group(1)), "height": int(size.group(2)), "fps": fps}


def count_channels(layout: str) -> int:
    """Number of channels of a layout by ffmpeg's name: "stereo" 2, "5.1(side)" 6, "13 channels" 13, "ambisonic 1" 4.

    Raises:
        MediaError: for a name that is none of these.
    """
    name = layout.strip().split("(")[0].strip()
    if name in _NAMED_LAYOUTS:
        return _NAMED_LAYOUTS[name]
    if re.fullmatch(r"\d+(\.\d+)+", name):
        return sum(map(int, name.split(".")))
    if match := re.match(r"(\d+) channels", name):
        return int(match.group(1))
    if match := re.match(r"ambisonic (\d+)", name):
        return (int(match.group(1)) + 1) ** 2
    if re.fullmatch(r"[A-Z0-9]+(\+[A-Z0-9]+)*", name):
        return name.count("+") + 1
    raise MediaError(f"Unknown arrangement of sound channels. Received: {layout!r}")
