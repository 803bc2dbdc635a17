"""Settings changed on the command line: `--set learning_rate=1e-4 --set model.num_levels=8`.

Which values a setting may have is what its dataclass's annotations say, here and for the settings that have parts.
"""

import dataclasses
import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from av_sep.errors import ParameterError
from pipelines.config import TrainConfig

T = TypeVar("T")


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
    head, dot, rest = name.partition(".")
    if head == "recipe":
        raise ParameterError(f"A run's recipe is the command's argument: av-sep train RECIPE. Received: {name!r}")
    known = {f.name: getattr(config, f.name) for f in dataclasses.fields(config) if f.name != "recipe"}
    if head not in known:
        raise _unknown(name, head, known)
    annotation = get_type_hints(TrainConfig)[head]
    if dot and not any(get_origin(kind) is dict for kind in _kinds(annotation)):
        raise ParameterError(f"Expected a setting with parts before the dot. Received: {name!r}")
    new: Any = {**(known[head] or {}), rest: value} if dot else of_type(name, value, annotation)
    return dataclasses.replace(config, **{head: new})


def _unknown(name: str, last: str, known: Iterable[str]) -> ParameterError:
    nearest = difflib.get_close_matches(last, known, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    return ParameterError(f"There is no such setting.{hint} Received: {name!r}")


def from_options(setting: str, kind: type[T], options: Mapping[str, Any], **fixed: Any) -> T:
    """A dataclass made of a setting's parts.

    Args:
        setting: name of the setting, for errors.
        kind: the dataclass.
        options: the parts, as a recipe or `override` has them.
        fixed: further arguments, which are not for the setting to give.

    Raises:
        ParameterError: for a part that does not exist, and a value of another type.
    """
    hints = get_type_hints(kind)
    known = [name for name in hints if name not in fixed]
    for name in options:
        if name not in known:
            raise _unknown(f"{setting}.{name}", name, known)
    typed = {name: of_type(f"{setting}.{name}", value, hints[name]) for name, value in options.items()}
    return kind(**fixed, **typed)


def of_type(name: str, value: Any, annotation: Any) -> Any:
    """A value, if a dataclass's annotation allows it: whole numbers may stand for others, lists for tuples.

    Args:
        name: what it is for, for errors.
        value: as JSON or Python has it.
        annotation: a class, `tuple[...]`, `dict[...]`, or several of them joined by `|`.

    Raises:
        ParameterError: for a value of another type.
    """
    for kind in _kinds(annotation):
        origin = get_origin(kind) or kind
        if origin is tuple and isinstance(value, list | tuple):
            return _items_of_type(name, value, get_args(kind))
        if origin is float and type(value) is int:
            return float(value)
        # Python counts true and false among the whole numbers.
        if isinstance(value, origin) and isinstance(value, bool) == (origin is bool):
            return value
    raise ParameterError(f"Expected {name} of type {_in_words(annotation)}. Received: {value!r}")


def _items_of_type(name: str, values: Sequence[Any], annotations: tuple[Any, ...]) -> tuple[Any, ...]:
    if annotations[-1] is Ellipsis:
        annotations = annotations[:1] * len(values)
    if len(values) != len(annotations):
        raise ParameterError(f"Expected {name} of {len(annotations)} values. Received: {values!r}")
    return tuple(of_type(name, value, annotation) for value, annotation in zip(values, annotations, strict=True))


def _kinds(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if isinstance(annotation, UnionType) else (annotation,)


def _in_words(annotation: Any) -> str:
    """E.g. "int or null", null being JSON's None."""
    return " or ".join("null" if kind is NoneType else kind.__name__ for kind in _kinds(annotation))
