"""The indexes of MUSDB18 and MUSDB18-HQ, on miniature trees with real stems files: five sines in one mp4."""

import os
import shutil
import subprocess

import numpy as np
import pytest
import soundfile

from av_sep.datasets.index import open_dataset
from av_sep.datasets.label_tables import MUSDB, LabelTable
from av_sep.datasets.musdb import VALIDATION_TRACKS, open_musdb18, open_musdb18hq
from av_sep.datasets.splits import describe_split
from av_sep.errors import MediaError, ParameterError
from av_sep.instruments import MUSDB_4, URMP_13
from av_sep.media import ffmpeg_executable, read_audio

RATE_HZ = 44100
# In the order of the streams of MUSDB18's files, by its authors' package (stem_ids in mus.yaml).
STREAMS_HZ = {"mixture": 300, "drums": 500, "bass": 700, "other": 900, "vocals": 1100}
TRAIN = ("A Band - First", "A Band - Second", "Leaf - Summerghost", "Young Griffo - Pennies")
TEST = ("A Band - Third", "Somebody - Else")


@pytest.fixture(scope="module")
def stem_file(tmp_path_factory):
    sources, maps = [], []
    for i, frequency_hz in enumerate(STREAMS_HZ.values()):
        sources += ["-f", "lavfi", "-i", f"sine={frequency_hz}:duration=1:sample_rate={RATE_HZ}"]
        maps += ["-map", str(i)]
    path = tmp_path_factory.mktemp("stems") / "song.stem.mp4"
    arguments = [*sources, *maps, "-ac", "2", "-c:a", "aac", str(path)]
    subprocess.run([ffmpeg_executable(), "-v", "error", "-y", *arguments], check=True)
    return path


@pytest.fixture
def stems_root(tmp_path, stem_file):
    for side, names in (("train", TRAIN), ("test", TEST)):
        (tmp_path / side).mkdir()
        for name in names:
            shutil.copy(stem_file, tmp_path / side / f"{name}.stem.mp4")
    (tmp_path / "README.md").touch()
    return tmp_path


def write_song(folder, seconds=0.1):
    folder.mkdir(parents=True)
    for i, name in enumerate(STREAMS_HZ):
        soundfile.write(folder / f"{name}.wav", np.full((int(seconds * RATE_HZ), 2), i / 16), RATE_HZ)


@pytest.fixture
def wav_root(tmp_path):
    for side, names in (("train", TRAIN), ("test", TEST)):
        for name in names:
            write_song(tmp_path / side / name)
    return tmp_path


def without_counts(problems):
    return [line for line in problems if not line.startswith("MUSDB18 has")]


def names(tracks):
    return [track.name for track in tracks]


def test_every_stem_is_the_stream_of_its_name(stems_root):
    dataset = open_dataset("musdb18", stems_root)
    assert names(dataset.tracks) == sorted([*TRAIN, *TEST])
    track = dataset.tracks[0]
    heard = {part.instrument: part.sound for part in track.parts} | {"mixture": track.mixture}
    assert list(track.stems) == ["drums", "bass", "other", "vocals"]
    for name, sound in heard.items():
        waveform, sample_rate_hz = read_audio(sound.path, sound.stream_index)
        assert np.argmax(np.abs(np.fft.rfft(waveform[:sample_rate_hz, 0]))) == STREAMS_HZ[name]
    assert track.duration_seconds == pytest.approx(1.0, abs=0.05)
    assert track.files == (stems_root / "train" / "A Band - First.stem.mp4",)
    assert (track.video, track.remarks) == (None, ())
    assert dataset.instruments(track) == MUSDB_4.names


def test_every_stem_is_the_file_of_its_name(wav_root):
    dataset = open_dataset("musdb18hq", wav_root)
    assert names(dataset.tracks) == sorted([*TRAIN, *TEST])
    for track in dataset.tracks:
        assert track.mixture.path.name == "mixture.wav"
        assert {part.sound.path.name for part in track.parts} == {f"{name}.wav" for name in MUSDB_4.names}
        assert all(part.sound.path.name == f"{part.instrument}.wav" for part in track.parts)
        assert all(part.sound.path.parent.name == track.name for part in track.parts)
    assert dataset.tracks[0].duration_seconds == pytest.approx(0.1)


@pytest.mark.parametrize("kind", ["musdb18", "musdb18hq"])
def test_the_published_split_is_the_folders_less_the_14_validation_songs(kind, request):
    dataset = open_dataset(kind, request.getfixturevalue("stems_root" if kind == "musdb18" else "wav_root"))
    sides = {side: names(tracks) for side, tracks in dataset.split().items()}
    assert sides == {
        "train": ["A Band - First", "A Band - Second"],
        "validation": ["Leaf - Summerghost", "Young Griffo - Pennies"],
        "test": ["A Band - Third", "Somebody - Else"],
    }
    assert next(iter(dataset.splits)) == "musdb"
    assert describe_split(dataset).endswith("on more than one side: A Band")


def test_there_are_14_distinct_validation_songs():
    assert len(set(VALIDATION_TRACKS)) == 14
    assert all(len(name.split(" - ")) == 2 for name in VALIDATION_TRACKS)


def test_by_artist_nobody_straddles(wav_root):
    for i in range(40):
        for song in ("One", "Two"):
            write_song(wav_root / ("train" if song == "One" else "test") / f"Artist {i} - {song}", seconds=0.01)
    dataset = open_musdb18hq(wav_root)
    sides = dataset.split("artist")
    artists = [{track.name.split(" - ")[0] for track in tracks} for tracks in sides.values()]
    assert sum(map(len, artists)) == len(set.union(*artists)) == 44
    assert sum(map(len, sides.values())) == len(dataset.tracks)
    assert all(artists)


def test_fewer_songs_than_published_are_counted(stems_root):
    assert open_musdb18(stems_root).problems == (
        "MUSDB18 has 100 tracks in train, here are 4",
        "MUSDB18 has 50 tracks in test, here are 2",
    )
    shutil.rmtree(stems_root / "test")
    dataset = open_musdb18(stems_root)
    assert f"the folder test is missing in {stems_root}" in dataset.problems
    assert names(dataset.split()["test"]) == [] and len(dataset.tracks) == 4


def test_a_missing_stem_is_a_problem_and_a_missing_mixture_a_remark(wav_root):
    (wav_root / "train" / TRAIN[0] / "bass.wav").unlink()
    (wav_root / "test" / TEST[1] / "mixture.wav").unlink()
    dataset = open_musdb18hq(wav_root)
    folder = wav_root / "train" / TRAIN[0]
    assert without_counts(dataset.problems) == [f"A Band - First: bass.wav is missing ({folder})"]
    assert TRAIN[0] not in names(dataset.tracks) and len(dataset.tracks) == 5
    track = dataset.tracks[-2]
    assert (track.name, track.mixture) == ("Somebody - Else", None)
    assert track.remarks == ("mixture.wav is missing: the sum of the stems stands for it",)


def test_a_stem_given_twice_is_a_problem_and_known_sums_are_passed_over(wav_root):
    shutil.copy(wav_root / "train" / TRAIN[0] / "bass.wav", wav_root / "train" / TRAIN[0] / "Bass.flac")
    for name in ("accompaniment.wav", "linear_mixture.wav", "piano.wav"):
        shutil.copy(wav_root / "test" / TEST[1] / "bass.wav", wav_root / "test" / TEST[1] / name)
    dataset = open_musdb18hq(wav_root)
    (problem,) = without_counts(dataset.problems)
    assert "A Band - First: Bass.flac, bass.wav are the same stem twice: keep one" in problem
    (track,) = [track for track in dataset.tracks if track.name == TEST[1]]
    assert track.remarks == ("piano.wav is no file of MUSDB18-HQ's; not used",)


def test_what_is_no_track_gets_a_line(stems_root):
    (stems_root / "train" / "A Band - First").mkdir()
    (stems_root / "train" / "loose.wav").touch()
    (stems_root / "valid").mkdir()
    (stems_root / "test" / "gone.stem.mp4").symlink_to(stems_root / "nowhere")
    problems = without_counts(open_musdb18(stems_root).problems)
    assert problems == [
        f"{stems_root / 'valid'} is neither the folder train nor test; left out",
        "test/gone.stem.mp4 cannot be opened (No such file or directory); left out",
        f"{stems_root / 'train' / 'A Band - First'} is no *.stem.mp4 file; left out",
        f"{stems_root / 'train' / 'loose.wav'} is no *.stem.mp4 file; left out",
    ]


def test_one_song_on_both_sides_keeps_two_names(wav_root):
    write_song(wav_root / "test" / TRAIN[0])
    dataset = open_musdb18hq(wav_root)
    assert [name for name in names(dataset.tracks) if "First" in name] == ["A Band - First", "A Band - First-2"]
    assert len(dataset.tracks) == 7


def test_links_between_songs_are_named(wav_root):
    (wav_root / "train" / "Copy - Cat").symlink_to(wav_root / "train" / TRAIN[0])
    (wav_root / "train" / "Loop - Loop").symlink_to(wav_root / "train")
    dataset = open_musdb18hq(wav_root)
    assert len(dataset.tracks) == 6
    assert without_counts(dataset.problems) == []
    assert [line.split(":")[0] for line in dataset.remarks] == ["Copy - Cat", "Loop - Loop"]
    assert all("which is there already; left out" in line for line in dataset.remarks)


def test_a_name_that_is_not_utf_8_is_printable(stems_root, stem_file):
    shutil.copy(stem_file, os.fsdecode(os.fsencode(stems_root) + b"/test/Caf\xe9 - Song.stem.mp4"))
    (track,) = [track for track in open_musdb18(stems_root).tracks if track.name.startswith("Caf")]
    assert (track.name, track.composition) == ("Caf%xe9 - Song", "Caf%xe9")
    assert len(read_audio(track.parts[0].sound.path, track.parts[0].sound.stream_index)[0]) > 40000


def test_the_other_form_of_musdb_is_pointed_to(stems_root, tmp_path_factory):
    with pytest.raises(MediaError, match=r"Expected MUSDB18-HQ.*\(\*.stem.mp4 files are musdb18\). Received: "):
        open_musdb18hq(stems_root)
    root = tmp_path_factory.mktemp("hq")
    write_song(root / "train" / TRAIN[0])
    with pytest.raises(MediaError, match=r"Expected MUSDB18: .*\(folders of WAV files are musdb18hq\). Received: "):
        open_musdb18(root)


@pytest.mark.parametrize("opener", [open_musdb18, open_musdb18hq])
def test_an_empty_folder_is_an_error_that_says_what_was_expected(opener, tmp_path):
    with pytest.raises(MediaError, match="Expected MUSDB18.*train/.*Received: ") as caught:
        opener(tmp_path)
    assert "\n" not in str(caught.value)


def test_another_table_renames_stems_and_drops_the_mixture_where_some_are_left_out(wav_root, tmp_path):
    strings = LabelTable(URMP_13, {"bass": "double_bass", "drums": None})
    dataset = open_musdb18hq(wav_root, labels=strings)
    track = dataset.tracks[0]
    assert (list(track.stems), track.mixture, dataset.taxonomy) == (["double_bass"], None, URMP_13)
    assert track.parts[0].sound.path.name == "bass.wav"
    assert "left out, as urmp13 has no such instrument: drums, other, vocals" in track.remarks[0]
    (tmp_path / "labels.csv").write_text("label, instrument\nBass, other\n")
    dataset = open_musdb18hq(wav_root, labels=str(tmp_path / "labels.csv"))
    assert {name: len(sounds) for name, sounds in dataset.tracks[0].stems.items()} == {
        "drums": 1,
        "other": 2,
        "vocals": 1,
    }
    assert MUSDB.instrument("bass") == "bass"


def test_a_table_of_labels_is_checked(tmp_path):
    with pytest.raises(ParameterError, match="Received: 'kazoo'"):
        MUSDB.extended({"kazoo": "kazoo"})
    (tmp_path / "labels.csv").write_text("label,instrument\nsynth,other\nchoir,kazoos\n")
    with pytest.raises(MediaError, match="labels.csv, line 3: Unknown instrument.*Received: 'kazoos'"):
        MUSDB.extended_from(tmp_path / "labels.csv")
    (tmp_path / "labels.csv").write_text("name,instrument\nsynth,other\n")
    with pytest.raises(MediaError, match="Expected the columns label, instrument. Received: name, instrument"):
        MUSDB.extended_from(tmp_path / "labels.csv")
    (tmp_path / "labels.csv").write_text("label,instrument\n Synth Pad ,dr\nchoir,\n")
    table = MUSDB.extended_from(tmp_path / "labels.csv")
    assert (table.instrument("synth  PAD"), table.instrument("choir"), table.instrument("bass")) == (
        "drums",
        None,
        "bass",
    )
