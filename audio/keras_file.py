"""`.keras` files, read: what Keras says of a file that is none of ours becomes one line."""

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from av_sep.errors import ParameterError

if TYPE_CHECKING:
    import keras

# What Keras raises, as far as seen: for other archives, classes that it does not know, options of other versions, and
# arrays that are damaged.
UNREADABLE = (KeyError, TypeError, ValueError, OSError, zipfile.BadZipFile)


def load_keras(path: str | Path) -> "keras.Model":
    """A network from its file, not compiled; its class must have been imported, so that Keras knows it.

    Raises:
        ParameterError: where Keras makes no network of the file.
    """
    import keras

    try:
        return keras.saving.load_model(path, compile=False)
    except UNREADABLE as error:
        expected = "Expected a .keras model saved by this program"
        raise ParameterError(f"{expected}. Received: {path} ({first_line(error)})") from error


def first_line(error: BaseException) -> str:
    """The first line of what an error says, or its name if it says nothing."""
    return (str(error).strip() or type(error).__name__).split("\n")[0]
