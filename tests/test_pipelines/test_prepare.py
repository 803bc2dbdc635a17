"""Datasets into shards: nothing lost, the same bytes however the work was done or interrupted."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from click.testing import CliRunner

from audio.records import RecordSpec, check_shard, read_records
from av_sep.datasets.urmp import open_urmp
from av_sep.errors import MediaError, ParameterError
from av_sep.instruments import URMP_13
from pipelines.cli import main
from pipelines.workers import Workers
from pipelines.prepare import PictureConfig, PrepareConfig, prepare
from pipelines.prepare.plan import Plan, make_plan
from pipelines.prepare.shards import Source, serialized_track
from pipelines.prepare.source import local_state
from pipelines.storage import LocalFolder, RemoteFolder

# The tree has few of URMP's 44 pieces, which is a problem that has to be allowed.
NATIVE = {"sample_rate_hz": 48000, "split": "all_train", "allow_problems": True}
BEAM = Workers("DirectRunner", runner_options=("--direct_running_mode=multi_processing", "--direct_num_workers=2"))


def contents(folder: Path) -> dict[str, str]:
    """Relative path -> checksum of every file."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def prepared(urmp_tree, tmp_path_factory) -> Path:
    """The tree in two compact shards at its own rate, made in this process."""
    output = tmp_path_factory.mktemp("records")
    prepare("urmp", urmp_tree, output, PrepareConfig(**NATIVE, tracks_per_shard=3))
    return output


def manifest_of(folder: Path) -> dict:
    return json.loads((folder / "manifest.json").read_text())


def records_of(folder: Path) -> dict[str, list]:
    manifest = manifest_of(folder)
    spec = RecordSpec.from_dict(manifest["record_spec"])
    tracks: dict[str, list] = {}
    for side in manifest["sides"].values():
        for shard in side["shards"]:
            for record in read_records(folder / shard["file"], spec):
                tracks.setdefault(record.name, []).append(record)
    return tracks


def wav(tree: Path, piece: str, name: str) -> np.ndarray:
    waveform, _ = sf.read(next((tree / piece).glob(f"{name}*.wav")), dtype="float32", always_2d=True)
    return waveform


def add_arrangements(tree: Path, piece: Path, count: int = 3) -> None:
    """Copies of a piece of URMP under its own number and others, all of one title."""
    number, title = piece.name.split("_")[:2]
    for other in (number, *(str(100 * nth + int(number)) for nth in range(1, count))):
        for file in piece.iterdir():
            name = file.name.replace(f"{number}_{title}", f"{other}_{title}")
            place = tree / piece.name.replace(number, other, 1) / name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, place)


def names_by_side(plan: Plan) -> dict[str, list[str]]:
    names: dict[str, list[str]] = {}
    for task in plan.tasks:
        names.setdefault(task.side, []).extend(track.name for track in task.tracks)
    return names


@pytest.mark.parametrize("schema", ["compact", "published"])
def test_every_sample_of_every_track_comes_back_exactly(urmp_tree, tmp_path, schema):
    prepare("urmp", urmp_tree, tmp_path, PrepareConfig(**NATIVE, schema=schema))
    tracks = records_of(tmp_path)
    assert set(tracks) == {path.name for path in urmp_tree.iterdir()}
    for piece, records in tracks.items():
        mixture = wav(urmp_tree, piece, "AuMix")
        parts = [wav(urmp_tree, piece, f"AuSep_{n}") for n in range(1, len(piece.split("_")) - 1)]
        whole = np.concatenate([sum(record.sources.values())[: record.covered_samples] for record in records])
        np.testing.assert_array_equal(whole, sum(parts))
        if schema == "compact":
            np.testing.assert_array_equal(np.concatenate([record.mixture for record in records]), mixture)
        else:
            context = (147_443 - 16_389) // 2
            centre = [record.mixture[context : context + record.covered_samples] for record in records]
            np.testing.assert_array_equal(np.concatenate(centre), mixture)


def test_two_players_of_one_instrument_share_a_stem(prepared, urmp_tree):
    (record,) = records_of(prepared)["06_Entertainer_sax_sax"]
    parts = [wav(urmp_tree, "06_Entertainer_sax_sax", f"AuSep_{n}") for n in (1, 2)]
    assert list(record.sources) == ["saxophone"] and record.label_vector.sum() == 1
    np.testing.assert_array_equal(record.sources["saxophone"], parts[0] + parts[1])


def test_the_manifest_tells_the_truth_about_the_files(prepared, urmp_tree):
    manifest = manifest_of(prepared)
    train = manifest["sides"]["train"]
    assert sorted(path.name for path in prepared.iterdir()) == sorted(
        ["manifest.json", *(shard["file"] for shard in train["shards"])]
    )
    for shard in train["shards"]:
        data = (prepared / shard["file"]).read_bytes()
        assert (shard["num_bytes"], shard["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        summary = check_shard(prepared / shard["file"], RecordSpec.from_dict(manifest["record_spec"]))
        assert summary.num_records == shard["num_records"] == sum(t["num_records"] for t in shard["tracks"])
    lengths = {t["name"]: t["num_samples"] for shard in train["shards"] for t in shard["tracks"]}
    assert lengths == {path.name: len(wav(urmp_tree, path.name, "AuMix")) for path in urmp_tree.iterdir()}
    assert (manifest["dataset"], manifest["split"], train["num_tracks"]) == ("urmp", "all_train", 5)
    assert train["seconds"] == pytest.approx(sum(lengths.values()) / 48000, abs=1e-3)


def test_resampled_records_hold_the_resampled_sound(urmp_tree, tmp_path):
    scipy_signal = pytest.importorskip("scipy.signal")
    prepare("urmp", urmp_tree, tmp_path, PrepareConfig(split="all_train", sample_rate_hz=16000, allow_problems=True))
    (record,) = records_of(tmp_path)["01_Jupiter_vn_vc"]
    expected = scipy_signal.resample_poly(wav(urmp_tree, "01_Jupiter_vn_vc", "AuSep_1")[:, 0], 1, 3)
    inside = slice(500, -500)
    error = record.sources["violin"][inside, 0] - expected[inside]
    assert np.sqrt(np.mean(error**2)) < 0.02 * np.sqrt(np.mean(expected[inside] ** 2))


def test_a_split_by_composition_keeps_compositions_apart(urmp_tree, tmp_path):
    tree = tmp_path / "tree"
    for piece in urmp_tree.iterdir():
        add_arrangements(tree, piece)
    planned = prepare("urmp", tree, tmp_path / "out", PrepareConfig(split="composition"), dry_run=True)
    names = names_by_side(planned.plan)
    assert sorted(name for side in names.values() for name in side) == sorted(path.name for path in tree.iterdir())
    titles = {side: {name.split("_")[1] for name in tracks} for side, tracks in names.items()}
    assert len(titles) > 1 and all(one.isdisjoint(other) for one, other in combinations(titles.values(), 2))
    assert not (tmp_path / "out").exists()


def test_the_authors_split_leaves_out_what_they_left_out(urmp_tree, tmp_path):
    planned = prepare("urmp", urmp_tree, tmp_path, PrepareConfig(split="authors"), dry_run=True)
    names = {side: {name[:2] for name in tracks} for side, tracks in names_by_side(planned.plan).items()}
    assert names == {"train": {"03", "26"}, "test": {"01", "13"}}
    assert planned.plan.header["left_out"]["by the split"] == ["06_Entertainer_sax_sax"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("workers", ["processes", "beam"])
def test_whoever_does_the_work_the_bytes_are_the_same(prepared, urmp_tree, tmp_path, workers):
    if workers == "beam":
        pytest.importorskip("apache_beam", reason="needs av-sep[beam]")
    team = BEAM if workers == "beam" else Workers(num_processes=2)
    prepare("urmp", urmp_tree, tmp_path, PrepareConfig(**NATIVE, tracks_per_shard=3), workers=team)
    assert contents(tmp_path) == contents(prepared)


@pytest.fixture
def remote(monkeypatch):
    """A scheme of our own on Beam's local filesystem: everything but the network is as it is for gs://."""
    pytest.importorskip("apache_beam", reason="needs av-sep[beam]")
    for module in ("shards", "source", "run"):
        monkeypatch.setattr(f"pipelines.prepare.{module}.open_folder", lambda location: RemoteFolder(str(location)))
    monkeypatch.setattr("pipelines.prepare.source.is_remote", lambda location: True)


def test_a_remote_dataset_is_fetched_and_gives_the_same_shards(prepared, urmp_tree, tmp_path, remote):
    (tmp_path / "out").mkdir()
    prepare("urmp", urmp_tree, tmp_path / "out", PrepareConfig(**NATIVE, tracks_per_shard=3))
    mine, theirs = contents(tmp_path / "out"), contents(prepared)
    assert mine.pop("manifest.json") and theirs.pop("manifest.json") and mine == theirs
    # Times of remote files are coarser, so that the fingerprint is another.
    assert {**manifest_of(tmp_path / "out"), "fingerprint": ""} == {**manifest_of(prepared), "fingerprint": ""}


def test_a_remote_file_that_was_written_again_is_noticed(urmp_tree, tmp_path, remote):
    shutil.copytree(urmp_tree, tmp_path / "tree")
    (tmp_path / "out").mkdir()
    config = PrepareConfig(**NATIVE, leave_out=[path.name for path in urmp_tree.iterdir() if path.name[:2] != "01"])
    made = prepare("urmp", tmp_path / "tree", tmp_path / "out", config)
    assert prepare("urmp", tmp_path / "tree", tmp_path / "out", config).num_resumed == len(made.plan.tasks) == 1
    part = next((tmp_path / "tree" / "01_Jupiter_vn_vc").glob("AuSep_1*"))
    part.write_bytes(part.read_bytes())
    with pytest.raises(ParameterError, match="begun with other files: .*times of change.*add --overwrite"):
        prepare("urmp", tmp_path / "tree", tmp_path / "out", config)


def start(tree: Path, output: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "pipelines", "prepare", "urmp", str(tree), "-o", str(output)]
    command += ["--split", "all_train", "--sample-rate", "48000", "--tracks-per-shard", "1"]
    command += ["--processes", "2", "--quiet", "--allow-problems"]
    return subprocess.Popen(command, start_new_session=True)


def wait_for_a_shard(output: Path, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while not list(output.glob(".prepare/*.tfrecord.json")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)


def test_killed_and_resumed_gives_the_bytes_of_an_undisturbed_run(urmp_tree, tmp_path):
    process = start(urmp_tree, tmp_path / "killed")
    wait_for_a_shard(tmp_path / "killed", process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "manifest.json").exists()
    # What a worker would leave that was killed while it wrote.
    (tmp_path / "killed" / ".prepare" / ".00.part.part").write_bytes(b"half a shard")
    finished = {path: path.stat().st_mtime_ns for path in (tmp_path / "killed").glob("*.tfrecord")}
    config = PrepareConfig(**NATIVE, tracks_per_shard=1)
    resumed = prepare("urmp", urmp_tree, tmp_path / "killed", config)
    prepare("urmp", urmp_tree, tmp_path / "whole", config)
    assert resumed.num_resumed >= 1
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    counted = {path for path, time_ns in finished.items() if path.stat().st_mtime_ns == time_ns}
    assert len(counted) >= resumed.num_resumed


def test_a_shard_without_its_entry_does_not_count(prepared, urmp_tree, tmp_path):
    config = PrepareConfig(**NATIVE, tracks_per_shard=1)
    prepare("urmp", urmp_tree, tmp_path / "whole", config)
    half = tmp_path / "half"
    shutil.copytree(tmp_path / "whole", half)
    (half / ".prepare").mkdir()
    (half / "manifest.json").rename(half / ".prepare" / "plan.json")
    for shard in half.glob("*.tfrecord"):
        shard.write_bytes(b"torn")
    assert prepare("urmp", urmp_tree, half, config).num_resumed == 0
    assert contents(half) == contents(tmp_path / "whole")


def test_a_finished_output_is_left_as_it_is(prepared, urmp_tree):
    before = {path: path.stat().st_mtime_ns for path in prepared.iterdir()}
    again = prepare("urmp", urmp_tree, prepared, PrepareConfig(**NATIVE, tracks_per_shard=3))
    assert again.num_resumed == 2 and again.manifest == manifest_of(prepared)
    assert {path: path.stat().st_mtime_ns for path in prepared.iterdir()} == before


def test_other_settings_or_changed_files_are_refused(prepared, urmp_tree, tmp_path):
    with pytest.raises(ParameterError, match="other settings"):
        prepare("urmp", urmp_tree, prepared, PrepareConfig(split="all_train", allow_problems=True))
    shutil.copytree(prepared, tmp_path / "out")
    shutil.copytree(urmp_tree, tmp_path / "tree")
    changed = next((tmp_path / "tree" / "01_Jupiter_vn_vc").glob("AuSep_1*"))
    sf.write(changed, np.zeros(1000), 48000)
    with pytest.raises(ParameterError, match="begun with other files"):
        prepare("urmp", tmp_path / "tree", tmp_path / "out", PrepareConfig(**NATIVE, tracks_per_shard=3))


@pytest.mark.parametrize(("linked", "num_samples"), [(False, None), (True, None), (True, 1000)])
def test_a_file_that_was_written_again_is_noticed(prepared, urmp_tree, tmp_path, linked, num_samples):
    """At the same length, and in a folder that the dataset only links to."""
    shutil.copytree(prepared, tmp_path / "out")
    shutil.copytree(urmp_tree, tmp_path / "tree")
    piece = tmp_path / "tree" / "01_Jupiter_vn_vc"
    if linked:
        piece.symlink_to(piece.rename(tmp_path / "elsewhere"))
    config = PrepareConfig(**NATIVE, tracks_per_shard=3)
    # Moved or linked to, its times as they were: nothing is made again.
    assert prepare("urmp", tmp_path / "tree", tmp_path / "out", config).num_resumed == 2
    part = next(piece.glob("AuSep_1*"))
    sf.write(part, np.zeros(num_samples or sf.info(part).frames), 48000, subtype="PCM_16")
    with pytest.raises(ParameterError, match="begun with other files: .*times of change.*add --overwrite"):
        prepare("urmp", tmp_path / "tree", tmp_path / "out", config)


def test_an_instrument_that_was_corrected_makes_another_dataset(urmp_tree, tmp_path):
    """Some datasets say in a file of their own what a part is."""
    dataset = open_urmp(urmp_tree)
    first, *rest = dataset.tracks
    part = replace(first.parts[0], instrument="viola")
    corrected = replace(dataset, tracks=(replace(first, parts=(part, *first.parts[1:])), *rest))
    one, other, again = (
        make_plan(index, PrepareConfig(**NATIVE), Source(urmp_tree), local_state, str(tmp_path)).fingerprint
        for index in (dataset, corrected, open_urmp(urmp_tree))
    )
    assert one == again != other


def test_overwrite_replaces_only_what_prepare_made(prepared, urmp_tree, tmp_path):
    shutil.copytree(prepared, tmp_path / "out")
    mine = [tmp_path / "out" / name for name in ("notes.txt", "mine.tfrecord", "other/manifest.json")]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    config = PrepareConfig(split="all_train", tracks_per_shard=1, overwrite=True, allow_problems=True)
    prepare("urmp", urmp_tree, tmp_path / "out", config)
    assert all(path.read_text() == "mine" for path in mine)
    assert sorted(path.name for path in (tmp_path / "out").glob("train*")) == [
        f"train-{number:05d}-of-00005.tfrecord" for number in range(5)
    ]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("manifest.json", '{"mine": 1}'),
        ("manifest.json", '{"made_by": "me", "fingerprint": "12", "sides": {}}'),
        ("manifest.json", '{"made_by": "av-sep", "fingerprint": "12"}'),
        ("manifest.json", "[1]"),
        ("manifest.json", "no JSON"),
        (".prepare/plan.json", '{"mine": 1}'),
        ("notes.txt", "mine"),
    ],
)
def test_what_something_else_wrote_is_refused_and_left_alone(urmp_tree, tmp_path, name, content, overwrite):
    for path, text in ((tmp_path / "mine.tfrecord", "mine"), (tmp_path / name, content)):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    before = contents(tmp_path)
    with pytest.raises(ParameterError, match="output folder") as told:
        prepare("urmp", urmp_tree, tmp_path, PrepareConfig(**NATIVE, overwrite=overwrite))
    assert "--overwrite" not in str(told.value) and len(str(told.value).splitlines()) == 1
    assert contents(tmp_path) == before


def test_a_file_of_somebody_else_is_not_overwritten_by_a_shard_of_its_name(prepared, urmp_tree, tmp_path):
    shutil.copytree(prepared, tmp_path / "out")
    (tmp_path / "out" / "train-00002-of-00005.tfrecord").write_text("mine")
    before = contents(tmp_path / "out")
    with pytest.raises(ParameterError, match="move it away.*train-00002-of-00005"):
        prepare("urmp", urmp_tree, tmp_path / "out", PrepareConfig(**NATIVE, tracks_per_shard=1, overwrite=True))
    assert contents(tmp_path / "out") == before


def test_overwrite_replaces_a_run_that_was_killed(prepared, urmp_tree, tmp_path):
    output = tmp_path / "out"
    process = start(urmp_tree, output)
    wait_for_a_shard(output, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    # What a run leaves that is killed between a shard and its entry.
    next(output.glob(".prepare/*.tfrecord.json")).unlink()
    (output / "mine.tfrecord").write_text("mine")
    prepare("urmp", urmp_tree, output, PrepareConfig(**NATIVE, tracks_per_shard=3, overwrite=True))
    assert (output / "mine.tfrecord").read_text() == "mine"
    (output / "mine.tfrecord").unlink()
    assert contents(output) == contents(prepared)


def test_a_run_that_is_killed_while_it_deletes_can_be_run_again(prepared, urmp_tree, tmp_path, monkeypatch):
    """After any of its deletions; what is there afterwards is as if it had never happened."""
    config = PrepareConfig(**NATIVE, tracks_per_shard=3, overwrite=True)
    delete = LocalFolder.delete

    class Killed(BaseException):
        pass

    for last in range(3):
        output, calls = tmp_path / str(last), iter(range(100))
        shutil.copytree(prepared, output)
        (output / "notes.txt").write_text("mine")

        def killed(folder, name):
            delete(folder, name)
            if next(calls) == last:
                raise Killed

        with monkeypatch.context() as patched, pytest.raises(Killed):
            patched.setattr(LocalFolder, "delete", killed)
            prepare("urmp", urmp_tree, output, config)
        prepare("urmp", urmp_tree, output, config)
        (output / "notes.txt").unlink()
        assert contents(output) == contents(prepared)


def test_a_run_that_was_killed_before_its_plan_was_whole_goes_on(prepared, urmp_tree, tmp_path):
    (tmp_path / ".prepare").mkdir()
    (tmp_path / ".prepare" / ".0011223344556677.part.json").write_text('{"made_')
    prepare("urmp", urmp_tree, tmp_path, PrepareConfig(**NATIVE, tracks_per_shard=3))
    assert contents(tmp_path) == contents(prepared)


def test_a_lost_shard_of_a_finished_output_is_noticed(prepared, urmp_tree, tmp_path):
    shutil.copytree(prepared, tmp_path / "out")
    next((tmp_path / "out").glob("*.tfrecord")).unlink()
    with pytest.raises(MediaError, match="no such file"):
        prepare("urmp", urmp_tree, tmp_path / "out", PrepareConfig(**NATIVE, tracks_per_shard=3))


def test_a_foreign_folder_is_refused(urmp_tree, tmp_path):
    (tmp_path / "thesis.tex").write_text("")
    with pytest.raises(ParameterError, match="empty output folder"):
        prepare("urmp", urmp_tree, tmp_path, PrepareConfig(**NATIVE))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_broken_file_stops_nothing_but_the_end(urmp_tree, tmp_path):
    tree, output = tmp_path / "tree", tmp_path / "out"
    shutil.copytree(urmp_tree, tree)
    broken = next((tree / "03_Dance_fl_cl").glob("AuSep_2*"))
    whole = broken.read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    config = PrepareConfig(**NATIVE, tracks_per_shard=1)
    with pytest.raises(MediaError, match="03_Dance_fl_cl.*AuSep_2.*4 of 5 shards were made"):
        prepare("urmp", tree, output, config)
    assert len(list(output.glob("*.tfrecord"))) == 4 and not (output / "manifest.json").exists()
    assert not list(output.glob(".prepare/*.part"))
    left = prepare(
        "urmp", tree, tmp_path / "without", PrepareConfig(**NATIVE, leave_out=("03_Dance_fl_cl",))
    )
    assert left.manifest["left_out"]["by request"] == ["03_Dance_fl_cl"]
    assert left.manifest["sides"]["train"]["num_tracks"] == 4


@pytest.mark.parametrize("debug", [False, True])
def test_an_unexpected_failure_is_one_line_beside_the_others(urmp_tree, tmp_path, monkeypatch, debug):
    tree = tmp_path / "tree"
    shutil.copytree(urmp_tree, tree)
    broken = next((tree / "01_Jupiter_vn_vc").glob("AuSep_2*"))
    broken.write_bytes(broken.read_bytes()[:1000])

    def serialized(track, *others):
        if track.name.startswith("26_King"):
            raise ZeroDivisionError("of ours")
        return serialized_track(track, *others)

    monkeypatch.setattr("pipelines.prepare.shards.serialized_track", serialized)
    arguments = ["prepare", "urmp", str(tree), "-o", str(tmp_path / "out"), "--split", "all_train", "--quiet"]
    arguments += ["--tracks-per-shard", "1", "--allow-problems", "--processes", "1", *["--debug"] * debug]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 1
    if debug:
        told = "".join(traceback.format_exception(done.exception))
        assert "in serialized\n" in told and "ZeroDivisionError: of ours" in told
    else:
        (line,) = done.stderr.splitlines()
        assert line.startswith("av-sep: unexpected ZeroDivisionError: of ours; 01_Jupiter_vn_vc: ")
        assert "(3 of 5 shards were made and stay; " in line and line.endswith("(run again with --debug to see where)")
        assert line.count("unexpected ") == 1 and "Traceback" not in line


def test_an_unknown_track_to_leave_out_is_refused(urmp_tree, tmp_path):
    with pytest.raises(ParameterError, match="99_Nothing"):
        prepare("urmp", urmp_tree, tmp_path, PrepareConfig(**NATIVE, leave_out=("99_Nothing",)))


def test_problems_stop_unless_allowed_and_are_then_in_the_manifest(urmp_tree, tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(urmp_tree, tree)
    for part in (tree / "13_Hark_vn_vn_va").glob("AuSep*"):
        part.unlink()
    with pytest.raises(MediaError, match="--allow-problems"):
        prepare("urmp", tree, tmp_path / "out", PrepareConfig(split="all_train", sample_rate_hz=48000))
    assert not (tmp_path / "out").exists()
    made = prepare("urmp", tree, tmp_path / "out", PrepareConfig(**NATIVE))
    assert any("13_Hark" in line for line in made.manifest["left_out"]["because of problems"])
    assert made.manifest["sides"]["train"]["num_tracks"] == 4


def test_a_full_disk_is_one_line_and_keeps_what_is_finished(urmp_tree, tmp_path):
    # No file may grow beyond 200 kB: to the writer it is a disk that is full.
    code = (
        "import resource, signal; resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000));"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "from pipelines.cli import run; run()"
    )
    arguments = ["prepare", "urmp", str(urmp_tree), "-o", str(tmp_path / "out"), "--split", "all_train"]
    arguments += ["--sample-rate", "48000", "--processes", "1", "--tracks-per-shard", "1", "--allow-problems"]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1 and "Cannot write" in done.stderr
    assert not list((tmp_path / "out").glob("*.tfrecord")) and not (tmp_path / "out" / "manifest.json").exists()


@pytest.fixture
def filmed(urmp_tree, tmp_path, film) -> Path:
    """A tree of one piece with its film, 322 x 180."""
    tree = tmp_path / "tree"
    shutil.copytree(urmp_tree / "01_Jupiter_vn_vc", tree / "01_Jupiter_vn_vc")
    shutil.copy(film, tree / "01_Jupiter_vn_vc" / "Vid_01_Jupiter_vn_vc.mp4")
    return tree


def test_pictures_and_known_boxes_go_along(filmed, tmp_path):
    tree = filmed
    (tree / "01_Jupiter_vn_vc" / "Boxes_01_Jupiter_vn_vc.csv").write_text(
        "time_seconds,player,instrument,x1,y1,x2,y2\n0.0,1,violin,10,20,110,170\n0.0,2,cello,160,20,300,170\n"
        "1.5,1,violin,20,20,120,170\n1.5,2,cello,160,20,300,170\n"
    )
    pictures = PictureConfig(frames_per_second=2.0, max_height=90)
    prepare("urmp", tree, tmp_path / "out", PrepareConfig(**NATIVE, pictures=pictures))
    ((record,),) = records_of(tmp_path / "out").values()
    assert [picture.time_seconds for picture in record.pictures] == [0.0, 0.5, 1.0, 1.5, 2.0]
    import cv2

    assert cv2.imdecode(np.frombuffer(record.pictures[0].jpeg, np.uint8), cv2.IMREAD_COLOR).shape == (90, 161, 3)
    boxes = [json.loads(picture.detections)[0]["box_xyxy"] for picture in record.pictures]
    assert boxes[:3] == [[5.0, 10.0, 55.0, 85.0]] * 3 and boxes[3:] == [[10.0, 10.0, 60.0, 85.0]] * 2
    assert [found["instrument"] for found in json.loads(record.pictures[0].detections)] == ["violin", "cello"]


def test_a_detector_looks_at_the_pictures_and_is_noticed_when_its_file_changes(filmed, tmp_path):
    known = tmp_path / "known.json"

    def sees(x1: int) -> None:
        box = {"box_xyxy": [x1, 20, 300, 170], "instrument": "cello", "confidence": 0.75}
        size = {"width": 322, "height": 180}
        known.write_text(json.dumps({"detections": [{"time_seconds": 0, **box}], "picture_size": size}))

    def made(**settings) -> list[list]:
        pictures = PictureConfig(max_height=90, detector=f"labels:{known}")
        prepare("urmp", filmed, tmp_path / "out", PrepareConfig(**NATIVE, pictures=pictures, **settings))
        ((record,),) = records_of(tmp_path / "out").values()
        return [json.loads(picture.detections) for picture in record.pictures]

    sees(160)
    ((found,), *others) = made()
    assert (found["instrument"], found["confidence"], found["box_xyxy"]) == ("cello", 0.75, [80.0, 10.0, 150.0, 85.0])
    assert found["label_confidences"] == [0.75 if name == "cello" else 0 for name in URMP_13.names]
    assert others == [[], []]
    assert made() == [[found], [], []]
    sees(180)
    with pytest.raises(ParameterError, match="begun with other files: .*the detector's"):
        made()
    ((moved,), *_) = made(overwrite=True)
    assert moved["box_xyxy"][0] == 90.0
