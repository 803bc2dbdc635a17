"""Being asked to end: by a supervisor (SIGTERM), or because the terminal has gone, as when ssh is closed (SIGHUP).

By its default action such a signal ends a process on the spot, and what it was writing stays half written.
"""

import signal
from types import FrameType
from typing import NoReturn

# Windows has no SIGHUP.
ENDING_SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


def exit_when_asked(*others: signal.Signals) -> None:
    """Turns `ENDING_SIGNALS` into SystemExit, which cleans up on its way, with the status of shells: 128 + signal.

    A signal that is ignored by now stays so: that is how `nohup` says that a closed terminal does not matter. Once one
    has come the rest are ignored, because a second one (a shell's, and then the kernel's) must not cut the cleaning up
    short.

    Args:
        others: signals to be treated likewise.
    """
    numbers = (*ENDING_SIGNALS, *others)

    def end(number: int, frame: FrameType | None) -> NoReturn:
        for each in numbers:
            # Not SIG_IGN: Python complains of a signal that came just before it.
            signal.signal(each, _do_nothing)
        raise SystemExit(128 + number)

    for number in numbers:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, end)


def _do_nothing(number: int, frame: FrameType | None) -> None:
    pass
