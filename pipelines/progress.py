"""How a run says how far it is: a callback `(stage, done, total)`, both in seconds; total is 0.0 if unknown."""

from collections.abc import Callable

Progress = Callable[[str, float, float], None]


def silent(stage: str, done: float, total: float) -> None:
    """Says nothing."""
