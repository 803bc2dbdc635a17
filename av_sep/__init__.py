"""av-sep: point it at a video of a performance and get every instrument as its own stem."""

from av_sep.errors import MediaError, ParameterError

__version__ = "0.1.0"
__all__ = ["MediaError", "ParameterError", "__version__"]
