"""Is a file whole? What was decoded, held against what the headers promised, so that no result is silently shorter."""

from av_sep.errors import MediaError
from av_sep.media.ffmpeg import FfmpegProcess, media_input, reason
from av_sep.media.files import shown
from av_sep.media.probe import MediaHeaders

# Headers are a little off in healthy files: the longest stream counts, encoders pad, durations are rounded.
_TOLERANCE_FRACTION = 0.05
_TOLERANCE_SECONDS = 1.0


def require_whole(headers: MediaHeaders, what: str, read_seconds: float, status: int, messages: list[str]) -> None:
    """Raise unless decoding ended well and not too early.

    Sound may rightly end before the pictures do, and the other way round, but a file that was cut off ends early in
    all its streams. So a stream that ends early passes only if ffmpeg had nothing to complain about and the file's
    packets go on to the promised end.

    Args:
        headers: what was promised.
        what: "sound" or "pictures", for the message.
        read_seconds: end of what was decoded, from the start of the file.
        status: ffmpeg's exit status.
        messages: what ffmpeg said while decoding.

    Raises:
        MediaError: naming how many seconds could be read of how many promised.
    """
    info = headers.info
    promised_seconds = 0.0 if headers.duration_is_estimate else info.duration_seconds
    earliest_end_seconds = promised_seconds - max(_TOLERANCE_SECONDS, _TOLERANCE_FRACTION * promised_seconds)
    if status == 0:
        if read_seconds >= earliest_end_seconds:
            return
        if not messages and info.has_audio and info.has_video and _packets_end_seconds(headers) >= earliest_end_seconds:
            return
    promise = f" of {promised_seconds:.1f}" if promised_seconds else ""
    detail = f" ({reason(messages)})" if messages else ""
    raise MediaError(
        f"The file is damaged or cut off: only {read_seconds:.1f}{promise} seconds of its {what} could be read{detail}."
        f" Received: {shown(info.path)}"
    )


def _packets_end_seconds(headers: MediaHeaders) -> float:
    """End of the last packet of any stream, found by walking through the file without decoding it."""
    time_base_seconds: dict[int, float] = {}
    end_seconds = 0.0
    output = media_input(headers.info.path).output("pipe:", format="framecrc", c="copy", map="0", copy_unknown=None)
    with FfmpegProcess(output) as process:
        for line in process.stdout:
            fields = line.decode("ascii", "replace").split()
            if fields[:1] == ["#tb"]:
                numerator, denominator = fields[2].split("/")
                time_base_seconds[int(fields[1].rstrip(":"))] = int(numerator) / int(denominator)
            elif fields and not fields[0].startswith("#"):
                stream, _, pts, duration = (int(field.rstrip(",")) for field in fields[:4])
                end_seconds = max(end_seconds, (pts + duration) * time_base_seconds[stream])
    return end_seconds
