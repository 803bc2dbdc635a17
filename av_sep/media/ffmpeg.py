"""Finding ffmpeg and running it: command lines are built by ffmpeg-python, processes never outlive their reader."""

import atexit
import functools
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import ffmpeg

from av_sep.errors import MediaError

# What stands in for ffprobe where there is none: it satisfies an import-time look-up and says why it does no more.
_FFPROBE_STAND_IN = """#!/bin/sh
echo "ffprobe is not installed: this is a stand-in by av-sep, which does not need it. Install ffmpeg to get it." >&2
exit 1
"""
# Enough for the headers of a file with hundreds of chapters, little enough to hold.
_MAX_MESSAGES = 10_000
# "[mov,mp4 @ 0x55d02edc3080] ": parts of ffmpeg and their addresses in memory.
_MESSAGE_PREFIX = re.compile(r"^(\[[^\]]* @ [^\]]*\] )+")
# As older and as newer versions say it.
_NO_DECODER = re.compile(r"Decoder \(codec (\S+)\) not found|no decoder found for: (\S+)")


def ffmpeg_executable() -> str:
    """Path of the ffmpeg to run: the system's if one is on PATH, otherwise the one that imageio-ffmpeg brings.

    Raises:
        MediaError: where neither exists.
    """
    return shutil.which("ffmpeg") or _bundled_ffmpeg()


@functools.cache
def _bundled_ffmpeg() -> str:
    import imageio_ffmpeg

    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError as error:
        raise MediaError("No ffmpeg found. Install one, or `pip install --force-reinstall imageio-ffmpeg`.") from error


@functools.cache
def ensure_ffmpeg_on_path() -> None:
    """Make `ffmpeg` and `ffprobe` findable on PATH, for libraries (museval's stempeg) that refuse to import otherwise.

    Where either is missing, a temporary folder goes to the end of this process's PATH, so that anything installed
    wins; it is removed when the process ends. It holds a link to `ffmpeg_executable()` and, as the bundled ffmpeg
    brings no ffprobe, a stand-in for ffprobe that prints why it does nothing and exits with status 1: enough for an
    import, and an honest failure where someone really calls it.
    """
    missing = [name for name in ("ffmpeg", "ffprobe") if shutil.which(name) is None]
    if not missing:
        return
    folder = Path(tempfile.mkdtemp(prefix="av-sep-ffmpeg-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if "ffmpeg" in missing:
        (folder / "ffmpeg").symlink_to(os.path.abspath(ffmpeg_executable()))
    if "ffprobe" in missing:
        (folder / "ffprobe").write_text(_FFPROBE_STAND_IN)
        (folder / "ffprobe").chmod(0o755)
    os.environ["PATH"] = os.pathsep.join(part for part in (os.environ.get("PATH"), str(folder)) if part)


def file_url(path: str | os.PathLike[str]) -> str:
    """A path as ffmpeg takes it literally: no leading dash is an option, no colon a protocol.

    One character per byte (Latin-1), as ffmpeg-python cannot hold names that are not valid UTF-8; `FfmpegProcess` turns
    characters back into bytes.
    """
    return "file:" + os.fsencode(os.path.abspath(path)).decode("latin-1")


def media_input(path: str | os.PathLike[str]) -> Any:
    """ffmpeg-python's input node for a media file; playlists in it may not reach out to the network."""
    return ffmpeg.input(file_url(path), protocol_whitelist="file")


def with_common_start(output: Any, source: Any, *others: str) -> Any:
    """An output node that counts its time from the start of the file, even if the stream it takes starts later.

    In formats whose clocks may jump (MPEG transport streams, Ogg), ffmpeg takes the first of the streams *in use* for
    the start of the file. So the others are put to use as well: copied to nowhere, for no time at all.

    Args:
        output: the node to extend.
        source: the input node.
        others: which streams of it to put to use, in ffmpeg's words.
    """
    unused = [source[streams].output("pipe:", format="null", c="copy", t=0) for streams in others]
    return ffmpeg.merge_outputs(output, *unused) if unused else output


class FfmpegProcess:
    """A running ffmpeg and its pipes; as a context manager it leaves neither process nor pipe nor thread behind.

    Attributes:
        stdin: to write to, where asked for; else None.
        stdout: to read from.
    """

    def __init__(self, output: Any, *, writes: bool = False, log_level: str = "error"):
        """Start ffmpeg.

        Args:
            output: ffmpeg-python's output node.
            writes: whether to open a pipe into ffmpeg ("pipe:" as an input of the node).
            log_level: how much ffmpeg says; the last lines are kept in `messages`.
        """
        options = ["-hide_banner", "-nostdin", "-v", log_level]
        arguments = ffmpeg.compile(output, cmd=options, overwrite_output=True)
        command = [os.fsencode(ffmpeg_executable()), *(argument.encode("latin-1") for argument in arguments)]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE if writes else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        except OSError as error:
            raise MediaError(f"Cannot start ffmpeg ({error.strerror}). Received: {os.fsdecode(command[0])}") from error
        # A damaged file can make ffmpeg say more than a pipe holds, so someone has to keep reading.
        self._messages: deque[str] = deque(maxlen=_MAX_MESSAGES)
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self.stdin: IO[bytes] | None = self._process.stdin
        assert self._process.stdout is not None
        self.stdout: IO[bytes] = self._process.stdout

    def _listen(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._messages.append(line.decode("utf-8", "backslashreplace").rstrip())

    def wait(self) -> int:
        """Exit status, once ffmpeg has ended by itself, having got all its input; its messages are complete then."""
        if self.stdin is not None:
            _close_quietly(self.stdin)
        status = self._process.wait()
        self._listener.join()
        return status

    @property
    def messages(self) -> list[str]:
        """The lines that ffmpeg printed."""
        return list(self._messages)

    @property
    def reason(self) -> str:
        """Why ffmpeg failed, in its own words: the first of its messages, as the later ones follow from it."""
        for message in self._messages:
            text = _MESSAGE_PREFIX.sub("", message).strip()
            if text and not text.startswith(("Last message repeated", "Format ", "Opening ")):
                # "where: in what: cause"
                return text.rsplit(": ", 1)[-1].rstrip(".")
        status = self._process.poll()
        return f"ffmpeg was stopped by signal {-status}" if status and status < 0 else "ffmpeg gave no reason"

    @property
    def missing_decoder(self) -> str | None:
        """ffmpeg's name for the format that it cannot decode ("none" if it knows not even that); None where it can."""
        for message in self._messages:
            if match := _NO_DECODER.search(message):
                return match.group(1) or match.group(2)
        return None

    def close(self) -> None:
        """End ffmpeg now, whatever it is doing, and close its pipes. May be called twice."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._listener.join()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                _close_quietly(pipe)

    def __enter__(self) -> "FfmpegProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _close_quietly(pipe: IO[bytes]) -> None:
    # Closing a pipe flushes it, and the reader at the other end is gone.
    try:
        pipe.close()
    except BrokenPipeError:
        pass
