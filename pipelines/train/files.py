"""Files of a run's folder: this machine's by themselves, those behind a URL through TensorFlow's file system.

A machine that trains on local folders under JAX needs no TensorFlow. Every method raises OSError where the system
refuses.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from av_sep.errors import ParameterError


class Files(Protocol):
    """What a run asks of a file system."""

    def exists(self, path: str) -> bool:
        """Whether a file or folder is there."""

    def is_empty(self, folder: str) -> bool:
        """Whether a folder is missing or has nothing in it but what a killed `replace` left."""

    def make_folder(self, folder: str) -> None:
        """Makes a folder and those above it."""

    def read(self, path: str) -> bytes:
        """A file's content."""

    def replace(self, path: str, content: bytes) -> None:
        """Writes a file, whole or not at all, over an older one; where that fails, nothing is left of the new one."""


def files_at(location: str) -> Files:
    """The file system of a path or URL.

    Raises:
        ParameterError: for a URL where TensorFlow is not installed.
    """
    return _TensorFlowFiles() if "://" in location else _LocalFiles()


class _LocalFiles:
    """See `Files`."""

    def exists(self, path: str) -> bool:
        return Path(path).exists()

    def is_empty(self, folder: str) -> bool:
        return not Path(folder).exists() or all(map(_is_unfinished, os.listdir(folder)))

    def make_folder(self, folder: str) -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)

    def read(self, path: str) -> bytes:
        return Path(path).read_bytes()

    def replace(self, path: str, content: bytes) -> None:
        # Not `av_sep.media.replace_when_complete`: with it comes ffmpeg, which a machine that only trains has not got.
        temporary = Path(_beside(path))
        try:
            temporary.write_bytes(content)
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


class _TensorFlowFiles:
    """See `Files`."""

    def __init__(self) -> None:
        try:
            import tensorflow as tf
        except ImportError as error:
            raise ParameterError("Folders behind a URL need TensorFlow: pip install tensorflow") from error
        self.gfile, self.refusal = tf.io.gfile, tf.errors.OpError

    def exists(self, path: str) -> bool:
        with self._refusals():
            return self.gfile.exists(path)

    def is_empty(self, folder: str) -> bool:
        with self._refusals():
            return not self.gfile.exists(folder) or all(map(_is_unfinished, self.gfile.listdir(folder)))

    def make_folder(self, folder: str) -> None:
        with self._refusals():
            self.gfile.makedirs(folder)

    def read(self, path: str) -> bytes:
        with self._refusals(), self.gfile.GFile(path, "rb") as file:
            return file.read()

    def replace(self, path: str, content: bytes) -> None:
        temporary = _beside(path)
        with self._refusals():
            try:
                with self.gfile.GFile(temporary, "wb") as file:
                    file.write(content)
                self.gfile.rename(temporary, path, overwrite=True)
            except self.refusal:
                if self.gfile.exists(temporary):
                    self.gfile.remove(temporary)
                raise

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        try:
            yield
        except self.refusal as error:
            raise OSError(error.message) from error


def _beside(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/.{name}.part"


def _is_unfinished(name: str) -> bool:
    """Whether a file is one that `replace` would have renamed."""
    return name.startswith(".") and name.endswith(".part")
