"""The two kinds of error a user can cause.

Messages name what was expected, what came ("Received: ...") and what to do next, in one line, because the command line
prints them as they are.
"""


class ParameterError(ValueError):
    """An argument, option or model that cannot be used as given."""


class MediaError(OSError):
    """A media file that cannot be read, or a place that cannot be written."""
