"""Files of labels that steer a separation: one for each video, of another film, of sound alone."""

import json
import logging
import shutil

import pytest
from click.testing import CliRunner

import av_sep
from av_sep.errors import MediaError, ParameterError
from pipelines.cli import main


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def write_labels(path, *instruments, **content):
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"instruments": instruments, **content}))
    return path


def separate(input_path, output, labels, **settings):
    return av_sep.separate(input_path, output, model="wiener", detector=f"labels:{labels}", **settings)


def remarks_of(result):
    return json.loads(result.manifest.read_text())["remarks"]


@pytest.fixture
def videos(film, tmp_path):
    (tmp_path / "videos").mkdir()
    for name in ("one.mp4", "two.mp4"):
        shutil.copy(film, tmp_path / "videos" / name)
    return tmp_path / "videos"


def test_a_folder_of_labels_steers_a_folder_of_videos(videos, tmp_path):
    labels = tmp_path / "labels"
    write_labels(labels / "one.json", "violin", "tuba")
    write_labels(labels / "two.json", "flute")
    command = ("separate", videos, "-o", tmp_path / "out", "--model", "wiener", "--detector", f"labels:{labels}")
    done = invoke(*command)
    assert done.exit_code == 0, done.output
    stems = {folder.name: {path.stem for path in folder.glob("*.wav")} for folder in (tmp_path / "out").iterdir()}
    assert stems == {"one": {"violin", "tuba"}, "two": {"flute"}}


def test_a_video_without_a_file_in_the_folder_is_one_line_and_costs_the_others_nothing(videos, tmp_path):
    labels = write_labels(tmp_path / "labels" / "one.json", "violin").parent
    command = ("separate", videos, "-o", tmp_path / "out", "--model", "wiener", "--detector", f"labels:{labels}")
    done = invoke(*command)
    assert done.exit_code == 2 and (tmp_path / "out" / "one" / "violin.wav").is_file()
    told, line = done.stderr.splitlines()
    assert told == "1 of 2 inputs failed:" and line.endswith("two.mp4, without two.json") and str(labels) in line


def test_labels_that_annotate_wrote_are_taken_as_they_are(videos, tmp_path, caplog):
    known = write_labels(tmp_path / "known.json", "oboe", "horn")
    made = invoke("annotate", videos, "-o", tmp_path / "labels", "--formats", "json", "--detector", f"labels:{known}")
    assert made.exit_code == 0
    result = separate(videos / "one.mp4", tmp_path / "out", tmp_path / "labels")
    assert list(result.stems) == ["oboe", "horn"] and remarks_of(result) == [] and not caplog.records


@pytest.mark.parametrize(
    "content, words",
    [
        ({"input": "videos/other.mp4", "input_file": {"num_bytes": 17}}, "of another film, other.mp4"),
        ({"input": "gs://bucket/other.mp4", "input_file": {"num_bytes": None}}, "of another film, other.mp4"),
        ({"input": "film.mp4", "input_file": {"num_bytes": 17}}, "of another film of this name, of 17 bytes"),
        ({"input": "film.mp4", "input_file": {"num_bytes": None}}, None),
        ({"input": "film.mp4"}, None),
        ({"input": 3}, None),
        ({"input": "old name.mp4", "input_file": {"num_bytes": "its own"}}, None),
        ({}, None),
    ],
)
def test_labels_of_another_film_are_remarked_on_and_used(film, tmp_path, caplog, content, words):
    if content.get("input_file", {}).get("num_bytes") == "its own":
        content["input_file"]["num_bytes"] = film.stat().st_size
    labels = write_labels(tmp_path / "known.json", "violin", **content)
    with caplog.at_level(logging.WARNING):
        result = separate(film, tmp_path / "out", labels)
    assert list(result.stems) == ["violin"]
    if words is None:
        assert remarks_of(result) == [] and not caplog.records
    else:
        (remark,), (record,) = remarks_of(result), caplog.records
        assert remark.endswith(words) and "known.json" in remark
        assert record.getMessage() == f"{film}: {remark}"
        assert f"In this recording {remark}." in result.report.read_text()


@pytest.mark.parametrize("instruments", [{"instruments": "vn"}, {"all_instruments": True}])
def test_who_looks_makes_no_difference_where_somebody_says_what_plays(duet, tmp_path, caplog, instruments):
    with caplog.at_level(logging.WARNING):
        av_sep.separate(duet, tmp_path, model="wiener", dry_run=True, **instruments)
        assert not caplog.records
        looking = {"detector": "embedded", "threshold": 0.3, "frames_per_second": 2.0}
        av_sep.separate(duet, tmp_path, model="wiener", dry_run=True, **looking, **instruments)
        av_sep.separate(duet, tmp_path, model="wiener", dry_run=True, frames_per_second=0.5, **instruments)
        av_sep.separate(duet, tmp_path, model="wiener", dry_run=True, labels="audio", threshold=0.9)
    every, one, heard = (record.getMessage() for record in caplog.records)
    assert heard == "nobody looks where --labels audio says what plays: --threshold passed over"
    assert every.endswith(": --detector, --threshold, --fps passed over") and one.endswith(": --fps passed over")


def test_nothing_in_a_detector_s_place_is_not_the_folder_that_one_is_in(duet, tmp_path, monkeypatch):
    """As a shell has it whose variable was never set."""
    monkeypatch.chdir(tmp_path)
    write_labels(tmp_path / "duet.json", "violin")
    for nothing in ("", " "):
        with pytest.raises(ParameterError, match="What stands after 'labels:' is missing"):
            separate(duet, tmp_path / "out", nothing)


def test_what_the_file_says_it_was_made_of_need_be_no_name(duet, tmp_path):
    (tmp_path / "known.json").write_text('{"input": "\\ud800", "instruments": ["vn"]}')
    assert list(separate(duet, tmp_path / "out", tmp_path / "known.json").stems) == ["violin"]


def test_an_empty_list_decides_and_is_named(film, tmp_path):
    labels = write_labels(tmp_path / "known.json", label_vector={"violin": 0.91})
    with pytest.raises(ParameterError, match="^The file of labels lists no instrument; correct .*film.mp4$"):
        separate(film, tmp_path / "out", labels)


class TestSound:
    def test_a_file_says_what_plays(self, duet, tmp_path):
        result = separate(duet, tmp_path / "out", write_labels(tmp_path / "known.json", "vn", "tuba"))
        assert list(result.stems) == ["violin", "tuba"]
        manifest = json.loads(result.manifest.read_text())
        assert manifest["labels"]["witnesses"] == "file"
        assert "Said by a file of labels" in result.report.read_text()

    def test_boxes_alone_say_it_too(self, duet, tmp_path):
        boxes = [{"time_seconds": t, "box_xyxy": [0, 0, 90, 170], "instrument": "oboe"} for t in range(3)]
        labels = tmp_path / "known.json"
        labels.write_text(json.dumps({"detections": boxes, "picture_size": {"width": 322, "height": 180}}))
        assert list(separate(duet, tmp_path / "out", labels).stems) == ["oboe"]

    def test_the_sound_of_a_film_is_that_films(self, duet, tmp_path):
        film = {"input": "duet.mp4", "input_file": {"num_bytes": 17}}
        own = separate(duet, tmp_path / "own", write_labels(tmp_path / "known.json", "violin", **film))
        assert remarks_of(own) == []
        film["input"] = "solo.mp4"
        other = separate(duet, tmp_path / "other", write_labels(tmp_path / "known.json", "violin", **film))
        (remark,) = remarks_of(other)
        assert remark.endswith("another film, solo.mp4")

    def test_a_folder_without_its_file_is_told(self, duet, tmp_path):
        with pytest.raises(MediaError, match="duet.wav, without duet.json"):
            separate(duet, tmp_path / "out", tmp_path)
