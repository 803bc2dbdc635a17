"""`av-sep prepare` in-process: what it prints, what it writes, how it fails."""

import json

import numpy as np
import pytest
import soundfile as sf
from click.testing import CliRunner

from pipelines.cli import main


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def trios(tmp_path):
    """A plain folder of two tracks, one without a mixture."""
    for track in ("first", "second"):
        (tmp_path / "data" / track).mkdir(parents=True)
        for seed, name in enumerate(("violin", "cello")):
            noise = 0.1 * np.random.default_rng(seed).normal(size=8000)
            sf.write(tmp_path / "data" / track / f"{name}.wav", noise, 16000)
    sf.write(tmp_path / "data" / "first" / "mixture.wav", np.zeros(8000) + 0.01, 16000)
    return tmp_path / "data"


def test_it_says_what_was_made_and_what_was_odd(trios, tmp_path):
    done = invoke("prepare", "folder", trios, "-o", tmp_path / "out", "--split", "all_train", "--processes", 1)
    assert done.exit_code == 0, done.output
    assert "train: 2 tracks, 2 records" in done.stdout
    assert "second: mixture is missing: the sum of the parts stands for it" in done.stdout
    assert str(tmp_path / "out" / "manifest.json") in done.stdout
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    tracks = {t["name"]: t for shard in manifest["sides"]["train"]["shards"] for t in shard["tracks"]}
    assert tracks["second"]["mixture"] == "sum of the stems" and len(tracks["second"]["remarks"]) == 1
    assert tracks["first"]["mixture"] == "recorded"


def test_a_track_that_cannot_be_used_stops_everything_and_is_named(trios, tmp_path):
    (trios / "second" / "cello.wav").rename(trios / "second" / "kazoo.wav")
    done = invoke("prepare", "folder", trios, "-o", tmp_path / "out")
    assert done.exit_code == 2 and "kazoo" in done.stderr and "--allow-problems" in done.stderr
    assert not (tmp_path / "out").exists()


def test_a_second_run_says_that_all_was_there(trios, tmp_path):
    arguments = ("prepare", "folder", trios, "-o", tmp_path / "out", "--split", "all_train", "--processes", 1)
    invoke(*arguments)
    assert "1 of 1 shards were there already" in invoke(*arguments).stdout


def test_json_is_the_manifest_and_quiet_is_quiet(trios, tmp_path):
    arguments = ("prepare", "folder", trios, "-o", tmp_path / "out", "--processes", 1)
    printed = json.loads(invoke(*arguments, "--json").stdout)
    assert printed == json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert invoke(*arguments, "--quiet").output == ""


def test_a_stem_that_is_a_broken_link_is_a_problem(trios, tmp_path):
    (trios / "second" / "horn.wav").symlink_to(tmp_path / "annex" / "horn.wav")
    done = invoke("prepare", "folder", trios, "-o", tmp_path / "out")
    assert done.exit_code == 2 and "horn.wav cannot be opened" in done.stderr


def test_a_dry_run_lists_problems_and_fails_where_a_run_would(trios, tmp_path):
    (trios / "second" / "cello.wav").rename(trios / "second" / "kazoo.wav")
    done = invoke("prepare", "folder", trios, "-o", tmp_path / "out", "--dry-run")
    assert done.exit_code == 2 and "problem: second" in done.stdout and "would refuse" in done.stderr
    arguments = ("--leave-out", "second", "--split", "all_train", "--processes", 1)
    done = invoke("prepare", "folder", trios, "-o", tmp_path / "out", *arguments)
    assert done.exit_code == 0 and "left out by request: second" in done.stdout


def test_a_track_with_a_colon_in_its_name_can_be_left_out(trios, tmp_path):
    (trios / "second" / "cello.wav").rename(trios / "second" / "kazoo.wav")
    (trios / "second").rename(trios / "second: Allegro")
    arguments = ("--leave-out", "second: Allegro", "--split", "all_train", "--processes", 1)
    done = invoke("prepare", "folder", trios, "-o", tmp_path / "out", *arguments)
    assert done.exit_code == 0 and "left out by request: second: Allegro" in done.stdout


def test_a_mixture_that_is_more_than_its_stems_is_remarked_on(trios, tmp_path):
    done = invoke("prepare", "folder", trios, "-o", tmp_path / "out", "--split", "all_train", "--processes", 1)
    assert "first: what the stems leave of the recorded mixture is at" in done.stdout


def test_other_settings_are_named(trios, tmp_path):
    arguments = ("prepare", "folder", trios, "-o", tmp_path / "out", "--split", "all_train", "--processes", 1)
    invoke(*arguments)
    done = invoke(*arguments, "--channels", 2)
    assert done.exit_code == 2 and "num_channels (1 then, 2 now)" in done.stderr


def test_a_dry_run_writes_nothing_and_names_the_splits(trios, tmp_path):
    done = invoke("prepare", "folder", trios, "-o", tmp_path / "out", "--dry-run")
    assert done.exit_code == 0 and "all_train" in done.stdout and "nothing was written" in done.stdout
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--split", "nonsense"], "Expected a split among"),
        (["--leave-out", "secnod"], "Did you mean 'second'?"),
        (["--fps", "0"], "Received: 0.0"),
        (["--fps", "1e9"], "up to 60"),
        (["--fps", "1", "--detector", "eyes"], "eyes"),
        (["--detector", "embedded"], "--detector needs --fps"),
        (["--runner-options", "--region=x"], "name one with --runner"),
        (["--runner-options", "'open", "--runner", "DirectRunner"], "Cannot split"),
        (["--taxonomy", "opera"], "opera"),
        (["--sample-rate", "7"], "Received: 7 Hz"),
    ],
)
def test_wrong_settings_are_one_line(trios, tmp_path, arguments, words):
    done = invoke("prepare", "folder", trios, "-o", tmp_path / "out", *arguments)
    assert done.exit_code == 2 and words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and not (tmp_path / "out").exists()


@pytest.mark.parametrize("dataset", ["urmp", "musdb18", "musdb18hq", "medleydb", "bach10", "folder"])
def test_a_folder_of_something_else_is_one_line(tmp_path, dataset):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("")
    done = invoke("prepare", dataset, tmp_path / "thesis", "-o", tmp_path / "out")
    assert done.exit_code == 2 and len(done.stderr.strip().splitlines()) == 1, done.output
    assert not (tmp_path / "out").exists()


def test_a_missing_dataset_is_one_line(tmp_path):
    done = invoke("prepare", "urmp", tmp_path / "nowhere", "-o", tmp_path / "out")
    assert done.exit_code == 2 and "nowhere" in done.stderr


def test_an_output_that_is_a_file_is_one_line(trios, tmp_path):
    (tmp_path / "out").write_text("")
    done = invoke("prepare", "folder", trios, "-o", tmp_path / "out", "--processes", 1)
    assert done.exit_code == 2 and "Expected a folder" in done.stderr


def test_help_lists_every_dataset_that_can_be_opened():
    from av_sep.datasets.index import DATASETS

    text = invoke("prepare", "--help").stdout
    assert all(f"\n  {name} " in text for name in (*DATASETS, "synthetic"))


@pytest.fixture
def notes(tmp_path):
    """A library of harmonic tones of two instruments."""
    time = np.arange(3 * 48000) / 48000
    for instrument, low in (("violin", 55), ("cello", 36)):
        folder = tmp_path / "notes" / "made" / instrument
        folder.mkdir(parents=True)
        for pitch in range(low, low + 37, 3):
            frequency = 440 * 2 ** ((pitch - 69) / 12)
            tone = sum(np.sin(2 * np.pi * k * frequency * time) / k**2 for k in range(1, 8))
            tone *= 0.2 * np.minimum(1, time / 0.02) * np.minimum(1, (time[-1] - time) / 0.1)
            name = ("C", "Cs", "D", "Ds", "E", "F", "Fs", "G", "Gs", "A", "As", "B")[pitch % 12]
            sf.write(folder / f"{name}{pitch // 12 - 1}.wav", tone, 48000)
    return tmp_path / "notes"


def test_from_nothing_to_records(notes, tmp_path):
    made = invoke(
        "prepare", "synthetic", "-o", tmp_path / "made", "--pieces", 2, "--seconds", 8, "--notes", notes, "--players",
        "2-3", "--no-video", "--processes", 1,
    )  # fmt: skip
    assert made.exit_code == 0 and "2 pieces" in made.stdout, made.output
    done = invoke("prepare", "urmp", tmp_path / "made", "-o", tmp_path / "out", "--split", "all_test", "--processes", 1)
    assert done.exit_code == 0 and "test: 2 tracks, 2 records, 0.3 min" in done.stdout, done.output


@pytest.mark.parametrize("players", ["many", "3-", "0", "5-2"])
def test_an_impossible_number_of_players_is_one_line(notes, tmp_path, players):
    done = invoke("prepare", "synthetic", "-o", tmp_path / "made", "--notes", notes, "--players", players)
    assert done.exit_code == 2 and len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "made").exists()
