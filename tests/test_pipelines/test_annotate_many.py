"""Annotation of many videos over processes and Beam: the files that one run after the other would have written."""

import json
import shutil

import pytest
from click.testing import CliRunner

from pipelines.cli import main


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def videos(tmp_path_factory, film):
    folder = tmp_path_factory.mktemp("videos")
    for name in ("one", "two"):
        shutil.copy(film, folder / f"{name}.mp4")
    return folder


@pytest.fixture(scope="module")
def one_by_one(videos, tmp_path_factory):
    output = tmp_path_factory.mktemp("labels") / "out"
    assert invoke("annotate", videos, "-o", output, "--quiet").exit_code == 0
    return {path.name: path.read_bytes() for path in output.iterdir()}


SPREAD = {
    "processes": ["--processes", "2"],
    "beam": ["--runner", "DirectRunner", "--runner-options",
             "--direct_running_mode=multi_processing --direct_num_workers=2"],
}  # fmt: skip


@pytest.mark.parametrize("team", list(SPREAD))
def test_the_files_are_the_same(videos, one_by_one, tmp_path, team):
    if team == "beam":
        pytest.importorskip("apache_beam", reason="needs av-sep[beam]")
    done = invoke("annotate", videos, "-o", tmp_path / "out", *SPREAD[team])
    assert done.exit_code == 0, done.output
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == one_by_one
    named = [line.split(":")[0] for line in done.stdout.splitlines()]
    assert named == [str(videos / "one.mp4"), str(videos / "two.mp4")]


def test_a_bad_video_costs_the_others_nothing(videos, tmp_path):
    (tmp_path / "bad.mp4").write_text("no film")
    inputs = (tmp_path / "bad.mp4", videos / "one.mp4")
    done = invoke("annotate", *inputs, "-o", tmp_path / "out", "--processes", 2, "--json")
    assert done.exit_code == 2
    bad, good = json.loads(done.stdout)
    assert bad["input"].endswith("bad.mp4") and "bad.mp4" in bad["error"]
    assert good["input"] == str(videos / "one.mp4") and set(good["files"]) == {"json", "csv", "coco"}
    assert (tmp_path / "out" / "one.json").is_file()


def test_two_videos_of_one_name_are_refused(videos, tmp_path):
    (tmp_path / "more").mkdir()
    shutil.copy(videos / "one.mp4", tmp_path / "more")
    done = invoke("annotate", videos, tmp_path / "more", "-o", tmp_path / "out", "--processes", 2)
    assert done.exit_code == 2 and "one name" in done.stderr and not (tmp_path / "out").exists()


def test_an_empty_folder_is_one_line(tmp_path):
    done = invoke("annotate", tmp_path, "-o", tmp_path / "out", "--processes", 2)
    assert done.exit_code == 2 and "none inside" in done.stderr
