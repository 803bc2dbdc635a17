"""Which files a detector is made of, by its name: where one changes, what was seen with it must be looked at anew."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vision.detector import HUB_PREFIX, label_files, split_names


def detector_files(name: str) -> tuple[Path, ...]:
    """Files that a detector reads and that may change while their names stay, as far as they are known.

    Args:
        name: as `pipelines.joint.files.open_detector` takes it.

    Returns:
        Files of labels, whether they exist or not, joint models, and SavedModels' graphs and weights, packed or in a
        folder. What a handle leads to is not known here; what comes with the program changes with its version only.
    """
    if name.endswith(".keras"):
        return (Path(name),)
    models = [part.removeprefix(HUB_PREFIX).strip() for part in split_names(name) if part.startswith(HUB_PREFIX)]
    return (*label_files(name), *(file for model in models for file in _model_files(Path(model))))


def detector_states(name: str) -> list[dict[str, Any]]:
    """What is another where one of a detector's files has changed, JSON-safe: names, sizes and times of change."""
    return [
        dict(zip(("name", "num_bytes", "modified_seconds"), (path.name, *file_state(path))))
        for path in detector_files(name)
    ]


def file_state(path: Path) -> tuple[int | None, float | None]:
    """Bytes of a file, and when it was changed last in seconds since 1970; None and None where it cannot be reached."""
    try:
        status = path.stat()
    except OSError:
        return None, None
    return status.st_size, round(status.st_mtime, 3)


def _model_files(model: Path) -> Iterator[Path]:
    # Unlike `Path.is_file` this raises nothing for a place out of reach.
    if os.path.isfile(model):
        yield model
    elif os.path.isdir(model):
        yield from sorted([*model.glob("saved_model.pb*"), *model.glob("variables/*")])
