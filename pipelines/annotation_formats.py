"""The files that `annotate` writes: JSON (everything), CSV (one row per detection), COCO (boxes)."""

import json
from pathlib import Path

import pandas as pd

from av_sep import __version__
from av_sep.instruments import Taxonomy
from av_sep.media import replace_when_complete
from av_sep.types import Detection, MediaInfo
from pipelines.look import Sighting
from pipelines.manifest import describe_labels

FORMATS = ("json", "csv", "coco")
SUFFIXES = {"json": ".json", "csv": ".csv", "coco": ".coco.json", "overlay": ".overlay.png"}
SCHEMA_VERSION = 1


def write_json(path: Path, info: MediaInfo, sighting: Sighting, detector: str, location: str) -> None:
    """Labels over the whole taxonomy and every detection with its time, box and confidence."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "av_sep_version": __version__,
        "input": location,
        "duration_seconds": round(info.duration_seconds, 3),
        "picture_size": {"width": sighting.size[0], "height": sighting.size[1]},
        "num_video_frames": sighting.num_video_frames,
        **describe_labels(sighting.labels, detector),
        "detections": [_describe(d, sighting.labels.taxonomy) for d in sighting.detections],
    }
    _write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def write_csv(path: Path, sighting: Sighting) -> None:
    """One row per detection: time, box, instrument, confidence, then one column per instrument of the taxonomy."""
    taxonomy = sighting.labels.taxonomy
    columns = ["time_seconds", "x1", "y1", "x2", "y2", "instrument", "confidence", "player_confidence", "whole_frame"]
    rows = [
        (
            *(d.time_seconds, *d.box_xyxy, d.instrument, d.confidence, d.player_confidence, d.whole_frame),
            *d.label_confidences,
        )
        for d in sighting.detections
    ]
    _write_text(path, pd.DataFrame(rows, columns=[*columns, *taxonomy]).round(4).to_csv(index=False))


def write_coco(path: Path, info: MediaInfo, sighting: Sighting, taxonomy: Taxonomy) -> None:
    """COCO object detection: an image per looked-at instant, category ids from 1 in the taxonomy's order.

    Players of other instruments and whole-frame judgements have no box of an instrument and are left out.
    """
    times = sorted({d.time_seconds for d in sighting.detections})
    image_ids = {time: i for i, time in enumerate(times, start=1)}
    boxed = [d for d in sighting.detections if not d.whole_frame and d.instrument in taxonomy.names]
    width, height = sighting.size
    content = {
        "info": {"description": f"Instruments in {info.path.name}", "version": __version__},
        "images": [
            {
                "id": i,
                "file_name": f"{info.path.stem}_{time:010.3f}.jpg",
                "width": width,
                "height": height,
                "time_seconds": time,
            }
            for time, i in image_ids.items()
        ],
        "categories": [
            {"id": i, "name": instrument.name, "supercategory": instrument.family}
            for i, instrument in enumerate(taxonomy.instruments, start=1)
        ],
        "annotations": [_coco_box(i, d, image_ids, taxonomy) for i, d in enumerate(boxed, start=1)],
    }
    _write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def _describe(detection: Detection, taxonomy: tuple[str, ...]) -> dict:
    return {
        "time_seconds": round(detection.time_seconds, 3),
        "box_xyxy": [round(value, 1) for value in detection.box_xyxy],
        "instrument": detection.instrument,
        "confidence": round(detection.confidence, 4),
        "player_confidence": round(detection.player_confidence, 4),
        "whole_frame": detection.whole_frame,
        "label_confidences": {n: round(c, 4) for n, c in zip(taxonomy, detection.label_confidences)},
    }


def _coco_box(number: int, detection: Detection, image_ids: dict[float, int], taxonomy: Taxonomy) -> dict:
    x1, y1, x2, y2 = detection.box_xyxy
    return {
        "id": number,
        "image_id": image_ids[detection.time_seconds],
        "category_id": taxonomy.index(detection.instrument) + 1,
        "bbox": [round(x1, 1), round(y1, 1), round(x2 - x1, 1), round(y2 - y1, 1)],
        "area": round((x2 - x1) * (y2 - y1), 1),
        "iscrowd": 0,
        "score": round(detection.confidence, 4),
    }


def _write_text(path: Path, text: str) -> None:
    with replace_when_complete(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")
