"""Is a file whole? What was decoded, held against what the headers promised, so that no result is silently shorter.

MPEG's program and transport streams, Ogg (FLAC in it too) and raw AAC promise nothing: where such a file was cut off
cannot be told from where it ended.
"""

import logging
import re

from av_sep.errors import MediaError, shown
from av_sep.media.ffmpeg import FfmpegProcess, media_input
from av_sep.media.probe import MediaHeaders

_log = logging.getLogger(__name__)

# Headers are a little off in healthy files: the longest stream counts, encoders pad, durations are rounded. What is
# missing beyond that is told, and more than this part of the file is no longer taken for a recording of that length.
_TOLERANCE_SECONDS = 1.0
_TOLERANCE_FRACTION = 0.05
# ffmpeg's framecrc listing: the streams, and then "stream, dts, pts, duration, size, ..." for each packet.
_TIME_BASE = re.compile(rb"#tb (\d+): (\d+)/(\d+)")
_PACKET = re.compile(rb"(\d+), *(-?\d+), *(-?\d+), *(\d+),")


def require_whole(headers: MediaHeaders, what: str, read_seconds: float, process: FfmpegProcess) -> str | None:
    """Raise unless decoding ended well and not too early.

    Sound may rightly end before the pictures do, and the other way round, but a file that was cut off ends early in all
    its streams. So a stream that ends early passes only if ffmpeg had nothing to complain about and the file's packets
    go on to the promised end. Damage that costs little is logged and returned: complaints about a file that reaches its
    end, and an end that lacks a second or more.

    Args:
        headers: what was promised.
        what: "sound" or "pictures".
        read_seconds: end of what was decoded, from the start of the file.
        process: ffmpeg, at the end of its output.

    Returns:
        What is to be told of a file that is damaged and was read all the same; None of a healthy one.

    Raises:
        MediaError: naming how many seconds could be read of how many promised; as `require_decoder`.
    """
    status = process.wait()
    require_decoder(headers, what, process)
    header_seconds = 0.0 if headers.duration_is_estimate else headers.info.duration_seconds
    promised_seconds = max(header_seconds, read_seconds * headers.promised_bytes_ratio)
    end_seconds = promised_seconds - max(_TOLERANCE_SECONDS, _TOLERANCE_FRACTION * promised_seconds)
    if status == 0 and read_seconds >= end_seconds:
        damage = _describe_damage(headers, promised_seconds, read_seconds, process)
        if damage is not None:
            _log.warning("%s is %s", shown(headers.info.path), damage)
        return damage
    if status == 0 and not process.messages and _packets_end_seconds(headers) >= end_seconds:
        return None
    promise = f" of {promised_seconds:.1f}" if promised_seconds else ""
    detail = f" ({process.reason})" if status != 0 or process.messages else ""
    raise MediaError(
        f"The file is damaged or cut off: only {read_seconds:.1f}{promise} seconds of its {what} could be read{detail}."
        f" Received: {shown(headers.info.path)}"
    )


def _describe_damage(
    headers: MediaHeaders, promised_seconds: float, read_seconds: float, process: FfmpegProcess
) -> str | None:
    detail = f" ({process.reason})" if process.messages else ""
    if read_seconds < promised_seconds - _TOLERANCE_SECONDS:
        missing_seconds = promised_seconds - max(read_seconds, _packets_end_seconds(headers))
        if missing_seconds > _TOLERANCE_SECONDS:
            return f"cut off {missing_seconds:.1f} s before the promised end, read all the same{detail}"
    return f"damaged in places, read all the same{detail}" if detail else None


def require_decoder(headers: MediaHeaders, what: str, process: FfmpegProcess) -> None:
    """Raise MediaError if ffmpeg, which has ended, had no decoder for the "sound" or "pictures": that is no damage."""
    if codec := process.missing_decoder:
        name = "" if codec == "none" else f" ({codec})"
        raise MediaError(
            f"Expected {what} in a format that this ffmpeg can decode, it has no decoder for this one{name}."
            f" Received: {shown(headers.info.path)}"
        )


def _packets_end_seconds(headers: MediaHeaders) -> float:
    """End of the last packet of any stream, found by walking through the file without decoding it."""
    time_base_seconds: dict[int, float] = {}
    end_seconds = 0.0
    output = media_input(headers.info.path).output("pipe:", format="framecrc", c="copy", map="0", copy_unknown=None)
    with FfmpegProcess(output) as process:
        for line in process.stdout:
            if match := _TIME_BASE.match(line):
                stream, numerator, denominator = map(int, match.groups())
                time_base_seconds[stream] = numerator / denominator
            elif match := _PACKET.match(line):
                stream, dts, pts, duration = map(int, match.groups())
                # AVI has decoding times only; an unknown time is a very negative one.
                end_seconds = max(end_seconds, (max(dts, pts) + duration) * time_base_seconds[stream])
    return end_seconds
