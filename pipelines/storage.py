"""Folders that may be local or remote: a path, or a URL that Apache Beam's filesystems know (gs://, s3://, hdfs://).

Conventions:
    Names are relative to a folder, with forward slashes. A file appears under its name only when it is complete: local
    files are renamed into place, and object stores show an object when its upload has ended.
"""

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from av_sep.errors import MediaError, ParameterError, shown
from av_sep.media import replace_when_complete

_COPY_BYTES = 8 * 2**20


class Folder(Protocol):
    """What is needed of a folder, wherever it is. Every method raises MediaError where the system refuses."""

    url: str

    def names(self, prefix: str = "") -> dict[str, int]:
        """Every file below the folder whose name begins so, name -> bytes; empty where the folder does not exist."""

    def states(self) -> dict[str, tuple[float, ...]]:
        """Every file below the folder, name -> what is another where it was written again.

        Bytes and, where the system tells it, the time of its last change in seconds since 1970.
        """

    def read(self, name: str) -> bytes:
        """A small file's content."""

    def write(self, name: str, content: bytes) -> None:
        """Writes a small file, whole or not at all."""

    def publish(self, local_file: Path, name: str) -> None:
        """Moves a finished local file to its place."""

    def fetch(self, name: str, local_file: Path) -> None:
        """Copies a file to a local place; folders above it are made."""

    def delete(self, name: str) -> None:
        """Deletes a file; one that is not there is fine."""


def is_remote(location: str | os.PathLike[str]) -> bool:
    """Whether a location is a URL rather than a path."""
    return "://" in os.fspath(location)


def open_folder(location: str | os.PathLike[str]) -> Folder:
    """The folder at a path or URL; it need not exist yet.

    Raises:
        ParameterError: for a URL where Apache Beam is not installed or does not know its scheme.
    """
    return RemoteFolder(os.fspath(location)) if is_remote(location) else LocalFolder(Path(location))


class LocalFolder:
    """A folder of this machine.

    Args:
        path: the folder.
    """

    def __init__(self, path: Path):
        self.path = path
        self.url = str(path)

    def names(self, prefix: str = "") -> dict[str, int]:
        """See `Folder.names`."""
        return {name: status.st_size for name, status in self._statuses().items() if name.startswith(prefix)}

    def states(self) -> dict[str, tuple[float, ...]]:
        """See `Folder.states`."""
        return {name: (status.st_size, status.st_mtime) for name, status in self._statuses().items()}

    def _statuses(self) -> dict[str, os.stat_result]:
        found = {}
        for folder, _, names in os.walk(self.path, onerror=_refuse_unless_missing):
            for file in (Path(folder, name) for name in names):
                try:
                    found[file.relative_to(self.path).as_posix()] = file.lstat()
                except OSError as error:
                    _refuse_unless_missing(error)
        return found

    def read(self, name: str) -> bytes:
        """See `Folder.read`."""
        with _refusals(self.path / name):
            return (self.path / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        """See `Folder.write`."""
        self._make_room_for(name)
        with replace_when_complete(self.path / name) as temporary:
            temporary.write_bytes(content)

    def publish(self, local_file: Path, name: str) -> None:
        """See `Folder.publish`: a rename on the same disk."""
        self._make_room_for(name)
        with _refusals(self.path / name):
            shutil.move(local_file, self.path / name)

    def fetch(self, name: str, local_file: Path) -> None:
        """See `Folder.fetch`."""
        with _refusals(local_file):
            local_file.parent.mkdir(parents=True, exist_ok=True)
        with _refusals(self.path / name):
            shutil.copyfile(self.path / name, local_file)

    def delete(self, name: str) -> None:
        """See `Folder.delete`."""
        with _refusals(self.path / name):
            (self.path / name).unlink(missing_ok=True)

    def _make_room_for(self, name: str) -> None:
        with _refusals(self.path):
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)


class RemoteFolder:
    """A folder behind one of Beam's filesystems.

    Args:
        url: e.g. "gs://bucket/folder".
    """

    def __init__(self, url: str):
        self.url = url.rstrip("/")
        self._systems = _beam_filesystems(self.url)

    def names(self, prefix: str = "") -> dict[str, int]:
        """See `Folder.names`; object stores are asked for these alone."""
        return {name: found.size_in_bytes for name, found in self._found(prefix).items()}

    def states(self) -> dict[str, tuple[float, ...]]:
        """See `Folder.states`; a filesystem that tells no time says 0."""
        found = self._found()
        return {name: (file.size_in_bytes, file.last_updated_in_seconds) for name, file in found.items()}

    def _found(self, prefix: str = "") -> dict[str, Any]:
        start = self._at(prefix)
        with _refusals(self.url):
            # The rest is compared below: Beam's patterns cannot quote a name's own * ? [ without a warning.
            (matched,) = self._systems.match([re.split(r"[*?\[]", start)[0] + "**"])
        return {file.path[len(self.url) + 1 :]: file for file in matched.metadata_list if file.path.startswith(start)}

    def read(self, name: str) -> bytes:
        """See `Folder.read`."""
        with _refusals(self._at(name)), self._systems.open(self._at(name), compression_type="uncompressed") as file:
            return file.read()

    def write(self, name: str, content: bytes) -> None:
        """See `Folder.write`."""
        with _refusals(self._at(name)), self._create(name) as file:
            file.write(content)

    def publish(self, local_file: Path, name: str) -> None:
        """See `Folder.publish`: an upload, after which the local file is gone."""
        with _refusals(self._at(name)):
            with local_file.open("rb") as source, self._create(name) as target:
                shutil.copyfileobj(source, target, _COPY_BYTES)
            local_file.unlink()

    def fetch(self, name: str, local_file: Path) -> None:
        """See `Folder.fetch`."""
        with _refusals(self._at(name)):
            local_file.parent.mkdir(parents=True, exist_ok=True)
            with self._systems.open(self._at(name), compression_type="uncompressed") as source:
                with local_file.open("wb") as target:
                    shutil.copyfileobj(source, target, _COPY_BYTES)

    def delete(self, name: str) -> None:
        """See `Folder.delete`."""
        with _refusals(self._at(name)):
            if self._systems.exists(self._at(name)):
                self._systems.delete([self._at(name)])

    def _at(self, name: str) -> str:
        return f"{self.url}/{name}"

    def _create(self, name: str) -> Any:
        # Beam compresses by the name's ending unless told otherwise.
        return self._systems.create(self._at(name), compression_type="uncompressed")


def configure_filesystems(options: Sequence[str], locations: Sequence[str]) -> None:
    """Gives Beam's filesystems the options of its runner (credentials, endpoints), where any location needs them.

    Raises:
        ParameterError: where a location is remote and Apache Beam is not installed.
    """
    for location in filter(is_remote, locations):
        systems = _beam_filesystems(location)
        from apache_beam.options.pipeline_options import PipelineOptions

        systems.set_options(PipelineOptions(list(options)))


def _beam_filesystems(url: str) -> Any:
    try:
        from apache_beam.io.filesystems import FileSystems
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise ParameterError(f"Remote folders need Apache Beam (pip install '.[beam]'). Received: {url}") from error
    if getattr(FileSystems, "_pipeline_options", None) is None:
        # A local process was told nothing: the environment's own credentials must do.
        FileSystems.set_options(PipelineOptions([]))
    try:
        FileSystems.get_filesystem(url)
    except ValueError as error:
        raise ParameterError(
            f"Expected a path or a URL whose filesystem is installed (gs://: apache-beam[gcp], s3://:"
            f" apache-beam[aws]). Received: {url}"
        ) from error
    return FileSystems


def _refuse_unless_missing(error: OSError) -> None:
    """What cannot be looked at is no empty folder; what others delete meanwhile is none of ours."""
    if not isinstance(error, FileNotFoundError):
        raise MediaError(f"Cannot use {shown(os.fsdecode(error.filename))}: {error.strerror}") from error


@contextmanager
def _refusals(place: str | os.PathLike[str]) -> Iterator[None]:
    """Turns whatever the system or a cloud's client says into one MediaError that names the place."""
    try:
        yield
    except MediaError:
        raise
    except Exception as error:  # noqa: BLE001 - every client library has errors of its own
        reason = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
        raise MediaError(f"Cannot use {shown(place)}: {reason}") from error
