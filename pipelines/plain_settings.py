"""Settings as files can hold them."""

import os
from dataclasses import replace
from typing import TypeVar

import numpy as np

Config = TypeVar("Config")


def plain_settings(config: Config) -> Config:
    """The same settings as text and plain numbers: JSON knows no paths, and NumPy's short integers overflow.

    Args:
        config: a dataclass; what is inside its tuples and dictionaries stays as it is.
    """
    settings = vars(config).items()
    paths = {name: os.fspath(value) for name, value in settings if isinstance(value, os.PathLike)}
    numbers = {name: value.item() for name, value in settings if isinstance(value, np.generic)}
    return replace(config, **paths, **numbers)  # type: ignore[type-var]
