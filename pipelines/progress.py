"""How a run says how far it is: a callback `(stage, done, total)`, total 0.0 if unknown.

Both are seconds of sound or video where one file is worked on, and counts where many things are.
"""

from collections.abc import Callable
from typing import Any

Progress = Callable[[str, float, float], None]


def silent(stage: str, done: float, total: float) -> None:
    """Says nothing."""


class TerminalProgress:
    """Turns progress calls into one terminal bar per stage; use it as a context manager.

    Args:
        name: stands before the stage.
        shown: False to say nothing.
        unit: what is counted.
    """

    def __init__(self, name: str, *, shown: bool, unit: str = "s"):
        self.name, self.shown, self.unit = name, shown, unit
        self.stage: str | None = None
        self.bar: Any = None

    def __call__(self, stage: str, done: float, total: float) -> None:
        if not self.shown:
            return
        if stage != self.stage:
            self._close()
            from tqdm import tqdm

            self.stage = stage
            self.bar = tqdm(
                desc=f"{self.name}: {stage}",
                total=total or None,
                unit=self.unit,
                bar_format="{desc} {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} {unit} [{elapsed}<{remaining}]"
                if total
                else None,
            )
        self.bar.n = min(done, self.bar.total) if self.bar.total else done
        self.bar.refresh()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()

    def __enter__(self) -> "TerminalProgress":
        return self

    def __exit__(self, *exception) -> None:
        self._close()
