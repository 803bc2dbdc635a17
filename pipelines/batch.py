"""Many inputs in a row: the good ones are finished, the failures are listed at the end."""

import os
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from av_sep.errors import MediaError, ParameterError
from av_sep.media import find_media
from pipelines.error_lines import is_users
from pipelines.staging import is_result

Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Failure:
    """An input that could not be finished, and why.

    Attributes:
        input_path: the input.
        error: what went wrong; its traceback knows the lines and no longer the variables.
    """

    input_path: Path
    error: Exception

    @property
    def is_users(self) -> bool:
        """Whether the user can mend it (a file or an argument) rather than we."""
        return is_users(self.error)


@dataclass(frozen=True, eq=False)
class BatchOutcome(Generic[Result]):
    """What came of a batch, both in the order of the inputs."""

    results: tuple[Result, ...]
    failures: tuple[Failure, ...]


def expand_folders(inputs: Iterable[Path]) -> list[Path]:
    """Folders become the media files in them; everything else stays, each path once.

    Stems of an earlier run that lie in a folder are results and no inputs: the same command can be given twice. What is
    missing or cannot be reached stays: it fails when its turn comes, and costs the others nothing.

    Raises:
        MediaError: for a folder that cannot be searched.
    """
    expanded = [path for given in inputs for path in (_search(given) if os.path.isdir(given) else [given])]
    return list(dict.fromkeys(expanded))


def _search(folder: Path) -> list[Path]:
    try:
        found = find_media([folder])
    except MediaError:
        raise
    except OSError as error:
        raise MediaError(f"Cannot search this folder ({error.strerror}). Received: {folder}") from error
    return [path for path in found if path.parent == folder or not is_result(path.parent)]


def run_batch(inputs: Iterable[Path], run: Callable[[Path], Result]) -> BatchOutcome[Result]:
    """Runs every input; one that fails does not stop the others.

    Inputs of equal stem would write to the same place: once one of them is finished, the others fail. One that failed
    has written nothing, and stands in nobody's way.
    """
    results: list[Result] = []
    failures: list[Failure] = []
    finished: dict[str, Path] = {}
    for path in inputs:
        try:
            if path.stem in finished:
                raise ParameterError(
                    f"Two inputs of one name would share an output; separate them by themselves. Received: {path}"
                    f" after {finished[path.stem]}"
                )
            results.append(run(path))
            finished[path.stem] = path
        # Whatever goes wrong with one file must not cost the others; it is reported, with its kind, at the end.
        except Exception as error:  # noqa: BLE001
            _forget_variables(error)
            failures.append(Failure(path, error))
    return BatchOutcome(tuple(results), tuple(failures))


def _forget_variables(error: BaseException) -> None:
    """Empties the frames that an error's tracebacks hold: a film's pictures must not wait for the end of the batch."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        current = waiting.pop()
        # Compared by identity; errors may be equal, and may name each other as their causes.
        if current is None or any(current is other for other in seen):
            continue
        seen.append(current)
        traceback.clear_frames(current.__traceback__)
        waiting += [current.__cause__, current.__context__]
