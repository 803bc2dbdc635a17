"""Annotation of many videos over processes and Beam: the files that one run after the other would have written."""

import contextlib
import itertools
import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from av_sep.errors import MediaError, ParameterError
from pipelines.annotate_many import annotate_many, annotation_tasks, write_review
from pipelines.cli import main
from pipelines.config import AnnotateConfig
from pipelines.storage import LocalFolder
from pipelines.workers import Workers


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def videos(tmp_path_factory, film):
    folder = tmp_path_factory.mktemp("videos")
    for name in ("one", "two"):
        shutil.copy(film, folder / f"{name}.mp4")
    return folder


@pytest.fixture(scope="module")
def detector(videos, tmp_path_factory):
    """One that needs no network: workers start faster with it."""
    path = tmp_path_factory.mktemp("known") / "known.json"
    box = {"box_xyxy": [20, 20, 90, 170], "instrument": "violin", "confidence": 0.7}
    path.write_text(json.dumps({"detections": [{"time_seconds": t, **box} for t in range(3)]}))
    return f"labels:{path}"


@pytest.fixture(scope="module")
def one_by_one(videos, detector, tmp_path_factory):
    output = tmp_path_factory.mktemp("labels") / "out"
    assert invoke("annotate", videos, "-o", output, "--quiet", "--detector", detector).exit_code == 0
    return {path.name: path.read_bytes() for path in output.iterdir()}


SPREAD = {
    "processes": ["--processes", "2"],
    "beam": ["--runner", "DirectRunner", "--runner-options",
             "--direct_running_mode=multi_processing --direct_num_workers=2"],
}  # fmt: skip


@pytest.mark.parametrize("team", list(SPREAD))
def test_the_files_are_the_same(videos, detector, one_by_one, tmp_path, team):
    if team == "beam":
        pytest.importorskip("apache_beam", reason="needs av-sep[beam]")
    done = invoke("annotate", videos, "-o", tmp_path / "out", "--detector", detector, *SPREAD[team])
    assert done.exit_code == 0, done.output
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == one_by_one
    named = [line.split(":")[0] for line in done.stdout.splitlines()]
    assert named == [str(videos / "one.mp4"), str(videos / "two.mp4")]


def test_a_path_out_of_reach_costs_the_others_nothing(videos, detector, tmp_path):
    inputs = ("x" * 300 + ".mp4", videos / "one.mp4")
    done = invoke("annotate", *inputs, "-o", tmp_path / "out", "--detector", detector)
    assert done.exit_code == 2 and "xxx.mp4: " in done.output and "unexpected" not in done.output
    assert (tmp_path / "out" / "one.json").is_file()


def test_a_bad_video_costs_the_others_nothing(videos, detector, tmp_path):
    (tmp_path / "bad.mp4").write_text("no film")
    inputs = (tmp_path / "bad.mp4", videos / "one.mp4")
    done = invoke("annotate", *inputs, "-o", tmp_path / "out", "--processes", 2, "--json", "--detector", detector)
    assert done.exit_code == 2
    bad, good = json.loads(done.stdout)
    assert bad["input"].endswith("bad.mp4") and "bad.mp4" in bad["error"]
    assert good["input"] == str(videos / "one.mp4") and set(good["files"]) == {"json", "csv", "coco"}
    assert (tmp_path / "out" / "one.json").is_file()


def test_labels_that_were_corrected_meanwhile_are_read_again(videos, tmp_path):
    """In one process, as a notebook runs it."""
    known, told = tmp_path / "known.json", []
    config = AnnotateConfig(f"labels:{known}", overwrite=True)
    for name in ("violin", "flute"):
        box = {"box_xyxy": [20, 20, 90, 170], "instrument": name, "confidence": 0.7}
        known.write_text(json.dumps({"detections": [{"time_seconds": t, **box} for t in range(3)], "note": name}))
        tasks = annotation_tasks([str(videos / "one.mp4")], str(tmp_path / "out"), config)
        (outcome,) = annotate_many(tasks, Workers(), lambda done, total: None)
        told.append(list(outcome.value["instruments"]))
    assert told == [["violin"], ["flute"]]


def test_two_videos_of_one_name_are_refused(videos, tmp_path):
    (tmp_path / "more").mkdir()
    shutil.copy(videos / "one.mp4", tmp_path / "more")
    done = invoke("annotate", videos, tmp_path / "more", "-o", tmp_path / "out", "--processes", 2)
    assert done.exit_code == 2 and "one name" in done.stderr and not (tmp_path / "out").exists()


def test_an_empty_folder_is_one_line(tmp_path):
    done = invoke("annotate", tmp_path, "-o", tmp_path / "out", "--processes", 2)
    assert done.exit_code == 2 and "none inside" in done.stderr


def test_sound_beside_the_videos_is_passed_over(videos, duet, detector, tmp_path):
    shutil.copytree(videos, tmp_path / "mixed")
    shutil.copy(duet, tmp_path / "mixed" / "one.wav")
    done = invoke("annotate", tmp_path / "mixed", "-o", tmp_path / "out", "--detector", detector)
    assert done.exit_code == 0 and len(done.stdout.splitlines()) == 2
    alone = invoke("annotate", duet, "-o", tmp_path / "out", "--detector", detector)
    assert alone.exit_code == 2 and "pictures" in alone.stderr


class TestGoingOn:
    def test_films_that_an_earlier_run_drew_on_are_no_input(self, videos, detector, tmp_path):
        shutil.copytree(videos, tmp_path / "videos")
        folder = tmp_path / "videos"
        command = ("annotate", folder, "-o", folder, "--overlay-video", "--detector", detector)
        for _ in range(2):
            done = invoke(*command)
            assert done.exit_code == 0 and len(done.stdout.splitlines()) == 2
        films = sorted(path.name for path in (tmp_path / "videos").glob("*.mp4"))
        assert films == ["one.mp4", "one.overlay.mp4", "two.mp4", "two.overlay.mp4"]

    def test_only_what_is_missing_is_done(self, videos, detector, tmp_path):
        command = ("annotate", videos, "-o", tmp_path / "out", "--detector", detector)
        assert invoke(*command).exit_code == 0
        (tmp_path / "out" / "two.json").rename(tmp_path / "two.json")
        for left in (tmp_path / "out").glob("two.*"):
            left.unlink()
        before = (tmp_path / "out" / "one.json").stat().st_mtime_ns
        one, two = json.loads(invoke(*command, "--json").stdout)
        assert (one["kept"], two["kept"]) == (True, False)
        assert (tmp_path / "out" / "one.json").stat().st_mtime_ns == before
        assert (tmp_path / "out" / "two.json").read_bytes() == (tmp_path / "two.json").read_bytes()
        assert [line.endswith("(finished earlier)") for line in invoke(*command).stdout.splitlines()] == [True, True]
        assert all(not made["kept"] for made in json.loads(invoke(*command, "--json", "--overwrite").stdout))

    def test_a_stopped_run_goes_on(self, videos, detector, tmp_path, monkeypatch):
        from pipelines.look import Looker

        command = ("annotate", videos, "-o", tmp_path / "out", "--detector", detector)
        look, seen = Looker.look, []

        def stopped_at_the_second(self, path, *others):
            seen.append(path.name)
            if len(seen) == 2:
                raise KeyboardInterrupt
            return look(self, path, *others)

        monkeypatch.setattr(Looker, "look", stopped_at_the_second)
        done = invoke(*command)
        assert done.exit_code == 130 and "Interrupted" in done.stderr
        assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["one.coco.json", "one.csv", "one.json"]
        assert invoke(*command).exit_code == 0
        assert seen == ["one.mp4", "two.mp4", "two.mp4"]

    def test_a_bar_for_each_video_says_which_it_is(self, videos, detector, tmp_path, capsys):
        from pipelines.cli_annotate import _annotate_shown

        config = AnnotateConfig(detector=detector, formats=("json",))
        tasks = annotation_tasks([str(videos)], str(tmp_path), config)
        _annotate_shown(tasks, Workers(), shown=True)
        told = capsys.readouterr().err
        assert "1/2 one.mp4: looking 100%" in told and "2/2 two.mp4: looking 100%" in told

    def test_the_page_holds_what_was_finished_earlier_too(self, videos, detector, tmp_path):
        command = ("annotate", "-o", tmp_path / "out", "--detector", detector, "--review")
        assert invoke(*command, videos / "one.mp4").exit_code == 0
        done = invoke(*command, videos)
        assert done.stdout.splitlines()[-1] == f"page: {tmp_path / 'out' / 'review.html'}"
        assert (tmp_path / "out" / "review.html").read_text().count('class="video"') == 2


class TestCorrectedByHand:
    """Label files that a person changed with an editor before the same command is given again."""

    @pytest.fixture
    def again(self, videos, detector, tmp_path):
        """Annotates two videos, changes the first one's file, annotates again."""

        def run(change):
            command = ("annotate", videos, "-o", tmp_path / "out", "--detector", detector, "--review", "--json")
            assert invoke(*command).exit_code == 0
            path = tmp_path / "out" / "one.json"
            content = json.loads(path.read_text())
            change(content)
            path.write_text(json.dumps(content))
            done = invoke(*command)
            page = (tmp_path / "out" / "review.html").read_text()
            shown = [json.loads(text.split("</script>")[0]) for text in re.split('class="video"[^>]*>', page)[1:]]
            return done, json.loads(done.stdout), {video["file"]: video["annotation"] for video in shown}

        return run

    def test_names_may_be_written_as_everywhere(self, again):
        def change(content):
            content["instruments"] = ["Vc", "vn", "vn"]
            content["num_players"] = {"vc": 1}
            content["detections"][0]["instrument"] = "vc"

        done, (one, two), shown = again(change)
        assert done.exit_code == 0, done.stderr
        assert one["instruments"] == ["violin", "cello"] and two["instruments"] == ["violin"]
        assert one["kept"] and two["kept"]
        corrected = shown["one.json"]
        assert corrected["instruments"] == ["violin", "cello"] and corrected["num_players"] == {"cello": 1, "violin": 2}
        assert corrected["detections"][0]["instrument"] == "cello"

    @pytest.mark.parametrize(
        "field, value, words",
        [
            ("players", None, "without players"),
            ("checked", None, "without checked"),
            ("instruments", ["vn", "chello"], "Did you mean 'cello'"),
            ("instruments", 3, "not iterable"),
            ("detections", [{"time_seconds": 0}], "without label_confidences"),
            ("label_vector", [0.5], "one.json"),
            ("label_vector", {"violin": "sure"}, "one.json"),
        ],
    )
    def test_what_cannot_be_read_is_one_line_and_costs_the_other_video_nothing(self, again, field, value, words):
        done, (one, two), shown = again(lambda content: content.update({field: value}) or value or content.pop(field))
        assert done.exit_code == 2 and "unexpected" not in done.stderr
        (line,) = done.stderr.splitlines()
        assert "one.json" in line and words in line and "--overwrite" in line
        assert one["error"] in line and two["instruments"] == ["violin"] and two["kept"]
        assert list(shown) == ["two.json"]


class TestRemoteFolders:
    """URLs, whose folders are played by local ones."""

    @pytest.fixture
    def tasks(self, videos, detector, tmp_path, monkeypatch):
        shutil.copytree(videos, tmp_path / "bucket" / "videos")
        fetched = []

        class Bucket(LocalFolder):
            def __init__(self, location):
                super().__init__(tmp_path / "bucket" / location.removeprefix("play://"))
                self.url = location

            def fetch(self, name, local_file):
                fetched.append(name)
                super().fetch(name, local_file)

        monkeypatch.setattr("pipelines.annotate_many.open_folder", Bucket)
        monkeypatch.setattr("pipelines.annotate_many.configure_filesystems", lambda options, locations: None)

        def make(video="play://videos", **settings):
            fetched.clear()
            config = AnnotateConfig(detector=detector, formats=("json", "csv"), review=True, **settings)
            return annotation_tasks([video], "play://out", config)

        return make, fetched, tmp_path / "bucket" / "out"

    def run(self, tasks):
        return annotate_many(tasks, Workers(), lambda done, total: None)

    def test_files_and_page_arrive_and_a_second_run_fetches_no_video(self, tasks):
        make, fetched, out = tasks
        first = make()
        outcomes = self.run(first)
        assert [o.value["files"]["csv"] for o in outcomes] == ["play://out/one.csv", "play://out/two.csv"]
        assert json.loads((out / "one.json").read_text())["input"] == "play://videos/one.mp4"
        for name in ("review-2.html", "review-3.html"):
            (out / name).write_text("of an earlier run of more videos")
        assert write_review(first, outcomes) == ["play://out/review.html"]
        assert [path.name for path in out.glob("review*.html")] == ["review.html"]
        again = self.run(make())
        assert [o.value["kept"] for o in again] == [True, True]
        assert sorted(fetched) == ["one.csv", "one.json", "two.csv", "two.json"]

    def test_corrections_reach_the_other_files_and_are_set_aside(self, tasks):
        make, fetched, out = tasks
        self.run(make())
        corrected = json.loads((out / "one.json").read_text()) | {"checked": True}
        corrected["detections"][0]["instrument"] = "tuba"
        (out / "one.json").write_text(json.dumps(corrected))
        one, two = self.run(make())
        assert (one.value["remade"], two.value["remade"]) == (["csv"], []) and "one.mp4" not in fetched
        assert ",tuba," in (out / "one.csv").read_text() and json.loads((out / "one.json").read_text()) == corrected
        one, two = self.run(make(overwrite=True))
        assert one.value["files"]["checked"] == "play://out/one.checked.json" and "checked" not in two.value["files"]
        assert json.loads((out / "one.checked.json").read_text()) == corrected
        assert ",tuba," not in (out / "one.csv").read_text()

    def test_a_video_is_the_same_alone_and_in_its_folder(self, tasks):
        make, fetched, out = tasks
        self.run(make())
        (alone,) = self.run(make("play://videos/one.mp4"))
        assert alone.error is None and alone.value["kept"] and sorted(fetched) == ["one.csv", "one.json"]
        with (out.parent / "videos" / "one.mp4").open("ab") as file:
            file.write(b"longer")
        (alone,) = self.run(make("play://videos/one.mp4"))
        assert "(another video)" in alone.error and alone.error.endswith("Received: play://out/one.json")

    def test_a_video_that_is_not_there_or_none_is_named_by_its_url(self, tasks):
        make, _, out = tasks
        (alone,) = self.run(make("play://videos/three.mp4"))
        assert alone.is_users and "play://videos/three.mp4" in alone.error.replace(str(out.parent) + "/", "play://")
        (out.parent / "videos" / "one.mp4").write_text("no film")
        (alone,) = self.run(make("play://videos/one.mp4"))
        assert alone.is_users and "play://videos/one.mp4" in alone.error and "/tmp" not in alone.error

    def test_other_settings_replace_nothing(self, tasks):
        make, _, out = tasks
        self.run(make())
        before = {path: path.read_bytes() for path in out.iterdir()}
        errors = [outcome.error for outcome in self.run(make(frames_per_second=2.0))]
        assert all("made otherwise (frames_per_second 1.0, not 2.0)" in error for error in errors)
        assert {path: path.read_bytes() for path in out.iterdir()} == before
        assert all(outcome.error is None for outcome in self.run(make(frames_per_second=2.0, overwrite=True)))

    @pytest.mark.parametrize("num_steps", range(8))
    def test_an_upload_that_is_killed_never_passes_old_files_off_as_new(self, tasks, monkeypatch, num_steps):
        make, _, out = tasks
        self.run(make())
        wanted, steps = {"frames_per_second": 2.0}, itertools.count()

        class Killed(BaseException):
            pass

        with monkeypatch.context() as patched:
            for name in ("delete", "publish"):
                patched.setattr(LocalFolder, name, stopped_after(num_steps, steps, getattr(LocalFolder, name), Killed))
            with contextlib.suppress(Killed):
                self.run(make(**wanted, overwrite=True))
        for outcome in self.run(make(**wanted))[:1]:
            # Told or mended, but not kept as it is.
            assert outcome.error or self.num_seen(out) == {"json": 6, "csv": 6}
        assert all(outcome.error is None for outcome in self.run(make(**wanted, overwrite=True)))
        assert self.num_seen(out) == {"json": 6, "csv": 6}

    def num_seen(self, out):
        rows = (out / "one.csv").read_text().splitlines()
        return {"json": len(json.loads((out / "one.json").read_text())["detections"]), "csv": len(rows) - 1}

    def test_an_upload_that_was_killed_goes_on(self, tasks, monkeypatch):
        make, _, out = tasks

        class Killed(BaseException):
            pass

        with monkeypatch.context() as patched, pytest.raises(Killed):
            patched.setattr(LocalFolder, "publish", stopped_after(1, itertools.count(), LocalFolder.publish, Killed))
            self.run(make())
        assert [path.name for path in out.iterdir()] == ["one.json"]
        assert all(outcome.error is None for outcome in self.run(make()))
        assert {path.name for path in out.iterdir()} == {
            f"{stem}.{kind}" for stem in ("one", "two") for kind in ("json", "csv", "review.json")
        }


def stopped_after(num_steps, steps, method, error):
    """A method that works until it, and others that share its counter, were called so many times."""

    def stopped(*arguments):
        if next(steps) >= num_steps:
            raise error
        return method(*arguments)

    return stopped


def test_nothing_to_review_is_no_page(tmp_path):
    tasks = annotation_tasks([str(tmp_path / "no.mp4")], str(tmp_path), AnnotateConfig(review=True))
    outcomes = annotate_many(tasks, Workers(), lambda done, total: None)
    assert "no such file" in outcomes[0].error and write_review(tasks, outcomes) == []
    with pytest.raises(MediaError, match="none inside"):
        annotation_tasks([str(tmp_path)], str(tmp_path), AnnotateConfig())
    assert list(Path(tmp_path).iterdir()) == []


def test_output_without_a_name_is_refused():
    with pytest.raises(ParameterError, match="Expected an output folder. Received: an empty name"):
        annotation_tasks(["film.mp4"], "", AnnotateConfig())
