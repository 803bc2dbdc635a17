"""A file that ffmpeg makes of samples or pictures as they come."""

from pathlib import Path
from types import TracebackType
from typing import Any

from av_sep.errors import MediaError, shown
from av_sep.media.ffmpeg import FfmpegProcess


class EncoderPipe:
    """ffmpeg with a pipe into it; as a context manager it completes the file, or gives it up after an exception."""

    def __init__(self, output: Any, path: Path):
        """Start ffmpeg.

        Args:
            output: ffmpeg-python's output node, with "pipe:" as an input.
            path: what errors call the file; `output` may write to a temporary name.

        Raises:
            MediaError: where ffmpeg cannot be started.
        """
        self._path = path
        self._process = FfmpegProcess(output, writes=True)

    def write(self, data: bytes | memoryview) -> None:
        """Append raw samples or pictures.

        Raises:
            MediaError: where ffmpeg gave up, for instance as the disk is full.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(data)
        except BrokenPipeError:
            raise self._failed() from None

    def __enter__(self) -> "EncoderPipe":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._process:
            # Complaints count as failure: some versions end with status 0 although the disk was full.
            if kind is None and (self._process.wait() != 0 or self._process.messages):
                raise self._failed()

    def _failed(self) -> MediaError:
        self._process.wait()
        return MediaError(f"Cannot write {shown(self._path)}: {self._process.reason}")
