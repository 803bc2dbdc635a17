"""Keeps native libraries and strangers' log messages off the terminal, and lets this program's own warnings through."""

import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

OWN_PACKAGES = ("av_sep", "audio", "pipelines", "vision")
_STANDARD_STREAMS = ("stdin", "stdout", "stderr")


def silence_native_libraries(*, own_warnings: bool = True) -> None:
    """Leaves the terminal to this program: TensorFlow's C++ code writes its build notes straight to descriptor 2.

    Python's own `sys.stderr` goes on to the terminal by a descriptor of its own; descriptor 2 goes nowhere. Libraries'
    log messages below errors go nowhere either (Beam warns about clients of clouds that nobody asked for), nor do
    Python's warnings, which are for who reads the code (NumPy's of numbers that overflow).

    Args:
        own_warnings: whether warnings of this program's packages (a recording is damaged in places) are shown, each
            once, as one line.
    """
    replace_closed_streams()
    _show_log_messages(own_warnings)
    warnings.simplefilter("ignore")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")
    _lead_nowhere(2)


def replace_closed_streams() -> None:
    """Gives standard streams that were closed (`2>&-`) a place to go: nowhere.

    Python has None for them, and the next file that is opened would take a closed one's descriptor: what a library
    prints would end in a recording.
    """
    for descriptor, name in enumerate(_STANDARD_STREAMS):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free descriptor is taken, which is this one. Children must find it open as well.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(descriptor, "r" if name == "stdin" else "w", closefd=False))


def send_nowhere(stream: TextIO) -> None:
    """Gives up a stream that nobody reads any more.

    What waits in its buffer is tried once more when the process ends, and that would fail for a second time.
    """
    _lead_nowhere(stream.fileno())


def _lead_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


@contextmanager
def collected_warnings() -> Iterator[list[str]]:
    """Warnings of this program's packages while the body runs, one line each, for who has nowhere to show them."""
    collector = _Collector(logging.WARNING)
    logging.getLogger().addHandler(collector)
    try:
        yield collector.lines
    finally:
        logging.getLogger().removeHandler(collector)


def _show_log_messages(own_warnings: bool) -> None:
    root = logging.getLogger()
    root.setLevel(logging.ERROR)
    if not any(isinstance(handler, _OneLineHandler) for handler in root.handlers):
        root.addHandler(_OneLineHandler())
    for package in OWN_PACKAGES:
        logging.getLogger(package).setLevel(logging.WARNING if own_warnings else logging.ERROR)


class _Collector(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if _is_own(record) and (line := _one_line(record)) not in self.lines:
            self.lines.append(line)


class _OneLineHandler(logging.Handler):
    """Shows this program's messages and strangers' errors, each once, as one line on what `sys.stderr` is by then."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Strangers' loggers may have levels of their own (absl's has), so the root's alone does not hold them back."""
        return record.levelno >= logging.ERROR or _is_own(record)

    def emit(self, record: logging.LogRecord) -> None:
        """Prints a message unless it was printed before: a recording is read several times, its damage is one."""
        try:
            line = f"{'av-sep' if _is_own(record) else record.name}: {_one_line(record)}"
            if line not in self._shown:
                self._shown.add(line)
                _print_beside_bars(line)
        except BrokenPipeError:
            send_nowhere(sys.stderr)
        except Exception:  # noqa: BLE001 - as every handler of `logging`: a message that fails costs no work
            self.handleError(record)


def _one_line(record: logging.LogRecord) -> str:
    return " ".join(record.getMessage().split())


def _is_own(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in OWN_PACKAGES


def _print_beside_bars(line: str) -> None:
    # A bar, where there is one, steps aside for the line; without bars nobody need load what draws them.
    if "tqdm" in sys.modules:
        from tqdm import tqdm

        tqdm.write(line, file=sys.stderr)
    else:
        print(line, file=sys.stderr)
