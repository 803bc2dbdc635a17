"""The packaged form of a model: a folder of `config.json`, what it is, and `weights.npz`, its arrays in order."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

CONFIG = "config.json"
WEIGHTS = "weights.npz"


def write_packaged(
    directory: Path, config: dict[str, Any], arrays: Sequence[np.ndarray], *, dtype: Any = np.float16
) -> None:
    """Writes a model's folder, which is made where it is missing.

    Args:
        directory: the folder.
        config: what goes to `config.json`.
        arrays: the weights, at most 1,000.
        dtype: what they are kept as; half precision only where it has room for all of an array.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / CONFIG).write_text(json.dumps(config, indent=2) + "\n")
    # Numbered, so that the order of names is the order of the arrays.
    numbered: dict[str, Any] = {
        f"w{i:03d}": halved(array) if dtype == np.float16 else array.astype(dtype) for i, array in enumerate(arrays)
    }
    np.savez_compressed(directory / WEIGHTS, **numbered)


def halved(array: np.ndarray) -> np.ndarray:
    """An array of float32 in half precision, unless it holds numbers that would become infinite; others as they are."""
    if array.dtype != np.float32 or np.any(np.abs(array) > np.finfo(np.float16).max):
        return array
    return array.astype(np.float16)


def read_config(directory: Path) -> dict[str, Any]:
    """A packaged model's `config.json`."""
    return json.loads((directory / CONFIG).read_text())


def read_arrays(directory: Path) -> list[np.ndarray]:
    """A packaged model's weights, float32, in their order."""
    with np.load(directory / WEIGHTS) as archive:
        return [archive[name].astype(np.float32) for name in sorted(archive.files)]
