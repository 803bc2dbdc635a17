"""The index of Bach10, on miniature trees with its file names, annotations written by scipy."""

import numpy as np
import pytest
import soundfile
from scipy.io import savemat

from av_sep.datasets.annotations import read_f0s, read_notes
from av_sep.datasets.bach10 import open_bach10
from av_sep.datasets.index import open_dataset
from av_sep.datasets.splits import describe_split
from av_sep.errors import MediaError

RATE_HZ = 8000
# As the real files spell them.
ENDS = ("violin", "clarinet", "saxphone", "bassoon")
INSTRUMENTS = ("violin", "clarinet", "saxophone", "bassoon")


def write_piece(root, name):
    folder = root / name
    folder.mkdir(parents=True)
    for i, end in enumerate(("", *(f"-{end}" for end in ENDS))):
        soundfile.write(folder / f"{name}{end}.wav", np.full(1600, i / 16), RATE_HZ)
    savemat(folder / f"{name}-GTF0s.mat", {"GTF0s": np.array([[69.0, 0], [60, 60], [57, 0], [48, 48]])})
    notes = np.empty((4, 1), object)
    for row in range(4):
        notes[row, 0] = np.empty((1, 1), object)
        notes[row, 0][0, 0] = np.array([[11.0, 12], [81 - 12 * row, 81 - 12 * row]])
    savemat(folder / f"{name}-GTNotes.mat", {"GTNotes": notes})
    for suffix in ("mid", "txt"):
        (folder / f"{name}.{suffix}").touch()
    return folder


@pytest.fixture
def root(tmp_path):
    write_piece(tmp_path, "01-AchGottundHerr")
    write_piece(tmp_path, "02-AchLiebenChristen")
    (tmp_path / "Readme.pdf").touch()
    return tmp_path


def test_a_piece_has_four_parts_in_the_order_of_its_annotations(root):
    dataset = open_dataset("bach10", root)
    assert dataset.problems == ("Bach10 has 10 pieces, here are 2",)
    track = dataset.tracks[0]
    assert (track.name, track.composition, track.remarks) == ("01-AchGottundHerr", "AchGottundHerr", ())
    assert tuple(part.instrument for part in track.parts) == INSTRUMENTS
    assert [part.sound.path.stem.split("-")[-1] for part in track.parts] == list(ENDS)
    assert track.mixture.path == root / "01-AchGottundHerr" / "01-AchGottundHerr.wav"
    assert track.duration_seconds == pytest.approx(0.2)
    assert len(track.files) == 7


def test_each_part_finds_its_row_of_the_annotations(root):
    parts = open_bach10(root).tracks[0].parts
    notes = [read_notes(part.notes, part.annotation_row) for part in parts]
    # An octave is a factor of two; the row of the violin holds A5.
    assert [frame["pitch_hz"][0] for frame in notes] == pytest.approx([880.0, 440.0, 220.0, 110.0])
    f0s = [read_f0s(part.f0s, part.annotation_row)["f0_hz"] for part in parts]
    assert [f0[0] for f0 in f0s] == pytest.approx([440.0, 261.6256, 220.0, 130.8128], rel=1e-5)


def test_the_right_spelling_of_saxophone_is_fine_too_but_not_both(root):
    folder = root / "01-AchGottundHerr"
    (folder / "01-AchGottundHerr-saxphone.wav").rename(folder / "01-AchGottundHerr-saxophone.wav")
    assert len(open_bach10(root).tracks) == 2
    (folder / "01-AchGottundHerr-saxphone.wav").touch()
    dataset = open_bach10(root)
    assert [track.name for track in dataset.tracks] == ["02-AchLiebenChristen"]
    assert "saxophone.wav, 01-AchGottundHerr-saxphone.wav are the same part twice: keep one" in dataset.problems[1]


def test_a_missing_part_is_a_problem_and_the_rest_are_remarks(root):
    one, two = root / "01-AchGottundHerr", root / "02-AchLiebenChristen"
    (one / "01-AchGottundHerr-clarinet.wav").unlink()
    for end in (".wav", "-GTF0s.mat"):
        (two / f"02-AchLiebenChristen{end}").unlink()
    (two / "organ.wav").touch()
    dataset = open_bach10(root)
    assert dataset.problems[1:] == (f"01-AchGottundHerr: 01-AchGottundHerr-clarinet.wav is missing ({one})",)
    (track,) = dataset.tracks
    assert track.mixture is None
    assert all(part.f0s is None and part.notes is not None for part in track.parts)
    assert set(track.remarks) == {
        "organ.wav is no file of Bach10's; not used",
        "02-AchLiebenChristen-GTF0s.mat is missing",
        "02-AchLiebenChristen.wav is missing: the sum of the parts stands for the mixture",
    }


def test_what_is_no_piece_gets_a_line(root):
    (root / "backup").mkdir()
    (root / "loose.wav").touch()
    (root / "Code").mkdir()
    (root / "03-Loop").symlink_to(root)
    dataset = open_bach10(root)
    assert dataset.remarks == (f"03-Loop: a link to {root}, which is there already; left out",)
    assert dataset.problems[:2] == (
        f"{root / 'backup'} is not a folder NN-<Name>; left out",
        f"{root / 'loose.wav'} is not a folder NN-<Name>; left out",
    )


def test_all_ten_are_on_some_side(tmp_path):
    for i in range(10):
        write_piece(tmp_path, f"{i + 1:02d}-Chorale{i}")
    dataset = open_bach10(tmp_path)
    assert dataset.problems == ()
    assert sum(map(len, dataset.split().values())) == 10
    assert describe_split(dataset).startswith("bach10, split composition: train ")


def test_a_folder_that_is_not_bach10_is_an_error(tmp_path):
    with pytest.raises(MediaError, match="Expected Bach10: folders such as 01-AchGottundHerr. Received: "):
        open_bach10(tmp_path)
