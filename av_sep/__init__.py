"""av-sep: point it at a video of a performance and get every instrument as its own stem.

    import av_sep

    result = av_sep.separate("concert.mp4", output_dir="out")
    result.stems["violin"]    # Path of the violin's sound file

`separate`, `annotate`, `train` and `evaluate` are fetched from `pipelines` on first use, so that importing this package
stays fast.
"""

import importlib

from av_sep.errors import MediaError, ParameterError

__version__ = "0.1.0"
_FRONT_DOOR = {
    "separate": "pipelines.separate",
    "annotate": "pipelines.annotate",
    "train": "pipelines.train",
    "evaluate": "pipelines.evaluate",
}
__all__ = ["MediaError", "ParameterError", "__version__", "annotate", "evaluate", "separate", "train"]


def __getattr__(name: str):
    if name not in _FRONT_DOOR:
        raise AttributeError(f"module 'av_sep' has no attribute {name!r}")
    return getattr(importlib.import_module(_FRONT_DOOR[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_FRONT_DOOR})
