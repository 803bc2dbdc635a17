"""All datasets by name.

    dataset = open_dataset("urmp", "/data/URMP")
    for track in dataset.split("authors")["test"]:
        ...

Opening looks at names of folders and files (and, for MedleyDB, at its metadata); no sound is opened.
"""

import inspect
import os
from collections.abc import Callable, Mapping
from typing import Any

from av_sep.datasets.bach10 import open_bach10
from av_sep.datasets.medleydb import open_medleydb
from av_sep.datasets.musdb import open_musdb18, open_musdb18hq
from av_sep.datasets.plain_folder import open_folder
from av_sep.datasets.track import Dataset
from av_sep.datasets.urmp import open_urmp
from av_sep.errors import ParameterError

DATASETS: Mapping[str, Callable[..., Dataset]] = {
    "urmp": open_urmp,
    "musdb18": open_musdb18,
    "musdb18hq": open_musdb18hq,
    "medleydb": open_medleydb,
    "bach10": open_bach10,
    "folder": open_folder,
}


def open_dataset(name: str, root: str | os.PathLike[str], **options: Any) -> Dataset:
    """Index a dataset.

    Args:
        name: one of `DATASETS`.
        root: its folder.
        **options: as the dataset's own opener takes them, e.g. `taxonomy="musdb4"` for "medleydb" and "folder".

    Raises:
        ParameterError: for an unknown dataset, and an option that this dataset does not have.
        MediaError: for a folder that cannot be read or holds nothing of the dataset's layout, saying what was expected.
    """
    if name not in DATASETS:
        raise ParameterError(f"Expected a dataset among {', '.join(DATASETS)}. Received: {name!r}")
    known = [option for option in inspect.signature(DATASETS[name]).parameters if option != "root"]
    for option in options:
        if option not in known:
            raise ParameterError(f"Expected an option of {name} ({', '.join(known) or 'none'}). Received: {option!r}")
    return DATASETS[name](root, **options)
