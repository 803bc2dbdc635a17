"""Label files of an earlier run, back as values.

A person may have corrected them by hand in between. Instruments may then be in any spelling, as in
`vision.label_file_detector`; what cannot be understood is an error that names the file, and costs no other video
anything.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from av_sep.errors import ParameterError, shown
from av_sep.instruments import Taxonomy, find_taxonomy
from av_sep.types import Detection, InstrumentLabels, SeenPlayer
from pipelines.annotation.formats import SCHEMA_PATH
from vision.instrument_classifier import OTHER
from vision.label_file_detector import CONFIDENCE_TOLERANCE


@dataclass(frozen=True, eq=False)
class EarlierLabels:
    """What a label file holds: labels of the film, its detections rounded as they were written, its players."""

    labels: InstrumentLabels
    detections: tuple[Detection, ...]
    players: tuple[SeenPlayer, ...]


def labels_of_file(content: Mapping[str, Any], path: Path) -> EarlierLabels:
    """The values of a JSON file of this version.

    Args:
        content: of the file, as `spelled_out` gives it.
        path: the file, for errors.

    Raises:
        ParameterError: for an entry that lacks something or is of another form.
    """
    with _naming_the_file(path):
        return EarlierLabels(
            _labels(content),
            tuple(_detection(found, tuple(content["label_vector"])) for found in content["detections"]),
            tuple(_player(found, tuple(content["label_vector"])) for found in content["players"]),
        )


def spelled_out(content: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The content of a JSON file of this version with instruments by their long names, each listed once.

    Args:
        content: of the file.
        path: the file, for errors.

    Raises:
        ParameterError: where something is missing, of another form, or no instrument of the file's `label_vector`.
    """
    if missing := [name for name in _required_fields() if name not in content]:
        raise _unreadable(path, f"without {', '.join(missing)}")
    with _naming_the_file(path):
        taxonomy = find_taxonomy(tuple(content["label_vector"]))
        listed = [taxonomy.parse(name) for name in content["instruments"]]
        num_players = {taxonomy.parse(name): int(count) for name, count in content["num_players"].items()}
        # By hand, two violins may be listed as such.
        counts = {name: listed.count(name) for name in listed}
        num_players.update({name: count for name, count in counts.items() if count > num_players.get(name, 1)})
        vector = {taxonomy.parse(name): float(value) for name, value in content["label_vector"].items()}
        lowest = float(content["threshold"]) - CONFIDENCE_TOLERANCE
        # Listed by hand, as `vision.label_file_detector` takes it.
        vector.update({name: 1.0 for name in listed if vector[name] < lowest or not vector[name]})
        return {
            **content,
            "label_vector": vector,
            "instruments": [name for name in taxonomy.names if name in listed],
            "num_players": num_players,
            "players": [_with_long_names(found, taxonomy) for found in content["players"]],
            "detections": [_with_long_names(found, taxonomy) for found in content["detections"]],
        }


@lru_cache(maxsize=1)
def _required_fields() -> tuple[str, ...]:
    return tuple(json.loads(SCHEMA_PATH.read_text())["required"])


@contextmanager
def _naming_the_file(path: Path) -> Iterator[None]:
    try:
        yield
    except KeyError as error:
        raise _unreadable(path, f"with an entry without {error.args[0]}") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise _unreadable(path, " ".join(str(error).split())) from error


def _unreadable(path: Path, reason: str) -> ParameterError:
    return ParameterError(
        "Expected a label file as annotate writes it, corrected or not; mend it, or add --overwrite to replace it."
        f" Received: {shown(path)} ({reason})"
    )


def _with_long_names(found: Mapping[str, Any], taxonomy: Taxonomy) -> dict[str, Any]:
    """A player or detection, which may be of none of the taxonomy's instruments."""

    def named(name: str) -> str:
        return name if name == OTHER or name in taxonomy.names else taxonomy.parse(name)

    given = {"alternatives": [named(name) for name in found["alternatives"]]} if "alternatives" in found else {}
    confidences = {named(name): float(value) for name, value in found["label_confidences"].items()}
    return {**found, **given, "instrument": named(found["instrument"]), "label_confidences": confidences}


def _labels(content: Mapping[str, Any]) -> InstrumentLabels:
    vector = content["label_vector"]
    return InstrumentLabels(
        taxonomy=tuple(vector),
        label_vector=np.array(list(vector.values()), np.float32),
        instruments=tuple(content["instruments"]),
        num_players=content["num_players"],
        threshold=float(content["threshold"]),
        origin="detected",
    )


def _player(found: Mapping[str, Any], taxonomy: tuple[str, ...]) -> SeenPlayer:
    return SeenPlayer(
        **{
            **found,
            "label_confidences": _vector(found["label_confidences"], taxonomy),
            "box_xyxy": tuple(found["box_xyxy"]),
            "alternatives": tuple(found["alternatives"]),
        }
    )


def _detection(found: Mapping[str, Any], taxonomy: tuple[str, ...]) -> Detection:
    return Detection(
        time_seconds=found["time_seconds"],
        box_xyxy=tuple(found["box_xyxy"]),
        instrument=found["instrument"],
        confidence=found["confidence"],
        label_confidences=_vector(found["label_confidences"], taxonomy),
        player_confidence=found["player_confidence"],
        whole_frame=found["whole_frame"],
    )


def _vector(confidences: Mapping[str, float], taxonomy: tuple[str, ...]) -> tuple[float, ...]:
    return tuple(float(confidences.get(name, 0.0)) for name in taxonomy)
