"""Label files of the demo film, looked at by the real detector; three players stand on its stage, left to right."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import av_sep
from av_sep.errors import ParameterError
from av_sep.instruments import URMP_13

DEMO = Path(__file__).parents[2] / "examples" / "demo"
ON_STAGE = ("violin", "cello", "trumpet")


@pytest.fixture(scope="module")
def annotated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    return av_sep.annotate(DEMO / "demo.mp4", folder, frames_per_second=0.25, overlay=True)


def test_the_players_on_the_stage_are_seen(annotated):
    assert annotated.labels.instruments == ON_STAGE
    assert dict(annotated.labels.num_players) == dict.fromkeys(ON_STAGE, 1)


def test_boxes_lie_where_the_players_stand(annotated):
    players = json.loads((DEMO / "demo.json").read_text())["players"]
    known = {player["instrument"]: player["box_xyxy"] for player in players}
    first = [d for d in annotated.detections if d.time_seconds == 0 and not d.whole_frame]
    assert [d.instrument for d in first] == list(ON_STAGE)
    for detection in first:
        assert overlap(detection.box_xyxy, known[detection.instrument]) > 0.5


def overlap(a, b):
    """Intersection over union of two boxes (x1, y1, x2, y2)."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(width, 0) * max(height, 0)
    return common / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common)


def test_json_holds_the_whole_taxonomy_and_every_detection(annotated):
    content = json.loads(annotated.files["json"].read_text())
    assert tuple(content["label_vector"]) == URMP_13.names
    np.testing.assert_allclose(list(content["label_vector"].values()), annotated.labels.label_vector, atol=1e-4)
    assert tuple(content["instruments"]) == ON_STAGE
    assert content["picture_size"] == {"width": 960, "height": 540}
    assert content["num_video_frames"] == 4
    assert len(content["detections"]) == len(annotated.detections)
    assert {d["time_seconds"] for d in content["detections"]} == {0.0, 4.0, 8.0, 12.0}


def test_csv_has_a_row_per_detection(annotated):
    table = pd.read_csv(annotated.files["csv"])
    assert len(table) == len(annotated.detections)
    assert list(table.columns[-13:]) == list(URMP_13.names)
    np.testing.assert_allclose(table["x1"], [d.box_xyxy[0] for d in annotated.detections], atol=1e-3)
    assert (table.loc[~table["whole_frame"], "instrument"].value_counts()[list(ON_STAGE)] == 4).all()


def test_coco_boxes_are_left_top_width_height(annotated):
    content = json.loads(annotated.files["coco"].read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    assert tuple(names.values()) == URMP_13.names and min(names) == 1
    images = {image["id"]: image for image in content["images"]}
    players = [d for d in annotated.detections if not d.whole_frame]
    assert len(images) == 4 and len(content["annotations"]) == len(players)
    for box, player in zip(content["annotations"], players, strict=True):
        x1, y1, x2, y2 = player.box_xyxy
        np.testing.assert_allclose(box["bbox"], (x1, y1, x2 - x1, y2 - y1), atol=0.11)
        assert names[box["category_id"]] == player.instrument
        assert images[box["image_id"]]["time_seconds"] == player.time_seconds


def test_overlay_is_a_sheet_of_all_frames(annotated):
    data = annotated.files["overlay"].read_bytes()
    assert data.startswith(b"\x89PNG")


def test_existing_labels_are_kept(annotated):
    before = annotated.files["json"].read_bytes()
    with pytest.raises(ParameterError, match="--overwrite"):
        av_sep.annotate(DEMO / "demo.mp4", annotated.files["json"].parent)
    assert annotated.files["json"].read_bytes() == before


def test_unknown_format(tmp_path):
    with pytest.raises(ParameterError, match="json, csv, coco.*jams"):
        av_sep.annotate(DEMO / "demo.mp4", tmp_path, formats=("jams",))
