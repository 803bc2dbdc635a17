"""Made datasets on disk: sums to the bit, annotations that match the sound, the same bytes for a seed, always."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from av_sep.datasets.instrument_ranges import full_range
from av_sep.datasets.pitch import estimate_pitch, midi_from_hz
from av_sep.datasets.synthetic import generate as generate_module
from av_sep.datasets.synthetic.config import SyntheticConfig
from av_sep.datasets.synthetic.generate import generate, generate_piece
from av_sep.datasets.synthetic.piece import PieceNames
from av_sep.datasets.urmp import open_urmp
from av_sep.errors import MediaError, ParameterError
from av_sep.instruments import URMP_13

RATE_HZ = 24000
SECONDS = 8.0


def config_for(notes, **changes):
    return SyntheticConfig(
        **{"num_pieces": 3, "seconds": SECONDS, "seed": 5, "notes": notes, "sample_rate_hz": RATE_HZ, "video": False}
        | changes
    )


def checksums(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def made(note_library, tmp_path_factory):
    """A dataset of three pieces, and its configuration."""
    config = config_for(note_library)
    root = tmp_path_factory.mktemp("made") / "dataset"
    told = []
    folders = generate(config, root, progress=lambda *call: told.append(call))
    assert told == [("pieces", done, 3) for done in range(4)]
    return config, root, folders


def stems(folder):
    return [sf.read(path, dtype="int32", always_2d=True)[0] for path in sorted(folder.glob("AuSep_*.wav"))]


def parts(folder):
    """(instrument's abbreviation, stem float `[time]`, notes `[num_notes, 3]`, f0s `[num_frames, 2]`) of each part."""
    for path in sorted(folder.glob("AuSep_*.wav")):
        name = path.stem.removeprefix("AuSep_")
        notes = np.loadtxt(folder / f"Notes_{name}.txt", ndmin=2)
        f0s = np.loadtxt(folder / f"F0s_{name}.txt")
        yield name.split("_")[1], sf.read(path, always_2d=True)[0].mean(axis=1), notes, f0s


# What a piece is


def test_names_are_urmps():
    names = PieceNames(7, "OdeToJoy", ("violin", "double_bass"))
    assert names.folder == "0007_OdeToJoy_vn_db"
    assert names.part_file("AuSep", 1, ".wav") == "AuSep_2_db_0007_OdeToJoy.wav"
    assert names.piece_file("AuMix", ".wav") == "AuMix_0007_OdeToJoy_vn_db.wav"


def test_the_index_of_urmp_reads_it(made):
    config, root, folders = made
    dataset = open_urmp(root)
    assert not dataset.problems and [track.name for track in dataset.tracks] == [folder.name for folder in folders]
    for track, folder in zip(dataset.tracks, folders):
        named = [URMP_13.parse(short) for short in folder.name.split("_")[2:]]
        assert [part.instrument for part in track.parts] == named
        assert all("no video" in remark for remark in track.remarks)
        assert all(part.notes and part.f0s for part in track.parts)
        assert track.duration_seconds == SECONDS


def test_stems_add_up_to_the_mixture_to_the_bit(made):
    for folder in made[2]:
        mixture, rate_hz = sf.read(next(folder.glob("AuMix_*.wav")), dtype="int32", always_2d=True)
        assert rate_hz == RATE_HZ and mixture.shape == (int(SECONDS * RATE_HZ), 2)
        assert sf.info(next(folder.glob("AuMix_*.wav"))).subtype == "PCM_24"
        np.testing.assert_array_equal(sum(stem.astype(np.int64) for stem in stems(folder)), mixture)
        assert np.abs(mixture.astype(np.int64)).max() < 0.98 * 2**31


def test_parts_are_level_and_none_is_silent(made):
    for folder in made[2]:
        for _, stem, _, _ in parts(folder):
            frames = stem[: len(stem) // 1200 * 1200].reshape(-1, 1200)
            level = 20 * np.log10(np.sqrt(np.mean(frames**2, axis=1)) + 1e-12)
            sounding = level > level.max() - 40
            assert -32 < 10 * np.log10(np.mean(10 ** (level[sounding] / 10))) < -17
            assert level.min() > -110


def test_players_stand_from_left_to_right_in_sound_too(made):
    for folder in made[2]:
        sides = []
        for stem in stems(folder):
            power = np.sum(stem.astype(np.float64) ** 2, axis=0)
            sides.append((power[1] - power[0]) / power.sum())
        assert sides == sorted(sides) and (len(sides) < 2 or sides[0] < -0.25 < 0.25 < sides[-1])


def test_notes_are_heard_when_and_as_high_as_the_table_says(made):
    late, off = [], []
    for folder in made[2]:
        for instrument, stem, notes, _ in parts(folder):
            low, high = full_range(URMP_13.parse(instrument))
            assert np.all(np.diff(notes[:, 0]) > 0) and notes[0, 0] > 0.2 and (notes[:, 0] + notes[:, 2]).max() < 7.1
            ends = 0.0
            for onset, hz, duration in notes:
                assert low - 0.6 <= midi_from_hz(hz) <= high + 0.6
                if duration > 0.25:
                    heard = stem[int((onset + 0.03) * RATE_HZ) : int((onset + duration - 0.02) * RATE_HZ)]
                    pitch = estimate_pitch(heard, RATE_HZ)
                    off.append(np.inf if pitch is None else abs(pitch - midi_from_hz(hz)))
                if onset - ends > 0.25:
                    frames = stem[int((onset - 0.1) * RATE_HZ) : int((onset + 0.15) * RATE_HZ)].reshape(-1, 48)
                    level = np.sqrt(np.mean(frames**2, axis=1))
                    late.append(0.002 * np.argmax(level > level.max() * 10 ** (-15 / 20)) - 0.1)
                ends = max(ends, onset + duration)
    assert len(off) > 25 and np.mean(np.array(off) < 0.5) > 0.9 and np.median(off) < 0.1
    assert len(late) > 6 and np.mean(np.abs(late) <= 0.02) > 0.8 and abs(np.median(late)) < 0.008


def test_f0s_agree_with_the_notes(made):
    for folder in made[2]:
        for _, _, notes, f0s in parts(folder):
            voiced = np.zeros(len(f0s), bool)
            for onset, hz, duration in notes:
                inside = (f0s[:, 0] > onset + 0.01) & (f0s[:, 0] < onset + duration - 0.01)
                voiced |= (f0s[:, 0] >= onset - 0.001) & (f0s[:, 0] <= onset + duration + 0.001)
                assert np.all(np.abs(12 * np.log2(f0s[inside, 1] / hz)) < 1.0)
            assert not f0s[~voiced, 1].any()


def test_the_index_says_how_it_was_made(made):
    config, root, _ = made
    index = json.loads((root / "dataset.json").read_text())
    assert index["made_by"] == "av-sep" and index["config"]["seed"] == 5
    assert index["config"]["notes"] == str(config.notes)
    assert list(index["sources"]) == ["notes: made/cello", "notes: made/flute", "notes: made/violin"]


# Same seed, same bytes


def test_processes_order_and_number_of_pieces_change_nothing(made, tmp_path):
    """Two new processes against this one, and single pieces made backwards."""
    config, root, folders = made
    generate(config, tmp_path / "two", num_processes=2)
    assert checksums(tmp_path / "two") == checksums(root)
    (tmp_path / "single").mkdir()
    for index in (2, 0):
        folder = generate_piece(replace(config, num_pieces=50), index, tmp_path / "single")
        assert checksums(folder) == checksums(folders[index])


def test_other_seeds_give_other_pieces(made, tmp_path):
    config, _, folders = made
    folder = generate_piece(replace(config, seed=6), 0, tmp_path)
    assert set(checksums(folder).values()).isdisjoint(checksums(folders[0]).values())


def test_sounds_that_were_replaced_meanwhile_are_heard(note_library, tmp_path):
    notes = shutil.copytree(note_library, tmp_path / "notes")
    config = config_for(notes, num_pieces=1)
    before = checksums(generate(config, tmp_path / "first")[0])
    for path in notes.rglob("*.wav"):
        waveform, rate_hz = sf.read(path)
        sf.write(path, waveform[::-1], rate_hz, subtype="PCM_16")
    after = checksums(generate(config, tmp_path / "second")[0])
    assert before.keys() == after.keys()
    assert all(before[name] != after[name] for name in before if name.startswith("AuSep"))


MANY_PIECES = """
import signal, sys
from pathlib import Path
from av_sep.datasets.synthetic.generate import SyntheticConfig, generate
from av_sep.ending import exit_when_asked

if __name__ == "__main__":
    exit_when_asked(signal.SIGINT)
    notes, target, num_pieces, num_processes = sys.argv[1:]
    config = SyntheticConfig(
        num_pieces=int(num_pieces), seconds=8.0, seed=5, notes=Path(notes), sample_rate_hz=24000, video=False
    )
    generate(config, target, int(num_processes))
"""


def begin(config, target, script, *, num_pieces, num_processes):
    """A process that makes pieces, stopped as soon as one is there and something of another, and those there are."""
    script.write_text(MANY_PIECES)
    command = [sys.executable, script, config.notes, target, str(num_pieces), str(num_processes)]
    process = subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (list(target.glob("0*")) and list(target.glob(".*.part/*"))):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGSTOP)
    return process, list(target.glob("0*"))


def test_a_killed_run_goes_on_where_it_ended(made, tmp_path):
    config, root, _ = made
    target = tmp_path / "killed"
    process, finished = begin(config, target, tmp_path / "script.py", num_pieces=3, num_processes=1)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert 1 <= len(finished) < 3 and list(target.glob(".*.part"))
    before = {path: path.stat().st_mtime_ns for path in finished}
    generate(config, target)
    assert checksums(target) == checksums(root)
    assert {path: path.stat().st_mtime_ns for path in finished} == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_run_that_is_asked_to_end_makes_no_further_piece_and_leaves_none_half_made(made, tmp_path, number):
    target = tmp_path / "asked"
    process, finished = begin(made[0], target, tmp_path / "script.py", num_pieces=40, num_processes=2)
    os.killpg(process.pid, number)
    os.killpg(process.pid, signal.SIGCONT)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (128 + number, b"")
    # One of each process may have been on the point of taking its name.
    assert len(list(target.glob("0*"))) <= len(finished) + 2
    assert not list(target.glob(".*"))


def test_another_run_leaves_alone_what_a_living_one_makes(made, tmp_path):
    config, root, _ = made
    target = tmp_path / "shared"
    process, _ = begin(config, target, tmp_path / "script.py", num_pieces=3, num_processes=1)
    (half_made,) = target.glob(".*.part")
    generate(replace(config, num_pieces=1), target)
    assert list(half_made.iterdir())
    os.killpg(process.pid, signal.SIGCONT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, b"")
    generate(config, target)
    assert checksums(target) == checksums(root)


def make_or_fail(config, root, index):
    if index == 0:
        raise MediaError("the first cannot be made")
    time.sleep(0.5)
    (root / f"{index + 1:04d}_made").mkdir()
    return root / f"{index + 1:04d}_made"


def test_a_piece_that_fails_is_told_before_the_others_are_made(made, tmp_path, monkeypatch):
    monkeypatch.setattr(generate_module, "_make", make_or_fail)
    with pytest.raises(MediaError, match="the first cannot be made"):
        generate(replace(made[0], num_pieces=40), tmp_path / "new", num_processes=2)
    # What the other process had begun.
    assert len(list((tmp_path / "new").glob("0*"))) <= 2


def test_a_dataset_can_grow_but_not_change(made, tmp_path, note_library):
    config, _, folders = made
    generate(replace(config, num_pieces=1), tmp_path / "growing")
    grown = generate(replace(config, num_pieces=2), tmp_path / "growing")
    assert [checksums(folder) for folder in grown] == [checksums(folder) for folder in folders[:2]]
    with pytest.raises(ParameterError, match=r"made otherwise \(seconds, seed\)"):
        generate(replace(config, seed=1, seconds=9.0), tmp_path / "growing")


def make_empty(config, root, index):
    (root / f"{index + 1:04d}_Empty_vn").mkdir()
    return root / f"{index + 1:04d}_Empty_vn"


@pytest.fixture
def source_files(note_library, tmp_path):
    """A configuration with sources of every kind, whose files are named as such and no more."""
    shutil.copytree(note_library, tmp_path / "notes")
    contents = {
        "font.sf2": b"RIFF\x10\0\0\0sfbk and its sounds",
        "scores/old/ode.mid": b"MThd and its tunes",
        "pictures/violin/anna.png": b"a violinist",
        "pictures/violin/ben.png": b"another",
    }
    for name, content in contents.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return config_for(
        tmp_path / "notes", num_pieces=1, soundfonts=(tmp_path / "font.sf2",), scores=tmp_path / "scores",
        pictures=tmp_path / "pictures", video=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    "name, told",
    [
        ("notes/made/violin/G3.wav", "notes: made/violin"),
        ("font.sf2", "soundfont 1: font.sf2"),
        ("scores/old/ode.mid", "scores"),
        ("pictures/violin/anna.png", "pictures: violin"),
    ],
)
def test_a_source_replaced_by_another_of_its_name_and_size_is_noticed(
    source_files, tmp_path, monkeypatch, name, told
):
    monkeypatch.setattr(generate_module, "_make", make_empty)
    generate(source_files, tmp_path / "made")
    before = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    with pytest.raises(ParameterError, match=rf"made otherwise \({told}\); choose another folder"):
        generate(replace(source_files, num_pieces=2), tmp_path / "made")
    # The same files again, but newer.
    (tmp_path / name).write_bytes(before)
    assert len(generate(replace(source_files, num_pieces=2), tmp_path / "made")) == 2


def test_files_that_change_places_are_noticed(source_files, tmp_path, monkeypatch):
    monkeypatch.setattr(generate_module, "_make", make_empty)
    generate(source_files, tmp_path / "made")
    anna, ben = (tmp_path / "pictures" / "violin" / name for name in ("anna.png", "ben.png"))
    anna.rename(tmp_path / "aside")
    ben.rename(anna)
    (tmp_path / "aside").rename(ben)
    with pytest.raises(ParameterError, match="pictures: violin"):
        generate(source_files, tmp_path / "made")


def test_a_folder_with_something_else_is_left_alone(made, tmp_path):
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(ParameterError, match="holds something else"):
        generate(made[0], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


@pytest.mark.parametrize("name", ["0001 old copy", "0002old_copy", "0003", "2024-05 takes", "²²²²_squares"])
def test_folders_beside_the_pieces_are_not_taken_for_pieces(made, tmp_path, name):
    config, root, _ = made
    shutil.copytree(root, tmp_path / "dataset")
    (tmp_path / "dataset" / name).mkdir()
    folders = generate(config, tmp_path / "dataset")
    assert [folder.name for folder in folders] == [folder.name for folder in made[2]]


def test_a_piece_appears_complete_or_not_at_all(made, tmp_path, monkeypatch):
    def full_disk(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(generate_module, "write_annotations", full_disk)
    with pytest.raises(MediaError, match="Cannot write .*0001_.*No space left"):
        generate_piece(made[0], 0, tmp_path)
    assert not list(tmp_path.iterdir())


def die(config, root, index):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_dies_is_one_line(made, tmp_path, monkeypatch):
    monkeypatch.setattr(generate_module, "_make", die)
    with pytest.raises(MediaError, match="fewer processes"):
        generate(made[0], tmp_path / "new", num_processes=2)


# Options


def test_one_channel_and_chosen_instruments(note_library, tmp_path):
    config = config_for(note_library, num_channels=1, instruments=("cello",), min_players=3, max_players=3)
    folder = generate_piece(config, 0, tmp_path)
    assert folder.name.endswith("_vc_vc_vc")
    assert all(stem.shape == (int(SECONDS * RATE_HZ), 1) for stem in stems(folder))


def test_the_film_comes_with_boxes_and_changes_nothing_else(made, tmp_path):
    config, _, folders = made
    folder = generate_piece(replace(config, video=True, width=160, height=96, fps=10.0), 0, tmp_path)
    both = checksums(folder)
    assert {name: both[name] for name in checksums(folders[0])} == checksums(folders[0])
    rows = next(folder.glob("Boxes_*.csv")).read_text().splitlines()
    assert rows[0] == "time_seconds,player,instrument,x1,y1,x2,y2"
    instruments = [URMP_13.parse(short) for short in folder.name.split("_")[2:]]
    first = [row.split(",") for row in rows[1 : 1 + len(instruments)]]
    assert [row[2] for row in first] == instruments
    centres = [int(row[3]) + int(row[5]) for row in first]
    assert centres == sorted(centres)
    track = open_urmp(tmp_path).tracks[0]
    assert track.video is not None and track.boxes is not None


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"seconds": 1.0}, "seconds between 6 and 3600. Received: 1.0"),
        ({"num_channels": 3}, "num_channels between 1 and 2"),
        ({"min_players": 4, "max_players": 3}, "max_players between 4 and 8"),
        ({"instruments": ("kazoo",)}, "kazoo"),
        ({"instruments": ()}, "at least one instrument"),
        ({"seed": -1}, "seed between"),
        ({"num_pieces": 0}, "num_pieces between 1 and 9999"),
    ],
)
def test_impossible_settings_are_refused(changes, message):
    with pytest.raises(ParameterError, match=message):
        config_for(Path("notes"), **changes)


def test_instruments_without_sounds_are_refused_before_anything_is_made(note_library, tmp_path):
    with pytest.raises(ParameterError, match="no sounds for this instrument. Received: 'tuba'"):
        generate(config_for(note_library, instruments=("violin", "tuba")), tmp_path / "new")
    assert not (tmp_path / "new").exists()
