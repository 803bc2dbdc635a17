"""Keeps native libraries off the terminal."""

import logging
import os
import sys


def silence_native_libraries() -> None:
    """Leaves the terminal to this program: TensorFlow's C++ code writes its build notes straight to descriptor 2.

    Python's own `sys.stderr` goes on to the terminal by a descriptor of its own; descriptor 2 goes nowhere. Libraries'
    log messages below errors go nowhere either (Beam warns about clients of clouds that nobody asked for).
    """
    logging.disable(logging.WARNING)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
