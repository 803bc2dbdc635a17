"""The index of a plain folder of tracks, and opening datasets by name."""

import os
import subprocess

import numpy as np
import pytest
import soundfile

from av_sep.datasets.index import DATASETS, open_dataset
from av_sep.datasets.plain_folder import open_folder
from av_sep.errors import MediaError, ParameterError
from av_sep.instruments import MUSDB_4, Instrument, Taxonomy
from av_sep.media import ffmpeg_executable

RATE_HZ = 8000


def write_track(root, name, *files):
    folder = root / name
    folder.mkdir(parents=True)
    for file in files:
        if file.endswith((".wav", ".flac", ".ogg")):
            soundfile.write(folder / file, np.zeros(1600), RATE_HZ)
        else:
            (folder / file).touch()
    return folder


def parts(track):
    return [(part.instrument, part.sound.path.name) for part in track.parts]


def test_a_track_is_a_folder_with_a_mixture_and_sounds_named_by_instrument(tmp_path):
    folder = write_track(tmp_path, "Sonata", "mixture.wav", "violin.flac", "Cello.OGG".lower(), "film.mp4", "notes.txt")
    dataset = open_dataset("folder", tmp_path)
    (track,) = dataset.tracks
    assert parts(track) == [("cello", "cello.ogg"), ("violin", "violin.flac")]
    assert (track.mixture.path, track.video) == (folder / "mixture.wav", folder / "film.mp4")
    assert (track.name, track.composition, track.remarks, dataset.problems) == ("Sonata", "Sonata", (), ())
    assert dataset.instruments(track) == ("violin", "cello")


def test_a_real_mp3_and_film_have_their_durations(tmp_path):
    folder = write_track(tmp_path, "Sonata", "vn.wav")
    sine = ("-f", "lavfi", "-i", "sine=440:duration=2")
    subprocess.run([ffmpeg_executable(), "-v", "error", *sine, str(folder / "vc.mp3")], check=True)
    (track,) = open_folder(tmp_path).tracks
    assert parts(track) == [("cello", "vc.mp3"), ("violin", "vn.wav")]
    assert track.duration_seconds == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("first", ["violin_1", "violin1", "vn-1", "Violin 1", "violin 01", "violin"])
def test_several_players_have_numbers(tmp_path, first):
    write_track(tmp_path, "Duo", "mixture.wav", f"{first}.wav", "violin_2.wav", "french_horn.wav")
    (track,) = open_folder(tmp_path).tracks
    assert sorted(instrument for instrument, _ in parts(track)) == ["horn", "violin", "violin"]
    assert len(track.stems["violin"]) == 2


def test_a_sound_of_no_instrument_is_a_problem_that_names_it(tmp_path):
    write_track(tmp_path, "Duo", "mixture.wav", "violin.wav", "cello.wav")
    folder = write_track(tmp_path, "Trio", "mixture.wav", "violin.wav", "celo.wav")
    dataset = open_folder(tmp_path)
    assert [track.name for track in dataset.tracks] == ["Duo"]
    (problem,) = dataset.problems
    assert problem.startswith("Trio: celo.wav: Unknown instrument. Did you mean 'cello'?")
    assert problem.endswith(f"Received: 'celo' ({folder})")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (("mixture.wav",), "there is not one sound of an instrument"),
        (("violin.wav", "Violin.flac"), "Violin.flac, violin.wav are the same sound twice: keep one"),
        (("mixture.wav", "mixture.flac", "violin.wav"), "mixture.flac, mixture.wav are the same sound twice"),
        (("film.mp4",), "there is not one sound of an instrument"),
        (("12.wav",), "12.wav: Unknown instrument"),
    ],
)
def test_what_makes_a_track_unusable(tmp_path, files, message):
    write_track(tmp_path, "Duo", "violin.wav", "cello.wav")
    write_track(tmp_path, "Odd", *files)
    dataset = open_folder(tmp_path)
    assert [track.name for track in dataset.tracks] == ["Duo"]
    (problem,) = dataset.problems
    assert problem.startswith("Odd: ") and message in problem


def test_what_is_odd_is_a_remark(tmp_path):
    folder = write_track(tmp_path, "Duo", "violin.wav", "cello.wav", "b.mp4", "a.mkv", "score.mid")
    (folder / "old").mkdir()
    (folder / "gone.pdf").symlink_to(folder / "nowhere.pdf")
    (track,) = open_folder(tmp_path).tracks
    assert (track.mixture, track.video) == (None, folder / "a.mkv")
    assert set(track.remarks) == {
        "mixture is missing: the sum of the parts stands for it",
        "there are several videos, a.mkv was taken: a.mkv, b.mp4",
        "score.mid is neither sound nor video; not used",
        "old is neither sound nor video; not used",
        "gone.pdf cannot be opened (No such file or directory); not used",
    }


def test_what_lies_beside_the_tracks_gets_a_line(tmp_path):
    write_track(tmp_path, "Duo", "violin.wav", "cello.wav")
    (tmp_path / "stray.wav").touch()
    (tmp_path / "plan.xlsx").touch()
    (tmp_path / "README").touch()
    (tmp_path / "Again").symlink_to(tmp_path / "Duo")
    (tmp_path / "Loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    dataset = open_folder(tmp_path)
    assert [track.name for track in dataset.tracks] == ["Duo"]
    beside = "lies beside the tracks' folders, in none of them; left out"
    assert dataset.remarks == (
        f"Again: a link to {tmp_path / 'Duo'}, which is there already; left out",
        f"Loop: a link to {tmp_path}, which is there already; left out",
        f"{tmp_path / 'plan.xlsx'} {beside}",
    )
    assert dataset.problems == (
        "pipe is neither a file nor a folder; left out",
        f"{tmp_path / 'stray.wav'} {beside}",
    )


def test_names_that_are_not_utf_8_are_named_printably(tmp_path):
    write_track(tmp_path, "Duo", "violin.wav")
    raw = os.fsencode(tmp_path) + b"/Caf\xe9"
    os.mkdir(raw)
    for name in (b"cello.wav", b"b\xff.wav"):
        with open(raw + b"/" + name, "wb") as file:
            file.write(b"x")
    dataset = open_folder(tmp_path)
    (problem,) = dataset.problems
    assert problem.startswith(r"Caf%xe9: b\xff.wav: Unknown instrument") and problem.isprintable()
    os.remove(raw + b"/b\xff.wav")
    assert [track.name for track in open_folder(tmp_path).tracks] == ["Caf%xe9", "Duo"]


def test_takes_of_one_composition_stay_together(tmp_path):
    for i in range(40):
        for take in ("take1", "take2", "live"):
            write_track(tmp_path, f"Piece {i}__{take}", "violin.wav")
    dataset = open_folder(tmp_path)
    compositions = [{track.composition for track in tracks} for tracks in dataset.split().values()]
    assert all(compositions) and sum(map(len, compositions)) == len(set.union(*compositions)) == 40
    assert sum(map(len, dataset.split().values())) == 120


def test_other_taxonomies(tmp_path):
    write_track(tmp_path, "Song", "mixture.wav", "vocals.wav", "bass.wav")
    (track,) = open_dataset("folder", tmp_path, taxonomy="musdb4").tracks
    assert list(track.stems) == ["bass", "vocals"]
    assert open_folder(tmp_path, taxonomy=MUSDB_4).taxonomy == MUSDB_4
    mine = Taxonomy("mine", [Instrument("vocals", "v", "band"), Instrument("bass", "b", "band")])
    assert open_folder(tmp_path, taxonomy=mine).taxonomy == mine
    with pytest.raises(ParameterError, match="Expected a taxonomy among urmp13, musdb4. Received: 'jazz'"):
        open_folder(tmp_path, taxonomy="jazz")


def test_a_folder_without_tracks_is_an_error_with_a_hint(tmp_path):
    with pytest.raises(MediaError, match="Expected folders such as <track>/mixture.wav.*, …. Received: "):
        open_folder(tmp_path)
    folder = write_track(tmp_path, "Duo", "violin.wav")
    with pytest.raises(MediaError, match="a single track: give the folder above it"):
        open_folder(folder)


def test_datasets_are_opened_by_name(tmp_path):
    assert list(DATASETS) == ["urmp", "musdb18", "musdb18hq", "medleydb", "bach10", "folder"]
    with pytest.raises(ParameterError, match="Expected a dataset among urmp, musdb18, .*Received: 'slakh'"):
        open_dataset("slakh", tmp_path)
    with pytest.raises(ParameterError, match=r"Expected an option of folder \(taxonomy\). Received: 'labels'"):
        open_dataset("folder", tmp_path, labels=None)
    with pytest.raises(ParameterError, match=r"Expected an option of urmp \(none\). Received: 'taxonomy'"):
        open_dataset("urmp", tmp_path, taxonomy="musdb4")
    for name in DATASETS:
        with pytest.raises(MediaError, match="^Expected .*Received: [^\n]*$"):
            open_dataset(name, tmp_path)
