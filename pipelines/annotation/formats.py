"""The files that `annotate` writes: JSON (everything), CSV (a row per detection), COCO (boxes), JAMS (who plays when).

All but JAMS, which is small, are written line by line, so that a film of hours costs no memory for their text.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from av_sep import __version__
from av_sep.types import Detection, SeenPlayer
from pipelines.annotation.content import Annotation
from pipelines.manifest import describe_labels

FORMATS = ("json", "csv", "coco", "jams")
COMPANIONS = FORMATS[1:]  # made of what the JSON file says
SUFFIXES = {
    "json": ".json",
    "csv": ".csv",
    "coco": ".coco.json",
    "jams": ".jams",
    "overlay": ".overlay.png",
    "overlay_video": ".overlay.mp4",
    "review": ".review.json",
}
SCHEMA_PATH = Path(__file__).with_name("annotation.schema.json")
JAMS_VERSION = "0.3.4"  # of the schema that the file follows
_CSV_COLUMNS = (
    *("time_seconds", "x1", "y1", "x2", "y2", "instrument", "confidence", "player_confidence"),
    *("whole_frame", "player"),
)


def write_json(path: Path, annotation: Annotation) -> None:
    """Labels over the whole taxonomy, the players, and every detection with its time, box and confidences."""
    sighting = annotation.sighting
    made = dict(annotation.made)
    head = {
        **{key: made.pop(key) for key in ("schema_version", "av_sep_version")},
        "input": annotation.location,
        **made,
        "duration_seconds": round(annotation.info.duration_seconds, 3),
        "picture_size": {"width": sighting.size[0], "height": sighting.size[1]},
        "num_video_frames": sighting.num_video_frames,
        **describe_labels(sighting.labels, annotation.detector),
        "checked": False,
    }
    taxonomy = sighting.labels.taxonomy
    lists = {
        "players": (_describe_player(player, taxonomy) for player in sighting.players),
        "judged_times_seconds": (round(time, 3) for time in sighting.judged_times_seconds),
        "detections": (_describe(d, number, taxonomy) for d, number in annotation.labelled_detections),
    }
    _write_object(path, head, lists)


def write_csv(path: Path, annotation: Annotation) -> None:
    """One row per detection: time, box, instrument, confidence, then one column per instrument of the taxonomy."""
    with _open_text(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*_CSV_COLUMNS, *annotation.sighting.labels.taxonomy])
        for d, number in annotation.labelled_detections:
            numbers = (round(value, 4) for value in (d.confidence, d.player_confidence))
            box = (round(value, 4) for value in (d.time_seconds, *d.box_xyxy))
            row = [*box, d.instrument, *numbers, d.whole_frame, "" if number is None else number]
            writer.writerow([*row, *(round(value, 4) for value in d.label_confidences)])


def write_coco(path: Path, annotation: Annotation) -> None:
    """COCO object detection: an image per instant that was judged, category ids from 1 in the taxonomy's order.

    Players of other instruments and whole-frame judgements have no box of an instrument and are left out. An image
    without annotations shows no player that is sure enough.
    """
    taxonomy, info = annotation.taxonomy, annotation.info
    image_ids = {time: i for i, time in enumerate(annotation.sighting.judged_times_seconds, start=1)}
    boxed = (
        (d, number)
        for d, number in annotation.labelled_detections
        if not d.whole_frame and d.instrument in taxonomy.names
    )
    width, height = annotation.sighting.size
    lists = {
        "images": (
            {
                "id": i,
                "file_name": f"{info.path.stem}_{time:010.3f}.jpg",
                "width": width,
                "height": height,
                "time_seconds": round(time, 3),
            }
            for time, i in image_ids.items()
        ),
        "categories": (
            {"id": i, "name": instrument.name, "supercategory": instrument.family}
            for i, instrument in enumerate(taxonomy.instruments, start=1)
        ),
        "annotations": (
            _coco_box(i, d, number, image_ids[d.time_seconds], taxonomy.index(d.instrument) + 1)
            for i, (d, number) in enumerate(boxed, start=1)
        ),
    }
    head = {"info": {"description": f"Instruments in {info.path.name}", "version": __version__}}
    _write_object(path, head, lists)


def write_jams(path: Path, annotation: Annotation) -> None:
    """JAMS, namespace `tag_open`: one annotation of the film's instruments, one of who is seen from when to when.

    E. J. Humphrey et al., "JAMS: a JSON annotated music specification for reproducible MIR research", ISMIR 2014.
    """
    labels, duration = annotation.sighting.labels, round(annotation.info.duration_seconds, 3)
    confidences = dict(zip(labels.taxonomy, labels.label_vector))
    film = [_tag(0.0, duration, name, confidences[name]) for name in labels.instruments]
    seen = [
        _tag(p.first_time_seconds, _end(p, annotation) - p.first_time_seconds, p.instrument, p.confidence)
        for p in sorted(annotation.sighting.players, key=lambda player: player.first_time_seconds)
    ]
    content = {
        "annotations": [
            _tag_annotation("The instruments of the film.", annotation.detector, film, duration),
            _tag_annotation("One tag for each player, while he is seen.", annotation.detector, seen, duration),
        ],
        "file_metadata": {
            "title": annotation.info.path.stem,
            "artist": "",
            "release": "",
            "duration": duration,
            "identifiers": {},
            "jams_version": JAMS_VERSION,
        },
        "sandbox": {"input": annotation.location},
    }
    with _open_text(path) as file:
        file.write(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


WRITERS = {"json": write_json, "csv": write_csv, "coco": write_coco, "jams": write_jams}


def _open_text(path: Path) -> TextIO:
    # A file's name need not be valid UTF-8.
    return path.open("w", encoding="utf-8", errors="replace", newline="")


def _write_object(path: Path, head: Mapping[str, Any], lists: Mapping[str, Iterable[Any]]) -> None:
    """One JSON object: small values, then lists of any length with an item on each line."""
    with _open_text(path) as file:
        file.write(json.dumps(head, indent=1, ensure_ascii=False).removesuffix("\n}"))
        for key, items in lists.items():
            file.write(f",\n {json.dumps(key)}: [")
            file.writelines(_lines(items))
            file.write("\n ]")
        file.write("\n}\n")


def _lines(items: Iterable[Any]) -> Iterator[str]:
    for i, item in enumerate(items):
        yield ("," if i else "") + "\n  " + json.dumps(item, ensure_ascii=False)


def _describe(detection: Detection, number: int | None, taxonomy: tuple[str, ...]) -> dict:
    return {
        "time_seconds": round(detection.time_seconds, 3),
        "box_xyxy": [round(value, 1) for value in detection.box_xyxy],
        "instrument": detection.instrument,
        "confidence": round(detection.confidence, 4),
        "player_confidence": round(detection.player_confidence, 4),
        "whole_frame": detection.whole_frame,
        "player": number,
        "label_confidences": {n: round(c, 4) for n, c in zip(taxonomy, detection.label_confidences)},
    }


def _describe_player(player: SeenPlayer, taxonomy: tuple[str, ...]) -> dict:
    return {
        "number": player.number,
        "instrument": player.instrument,
        "confidence": round(player.confidence, 4),
        "alternatives": list(player.alternatives),
        "joint_confidence": round(player.joint_confidence, 4),
        "box_xyxy": [round(value, 1) for value in player.box_xyxy],
        "first_time_seconds": round(player.first_time_seconds, 3),
        "last_time_seconds": round(player.last_time_seconds, 3),
        "num_video_frames": player.num_video_frames,
        "whole_frame": player.whole_frame,
        "label_confidences": {n: round(c, 4) for n, c in zip(taxonomy, player.label_confidences)},
    }


def _coco_box(identity: int, detection: Detection, number: int | None, image_id: int, category_id: int) -> dict:
    x1, y1, x2, y2 = detection.box_xyxy
    return {
        "id": identity,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": [round(x1, 1), round(y1, 1), round(x2 - x1, 1), round(y2 - y1, 1)],
        "area": round((x2 - x1) * (y2 - y1), 1),
        "iscrowd": 0,
        "score": round(detection.confidence, 4),
        "player": number,
    }


def _end(player: SeenPlayer, annotation: Annotation) -> float:
    """When a player is seen no more: the next frame would have been the first without him."""
    end = player.last_time_seconds + 1.0 / annotation.frames_per_second
    duration = annotation.info.duration_seconds
    return min(end, duration) if duration > player.last_time_seconds else end


def _tag(time: float, duration: float, value: str, confidence: float) -> dict:
    return {
        "time": round(time, 3),
        "duration": round(duration, 3),
        "value": value,
        "confidence": round(float(confidence), 4),
    }


def _tag_annotation(rules: str, detector: str, tags: list[dict], duration: float) -> dict:
    return {
        "annotation_metadata": {
            "curator": {"name": "", "email": ""},
            "annotator": {},
            "version": __version__,
            "corpus": "",
            "annotation_tools": f"av-sep annotate, detector {detector}",
            "annotation_rules": rules,
            "validation": "",
            "data_source": "program",
        },
        "namespace": "tag_open",
        "data": tags,
        "sandbox": {},
        "time": 0,
        "duration": duration,
    }
