"""Keeps native libraries off the terminal."""

import os
import sys


def silence_native_libraries() -> None:
    """Leaves the terminal to this program: TensorFlow's C++ code writes its build notes straight to descriptor 2.

    Python's own `sys.stderr` goes on to the terminal by a descriptor of its own; descriptor 2 goes nowhere.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1, encoding=sys.stderr.encoding, errors="backslashreplace")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)
