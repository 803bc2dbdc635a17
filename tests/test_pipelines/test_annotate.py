"""Label files of the demo film, looked at by the real detector; three players stand on its stage, left to right."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import cv2
import jams
import jsonschema
import numpy as np
import pandas as pd
import pytest
from pycocotools.coco import COCO

import av_sep
from av_sep.errors import ParameterError
from av_sep.instruments import URMP_13
from av_sep.media import ffmpeg_executable, probe, video_frames
from pipelines.annotate import AnnotationRunner
from pipelines.annotation.formats import SCHEMA_PATH
from pipelines.annotation.provenance import VideoSource, describe_making, find_kept
from pipelines.config import AnnotateConfig
from vision.overlay import instrument_color

DEMO = Path(__file__).parents[2] / "examples" / "demo"
ON_STAGE = ("violin", "cello", "trumpet")


@pytest.fixture(scope="module")
def annotated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    formats = ("json", "csv", "coco", "jams")
    return av_sep.annotate(
        DEMO / "demo.mp4", folder, frames_per_second=0.25, formats=formats, overlay=True, overlay_video=True
    )


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


def test_json_follows_its_schema(annotated):
    schema = json.loads(SCHEMA_PATH.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    content = json.loads(annotated.files["json"].read_text())
    validator.validate(content)
    for key in content:
        assert not validator.is_valid({name: value for name, value in content.items() if name != key}), key
    for wrong in ({"threshold": 1.5}, {"players": [{"number": 1}]}, {"more": 0}, {"detections": [{}]}):
        assert not validator.is_valid({**content, **wrong}), wrong


def test_every_field_is_documented():
    schema = json.loads(SCHEMA_PATH.read_text())
    text = (Path(__file__).parents[2] / "docs" / "annotation.md").read_text()
    objects = [schema, *schema["properties"].values(), *schema["$defs"].values()]
    names = {name for described in objects for name in described.get("properties", ())}
    assert "judged_times_seconds" in names and not [name for name in names if f"`{name}`" not in text]


def test_players_stand_left_to_right_and_own_their_boxes(annotated):
    content = json.loads(annotated.files["json"].read_text())
    players = json.loads((DEMO / "demo.json").read_text())["players"]
    known = {player["instrument"]: player["box_xyxy"] for player in players}
    assert [(p["number"], p["instrument"]) for p in content["players"]] == [*enumerate(ON_STAGE, start=1)]
    for player in content["players"]:
        assert overlap(player["box_xyxy"], known[player["instrument"]]) > 0.5
        assert (player["first_time_seconds"], player["last_time_seconds"], player["num_video_frames"]) == (0.0, 12.0, 4)
        own = [d for d in content["detections"] if d["player"] == player["number"]]
        assert len(own) == 4 and all(overlap(d["box_xyxy"], known[player["instrument"]]) > 0.5 for d in own)
    assert [p.number for p in annotated.players] == [1, 2, 3]


def test_csv_has_a_row_per_detection(annotated):
    table = pd.read_csv(annotated.files["csv"])
    assert len(table) == len(annotated.detections)
    assert list(table.columns[-13:]) == list(URMP_13.names)
    # The table says what the JSON file says, which has tenths of pixels.
    expected = [round(found.box_xyxy[0], 1) for found in annotated.detections]
    np.testing.assert_allclose(table["x1"], expected, atol=1e-6)
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


def test_coco_loads_in_its_own_library(annotated, capsys):
    coco = COCO(annotated.files["coco"])
    capsys.readouterr()
    (cello,) = coco.getCatIds(catNms=["cello"])
    boxes = coco.loadAnns(coco.getAnnIds(catIds=[cello], imgIds=coco.getImgIds()))
    seen = [d.box_xyxy for d in annotated.detections if d.instrument == "cello" and not d.whole_frame]
    np.testing.assert_allclose([box["bbox"][:2] for box in boxes], [box[:2] for box in seen], atol=0.06)
    assert {(image["width"], image["height"]) for image in coco.loadImgs(coco.getImgIds())} == {(960, 540)}


# jams' own way to use jsonschema, which is theirs to mend.
@pytest.mark.filterwarnings("ignore:Passing a schema to Validator.iter_errors:DeprecationWarning")
def test_jams_loads_in_its_own_library(annotated):
    loaded = jams.load(str(annotated.files["jams"]), strict=True)
    film, seen = loaded.search(namespace="tag_open")
    assert loaded.file_metadata.duration == 16.0
    assert [tag.value for tag in film.data] == list(ON_STAGE)
    confidences = [tag.confidence for tag in film.data]
    np.testing.assert_allclose(confidences, annotated.labels.label_vector[[0, 2, 9]], atol=1e-4)
    assert {(tag.value, tag.time, tag.duration) for tag in seen.data} == {(name, 0.0, 16.0) for name in ON_STAGE}


def test_overlay_video_shows_each_player_s_box_at_the_rate_of_the_pictures(annotated):
    info = probe(annotated.files["overlay_video"])
    assert (info.width, info.height, info.fps) == (960, 540, 0.25) and not info.has_audio
    drawn = list(video_frames(annotated.files["overlay_video"], frames_per_second=0.25))
    plain = list(video_frames(DEMO / "demo.mp4", frames_per_second=0.25))
    assert len(drawn) == len(plain) == 4
    for k, (frame, original) in enumerate(zip(drawn, plain)):
        boxed = [d for d in annotated.detections if d.time_seconds == 4 * k and not d.whole_frame]
        for detection in boxed:
            x1, y1, _, y2 = map(round, detection.box_xyxy)
            edge, before = (shown.picture[y1 + 9 : y2, x1].mean(axis=0) for shown in (frame, original))
            color = np.array(instrument_color(detection.instrument))
            # Half as many colour samples as pixels dull a thin line, but it is no more the picture's.
            assert np.abs(edge - color).mean() < 0.5 * np.abs(before - color).mean()


def test_overlay_video_is_what_browsers_play(annotated):
    command = [ffmpeg_executable(), "-hide_banner", "-i", annotated.files["overlay_video"]]
    told = subprocess.run(command, capture_output=True, text=True).stderr
    assert re.search(r"Video: h264 .*yuv420p", told)
    data = annotated.files["overlay_video"].read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_overlay_is_a_sheet_of_all_frames(annotated):
    assert annotated.files["overlay"].read_bytes().startswith(b"\x89PNG")
    sheet = cv2.cvtColor(cv2.imread(str(annotated.files["overlay"])), cv2.COLOR_BGR2RGB).astype(float)
    assert sheet.shape == (180, 4 * 320, 3)
    cells = np.split(sheet, 4, axis=1)
    # Without the boxes: means of three by three pixels.
    frames = list(video_frames(DEMO / "demo.mp4", frames_per_second=0.25))
    plain = [frame.picture.reshape(180, 3, 320, 3, 3).mean(axis=(1, 3)) for frame in frames]
    for k, cell in enumerate(cells):
        differences = [np.median(np.abs(cell - picture)) for picture in plain]
        assert int(np.argmin([np.abs(cell - picture).mean() for picture in plain])) == k and differences[k] < 0.5
        boxed = [d for d in annotated.detections if d.time_seconds == 4 * k and not d.whole_frame]
        assert len(boxed) == 3
        for detection in boxed:
            x1, y1, _, y2 = (round(edge / 3) for edge in detection.box_xyxy)
            edge, before = (shown[y1 + 9 : y2, x1 - 1 : x1 + 2].mean(axis=0) for shown in (cell, plain[k]))
            color = np.array(instrument_color(detection.instrument))
            nearest = np.abs(edge - color).mean(axis=1).min()
            assert nearest < 0.6 * np.abs(before - color).mean(axis=1).min()


def test_existing_labels_are_kept(annotated):
    before = annotated.files["json"].read_bytes()
    with pytest.raises(ParameterError, match="--overwrite"):
        av_sep.annotate(DEMO / "demo.mp4", annotated.files["json"].parent)
    assert annotated.files["json"].read_bytes() == before


def test_unknown_format(tmp_path):
    with pytest.raises(ParameterError, match="json, csv, coco, jams. Received: yaml"):
        av_sep.annotate(DEMO / "demo.mp4", tmp_path, formats=("yaml",))


@pytest.mark.parametrize("min_confidence", [-0.1, 1.01, float("nan")])
def test_confidences_lie_between_0_and_1(tmp_path, min_confidence):
    with pytest.raises(ParameterError, match=f"min_confidence in .0, 1.. Received: {min_confidence}"):
        av_sep.annotate(DEMO / "demo.mp4", tmp_path, min_confidence=min_confidence)


def labels_of(folder, *confidences, size=(322, 180), num_seconds=3, step=1.0):
    """A detector that sees a violin of each confidence, in a row, and looks at nothing."""
    boxes = [
        {"time_seconds": step * t, "box_xyxy": [60 * i, 20, 60 * i + 50, 120], "instrument": "violin", "confidence": c}
        for t in range(round(num_seconds / step))
        for i, c in enumerate(confidences)
    ]
    path = folder / "known.json"
    path.write_text(json.dumps({"detections": boxes, "picture_size": {"width": size[0], "height": size[1]}}))
    return f"labels:{path}"


@pytest.mark.parametrize(
    "settings, message",
    (
        ({"frames_per_second": 1e9}, "above 0 and at most 1000. Received: 1000000000.0"),
        ({"frames_per_second": float("inf")}, "above 0 and at most 1000. Received: inf"),
        ({"detector": "hub:"}, "What stands after 'hub:' is missing"),
        ({"detector": "labels:."}, r"Expected a label file \(JSON\), not a folder. Received: \."),
        ({"detector": "nosuch"}, "Unknown detector"),
    ),
)
def test_settings_are_told_before_any_output_is_looked_at(tmp_path, settings, message):
    (tmp_path / "demo.json").write_text("of somebody else")
    with pytest.raises(ParameterError, match=message):
        av_sep.annotate(DEMO / "demo.mp4", tmp_path, **settings)


def test_settings_may_be_numpy_s(film, tmp_path):
    detector = labels_of(tmp_path, 0.9)
    own = {"frames_per_second": 2.0, "threshold": 0.5, "min_confidence": 0.25, "scenes": False}
    plain = av_sep.annotate(film, tmp_path / "plain", detector=detector, **own)
    kinds = (np.float32, np.float16, np.float64, np.bool_)
    numpy_s = {name: kind(value) for kind, (name, value) in zip(kinds, own.items())}
    made = av_sep.annotate(film, tmp_path / "made", detector=detector, **numpy_s)
    assert {kind: path.read_bytes() for kind, path in made.files.items()} == {
        kind: path.read_bytes() for kind, path in plain.files.items()
    }


def test_a_joint_model_may_be_named_by_a_path(tmp_path):
    with pytest.raises(av_sep.MediaError, match=r"eyes\.keras, which does not exist"):
        av_sep.annotate(DEMO / "demo.mp4", tmp_path, detector=tmp_path / "eyes.keras")


def test_ears_add_what_no_picture_shows(tmp_path):
    known = tmp_path / "known.json"
    known.write_text(json.dumps({"instruments": ["violin", "trumpet"]}))
    stage = {"detector": f"labels:{known}", "frames_per_second": 0.2, "formats": ("json",)}
    eyes = av_sep.annotate(DEMO / "demo.mp4", tmp_path / "eyes", **stage)
    both = av_sep.annotate(DEMO / "demo.mp4", tmp_path / "both", labels="both", **stage)
    content = json.loads(both.files["json"].read_text())
    jsonschema.validate(content, json.loads(SCHEMA_PATH.read_text()))
    assert content["settings"]["labels"] == "both" and content["instruments"] == list(both.labels.instruments)
    # A cello plays: what eyes know for certain stays, what they deny ears can only raise.
    assert {"violin", "trumpet"} <= set(both.labels.instruments)
    assert [player.instrument for player in both.players] == [player.instrument for player in eyes.players]
    assert both.labels.threshold == 0.5 and not np.array_equal(both.labels.label_vector, eyes.labels.label_vector)


def test_unsure_boxes_are_left_out_of_files_and_change_no_label(film, tmp_path):
    detector = labels_of(tmp_path, 0.9, 0.3)
    every = av_sep.annotate(film, tmp_path / "all", detector=detector)
    sure = av_sep.annotate(film, tmp_path / "sure", detector=detector, min_confidence=0.5, overlay=True)
    assert [d.confidence for d in every.detections] == [0.9, 0.3] * 3
    assert [d.confidence for d in sure.detections] == [0.9] * 3
    assert sure.players == every.players and sure.labels.num_players == every.labels.num_players
    np.testing.assert_array_equal(sure.labels.label_vector, every.labels.label_vector)
    assert len(pd.read_csv(sure.files["csv"])) == 3
    content = json.loads(sure.files["coco"].read_text())
    assert len(content["annotations"]) == 3 and len(content["images"]) == 3


def test_instants_that_show_nothing_are_images_without_boxes(film, tmp_path):
    detector = labels_of(tmp_path, 0.9, num_seconds=1)
    content = json.loads(av_sep.annotate(film, tmp_path, detector=detector).files["coco"].read_text())
    assert [image["time_seconds"] for image in content["images"]] == [0, 1, 2]
    assert [box["image_id"] for box in content["annotations"]] == [1]


class TestGoingOn:
    """A second run over what a first one left."""

    @pytest.fixture
    def runner(self, tmp_path, film):
        def run(**settings):
            settings = {"detector": self.detector, "formats": ("json", "csv"), **settings}
            return av_sep.annotate(self.video, tmp_path / "out", **settings)

        self.detector, self.video = labels_of(tmp_path, 0.9), tmp_path / "film.mp4"
        shutil.copy(film, self.video)
        return run

    def test_complete_files_are_kept_and_say_the_same(self, runner, monkeypatch):
        first = runner()
        before = {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in first.files.values()}
        monkeypatch.setattr("pipelines.annotate.Looker.look", None)
        again = runner()
        assert again.is_kept and not first.is_kept
        assert {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in again.files.values()} == before
        assert again.detections == first.detections and again.players == first.players
        assert again.labels.instruments == first.labels.instruments == ("violin",)
        np.testing.assert_allclose(again.labels.label_vector, first.labels.label_vector, atol=1e-4)

    def test_a_missing_file_is_made(self, runner):
        content = runner().files["csv"].read_bytes()
        runner().files["csv"].unlink()
        again = runner()
        assert again.is_kept and again.remade == ("csv",) and again.files["csv"].read_bytes() == content
        assert runner(formats=("json", "csv", "coco")).remade == ("coco",) and runner().remade == ()
        assert not runner(overlay=True).is_kept

    @pytest.mark.parametrize(
        "change, words",
        [
            ({"frames_per_second": 2.0}, "frames_per_second 1.0, not 2.0"),
            ({"threshold": 0.7}, "threshold 0.4, not 0.7"),
            ({"scenes": True}, "scenes false, not true"),
            ({"labels": "both"}, 'labels "video", not "both"'),
            ({"min_confidence": 0.2}, "min_confidence 0.0, not 0.2"),
            ({"formats": ("csv",)}, "no JSON file of this run says how it was made"),
        ],
    )
    def test_other_settings_replace_nothing(self, runner, change, words):
        files = runner().files
        before = {path: path.read_bytes() for path in files.values()}
        with pytest.raises(ParameterError, match=f"{words}.*--overwrite") as raised:
            runner(**change)
        assert "\n" not in str(raised.value)
        assert {path: path.read_bytes() for path in files.values()} == before
        assert not runner(**change, overwrite=True).is_kept

    def test_a_file_out_of_reach_is_one_that_is_missing(self, runner):
        files, config = runner().files, AnnotateConfig(detector=self.detector)
        made = describe_making(config, 0.4, VideoSource.of_file(self.video))
        assert find_kept(files, made)["instruments"] == ["violin"]
        assert find_kept({**files, "overlay": Path("x" * 300)}, made) is None

    def test_other_files_follow_a_corrected_json_file_and_nobody_looks_again(self, runner, monkeypatch):
        formats = ("json", "csv", "coco", "jams")
        files = runner(formats=formats).files
        content = json.loads(files["json"].read_text())
        for found in (*content["players"], *content["detections"]):
            found["instrument"] = "tuba"
        content["instruments"] = ["tuba"]
        files["json"].write_text(json.dumps(content))
        before = files["json"].read_bytes()
        monkeypatch.setattr("pipelines.annotate.Looker.look", None)
        again = runner(formats=formats)
        assert again.is_kept and again.remade == ("csv", "coco", "jams") and files["json"].read_bytes() == before
        assert set(pd.read_csv(files["csv"])["instrument"]) == {"tuba"}
        tuba = 1 + URMP_13.index("tuba")
        assert {box["category_id"] for box in json.loads(files["coco"].read_text())["annotations"]} == {tuba}
        tags = [tag["value"] for part in json.loads(files["jams"].read_text())["annotations"] for tag in part["data"]]
        assert tags == ["tuba", "tuba"]
        # What is only listed was listed by a person, who knows.
        assert again.labels.label_vector[URMP_13.index("tuba")] == 1
        assert runner(formats=formats).remade == ()

    def test_boxes_drawn_where_nobody_had_looked_get_an_image(self, runner):
        files = runner(formats=("json", "coco")).files
        content = json.loads(files["json"].read_text())
        content["detections"].append({**content["detections"][-1], "time_seconds": 2.5})
        files["json"].write_text(json.dumps(content))
        runner(formats=("json", "coco"))
        coco = json.loads(files["coco"].read_text())
        times = {image["id"]: image["time_seconds"] for image in coco["images"]}
        assert [times[box["image_id"]] for box in coco["annotations"]] == [0, 1, 2, 2.5]

    @pytest.mark.parametrize("mark", [{"checked": True}, {"origin": "corrected"}])
    def test_what_a_person_corrected_is_set_aside_where_all_is_made_anew(self, runner, mark):
        files = runner().files
        corrected = []
        for name in ("film.checked.json", "film.checked-2.json"):
            content = {**json.loads(files["json"].read_text()), "instruments": ["tuba"], **mark}
            corrected.append(json.dumps(content))
            files["json"].write_text(corrected[-1])
            made = runner(overwrite=True)
            assert made.files["checked"].name == name
            assert made.labels.instruments == ("violin",)
        assert [path.read_text() for path in sorted(files["json"].parent.glob("*.checked*"), reverse=True)] == corrected
        assert json.loads(files["json"].read_text())["checked"] is False
        assert "checked" not in runner(overwrite=True).files

    def test_a_video_or_a_detector_that_changed_is_noticed(self, runner):
        runner()
        os.utime(self.video, (1, 1))
        with pytest.raises(ParameterError, match="another video"):
            runner()
        runner(overwrite=True)
        known = Path(self.detector.removeprefix("labels:"))
        known.write_text(known.read_text() + " ")
        with pytest.raises(ParameterError, match="detector_files"):
            runner()

    def test_files_that_av_sep_did_not_make_are_not_touched(self, runner, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "film.json").write_text('{"schema_version": 1}')
        with pytest.raises(ParameterError, match="schema_version 1, not 2"):
            runner()
        (tmp_path / "out" / "film.json").write_text("[]")
        with pytest.raises(ParameterError, match="no JSON file"):
            runner()

    @pytest.mark.parametrize("reason", [KeyboardInterrupt, OSError(28, "No space left on device")])
    def test_an_interrupted_run_leaves_no_file(self, runner, monkeypatch, tmp_path, reason):
        def interrupted(path, annotation, progress, **options):
            path.write_bytes(b"half")
            raise reason

        monkeypatch.setattr("pipelines.annotate.write_overlay_video", interrupted)
        with pytest.raises((KeyboardInterrupt, av_sep.MediaError)):
            runner(overlay_video=True)
        assert list((tmp_path / "out").iterdir()) == []

    def test_overwriting_that_fails_leaves_what_was_there(self, runner, monkeypatch):
        before = {path: path.read_bytes() for path in runner().files.values()}
        monkeypatch.setattr("pipelines.annotate._sheet", lambda *anything: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            runner(overlay=True, overwrite=True, threshold=0.8)
        assert {path: path.read_bytes() for path in before} == before

    def test_a_missing_video_is_said_to_be_missing(self, runner):
        runner()
        self.video.unlink()
        with pytest.raises(av_sep.MediaError, match="no such file"):
            runner()


@pytest.mark.parametrize("settings", [{"frames_per_second": 0}, {"threshold": 2}, {"formats": ()}])
def test_settings_are_checked_before_any_video(settings):
    with pytest.raises(ParameterError, match="Expected"):
        AnnotationRunner(AnnotateConfig(**settings))
