"""Opening a dataset wherever it is: a local folder as it stands, a remote one by its file names alone."""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from av_sep.datasets.index import open_dataset
from av_sep.datasets.track import Dataset
from av_sep.errors import MediaError, shown
from pipelines.prepare.shards import Source
from pipelines.storage import is_remote, open_folder

# What an index may read: a dataset's own words about itself.
_DESCRIPTIONS = {".json", ".yaml", ".yml"}

# What is compared to see whether a file below the source's root has changed.
FileState = Callable[[Path], tuple[float, ...]]


@contextmanager
def open_source(name: str, location: str, **options) -> Iterator[tuple[Dataset, Source, FileState]]:
    """A dataset's index, where its files are, and what tells whether one of them has changed.

    A remote dataset is indexed on a local tree of empty files with the remote names; workers fetch what they need.

    Args:
        name: kind of dataset, see `av_sep.datasets.index.DATASETS`.
        location: path or URL.
        **options: of the dataset's opener.

    Raises:
        MediaError: where the folder is not such a dataset.
        ParameterError: for an unknown kind of dataset, or a URL that cannot be opened.
    """
    if not is_remote(location):
        root = Path(location)
        yield open_dataset(name, root, **options), Source(root), local_state
        return
    states = open_folder(location).states()
    if not states:
        raise MediaError(f"Expected a dataset, but this folder is empty or not there. Received: {location}")
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary) / (PurePosixPath(location).name or name)
        _mirror(location, states, root)
        source = Source(root, location)
        yield open_dataset(name, root, **options), source, lambda path: states[path.relative_to(root).as_posix()]


def local_state(path: Path) -> tuple[int, int]:
    """Size in bytes and time of change in nanoseconds of a file, be it behind links.

    Raises:
        MediaError: where the system refuses.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise MediaError(f"Cannot read {shown(path)}: {error.strerror or error}") from error
    return status.st_size, status.st_mtime_ns


def _mirror(location: str, names: Iterable[str], root: Path) -> None:
    folder = open_folder(location)
    for name in names:
        if PurePosixPath(name).suffix.lower() in _DESCRIPTIONS:
            folder.fetch(name, root / name)
        else:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).touch()
