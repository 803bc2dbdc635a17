"""Settings changed on the command line: `--set learning_rate=1e-4 --set model.num_levels=8`."""

import dataclasses
import difflib
import json
from collections.abc import Sequence
from typing import Any

from av_sep.errors import ParameterError
from pipelines.config import TrainConfig


def override(config: TrainConfig, assignments: Sequence[str]) -> TrainConfig:
    """A recipe's settings with some of them changed.

    Args:
        config: the recipe's settings.
        assignments: "name=value" or "dict.name=value"; values are JSON, or else taken as text.

    Raises:
        ParameterError: for a setting that does not exist, and a value of another type.
    """
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise ParameterError(f"Expected --set name=value. Received: {assignment!r}")
        config = _with(config, name.strip(), _parse(text.strip()))
    return config


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _with(config: TrainConfig, name: str, value: Any) -> TrainConfig:
    head, _, rest = name.partition(".")
    known = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    if head not in known or head == "recipe":
        nearest = difflib.get_close_matches(head, known, n=1)
        hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
        raise ParameterError(f"There is no such setting.{hint} Received: {name!r}")
    new: Any = _of_type(name, value, known[head]) if not rest else {**_parts(name, known[head]), rest: value}
    return dataclasses.replace(config, **{head: new})


def _parts(name: str, old: Any) -> dict[str, Any]:
    if not isinstance(old or {}, dict):
        raise ParameterError(f"Expected a setting with parts before the dot. Received: {name!r}")
    return old or {}


def _of_type(name: str, value: Any, old: Any) -> Any:
    """The value, if it is of the kind that the setting has; whole numbers may stand for others."""
    if isinstance(old, float) and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if old is None or value is None or (type(value) is type(old)):
        return tuple(value) if isinstance(value, list) else value
    raise ParameterError(f"Expected {name} of type {type(old).__name__}, e.g. {old!r}. Received: {value!r}")
