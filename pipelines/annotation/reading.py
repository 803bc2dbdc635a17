"""Label files of an earlier run, back as values."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from av_sep.types import Detection, InstrumentLabels, SeenPlayer


def labels_from_json(content: Mapping[str, Any]) -> InstrumentLabels:
    """The labels that a JSON file of this version holds."""
    vector = content["label_vector"]
    return InstrumentLabels(
        taxonomy=tuple(vector),
        label_vector=np.array(list(vector.values()), np.float32),
        instruments=tuple(content["instruments"]),
        num_players=dict(content["num_players"]),
        threshold=content["threshold"],
        origin="detected",
    )


def players_from_json(content: Mapping[str, Any]) -> tuple[SeenPlayer, ...]:
    """Its players."""
    taxonomy = tuple(content["label_vector"])
    return tuple(
        SeenPlayer(
            **{
                **player,
                "label_confidences": _vector(player["label_confidences"], taxonomy),
                "box_xyxy": tuple(player["box_xyxy"]),
                "alternatives": tuple(player["alternatives"]),
            }
        )
        for player in content["players"]
    )


def detections_from_json(content: Mapping[str, Any]) -> tuple[Detection, ...]:
    """Its detections, rounded as they were written."""
    taxonomy = tuple(content["label_vector"])
    return tuple(
        Detection(
            time_seconds=found["time_seconds"],
            box_xyxy=tuple(found["box_xyxy"]),
            instrument=found["instrument"],
            confidence=found["confidence"],
            label_confidences=_vector(found["label_confidences"], taxonomy),
            player_confidence=found["player_confidence"],
            whole_frame=found["whole_frame"],
        )
        for found in content["detections"]
    )


def _vector(confidences: Mapping[str, float], taxonomy: tuple[str, ...]) -> tuple[float, ...]:
    return tuple(float(confidences.get(name, 0.0)) for name in taxonomy)
