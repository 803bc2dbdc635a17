"""Notes, fundamental frequencies and boxes: read as written, and malformed lines named."""

import numpy as np
import pytest
from scipy.io import savemat

from av_sep.datasets.annotations import BOX_COLUMNS, read_boxes, read_f0s, read_notes
from av_sep.errors import MediaError


def test_notes_are_read_as_urmp_writes_them(tmp_path):
    path = tmp_path / "Notes_1_vn_01_Jupiter.txt"
    path.write_bytes(b"0.5106\t\t293.665\t\t1.032\r\n1.6 440 0.25\n\n  2.5\t1.2e3\t0\n")
    notes = read_notes(str(path))
    assert list(notes.columns) == ["onset_seconds", "pitch_hz", "duration_seconds"]
    assert all(dtype == np.float64 for dtype in notes.dtypes)
    np.testing.assert_array_equal(notes, [[0.5106, 293.665, 1.032], [1.6, 440, 0.25], [2.5, 1200, 0]])


def test_f0s_are_read_as_urmp_writes_them(tmp_path):
    path = tmp_path / "F0s_1_vn_01_Jupiter.txt"
    path.write_text("0.000\t0.000\n0.010\t441.5\n")
    f0s = read_f0s(path)
    assert list(f0s.columns) == ["time_seconds", "f0_hz"]
    np.testing.assert_array_equal(f0s, [[0, 0], [0.01, 441.5]])


def test_blank_lines_alone_are_no_notes(tmp_path):
    (tmp_path / "notes.txt").write_text("\n\n")
    notes = read_notes(tmp_path / "notes.txt")
    assert notes.shape == (0, 3) and list(notes.columns)[0] == "onset_seconds"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"0.5 440", "'0.5 440'"),
        (b"0.5 440 1.0 7", "'0.5 440 1.0 7'"),
        (b"0.5 A4 1.0", "'0.5 A4 1.0'"),
        (b"0.5 nan 1.0", "'0.5 nan 1.0'"),
        (b"0.5 inf 1.0", "'0.5 inf 1.0'"),
        (b"-0.5 440 1.0", "'-0.5 440 1.0'"),
        (b"0.5 0 1.0", "'0.5 0 1.0'"),
        (b"0.5 440 -1.0", "'0.5 440 -1.0'"),
        (b"0.5 4\xff0 1.0", r"'0.5 4\\xff0 1.0'"),
    ],
)
def test_a_malformed_note_is_an_error_with_its_line(tmp_path, line, shown):
    path = tmp_path / "notes.txt"
    path.write_bytes(b"0.1 440 0.2\n\n" + line + b"\n0.9 440 0.2\n")
    with pytest.raises(MediaError) as caught:
        read_notes(path)
    assert f"{path}, line 3: Expected " in str(caught.value)
    assert str(caught.value).endswith(f": onset_seconds, pitch_hz, duration_seconds. Received: {shown}")


@pytest.mark.parametrize("line", ["0.1", "0.1 0 0", "-0.1 440", "0.1 -440", "0.1 la"])
def test_a_malformed_f0_is_an_error_with_its_line(tmp_path, line):
    (tmp_path / "f0s.txt").write_text(f"0.0 0.0\n{line}\n")
    with pytest.raises(MediaError, match="f0s.txt, line 2: Expected .*: time_seconds, f0_hz. Received: "):
        read_f0s(tmp_path / "f0s.txt")


@pytest.mark.parametrize("reader", [read_notes, read_f0s, read_boxes])
def test_missing_and_empty_files_are_errors(tmp_path, reader):
    with pytest.raises(MediaError, match="There is no such file. Received: .*nowhere.txt"):
        reader(tmp_path / "nowhere.txt")
    (tmp_path / "empty.txt").touch()
    with pytest.raises(MediaError, match="empty .0 bytes.. Received: .*empty.txt"):
        reader(tmp_path / "empty.txt")


def write_bach10_notes(path, parts):
    """GTNotes as MATLAB cell arrays: parts of notes of `[2, frames]`."""
    cells = np.empty((len(parts), 1), object)
    for i, notes in enumerate(parts):
        cells[i, 0] = np.empty((len(notes), 1), object)
        for j, note in enumerate(notes):
            cells[i, 0][j, 0] = np.asarray(note)
    savemat(path, {"GTNotes": cells})


def test_bach10s_f0s_are_midi_numbers_every_10_ms_from_23_ms_on(tmp_path):
    savemat(tmp_path / "x-GTF0s.mat", {"GTF0s": np.array([[69.0, 0.0, 70.0], [57.0, 57.5, 0.0]])})
    f0s = read_f0s(tmp_path / "x-GTF0s.mat", 1)
    np.testing.assert_allclose(f0s["time_seconds"], [0.023, 0.033, 0.043])
    # MIDI 57 is A3, 220 Hz; half a semitone is a quarter tone, 2^(1/24).
    np.testing.assert_allclose(f0s["f0_hz"], [220.0, 220.0 * 2 ** (1 / 24), 0.0])
    np.testing.assert_allclose(read_f0s(tmp_path / "x-GTF0s.mat")["f0_hz"], [440.0, 0.0, 466.1638], rtol=1e-6)


def test_bach10s_notes_go_from_their_first_frame_to_their_last(tmp_path):
    soprano = [[[1, 2, 3], [69.2, 69.0, 60.0]]]
    alto = [[[11], [60]], [[12, 13], [62, 62]]]
    write_bach10_notes(tmp_path / "x-GTNotes.mat", [soprano, alto])
    first, second = (read_notes(tmp_path / "x-GTNotes.mat", row) for row in range(2))
    np.testing.assert_allclose(first, [[0.023, 440.0, 0.03]])
    np.testing.assert_allclose(second["onset_seconds"], [0.123, 0.133])
    np.testing.assert_allclose(second["duration_seconds"], [0.01, 0.02])
    np.testing.assert_allclose(second["pitch_hz"], [261.6256, 293.6648], rtol=1e-6)


def test_matlab_files_that_cannot_be_used_are_errors_in_one_line(tmp_path):
    path = tmp_path / "x.mat"
    for content in (b"not MATLAB", b"MATLAB 5.0 MAT-file" + bytes(200), b"\x89HDF\r\n\x1a\n" + bytes(200)):
        path.write_bytes(content)
        with pytest.raises(MediaError, match="Expected a (MATLAB file|variable GTF0s).*Received: .*x.mat") as caught:
            read_f0s(path)
        assert "\n" not in str(caught.value)
    savemat(path, {"other": 1})
    with pytest.raises(MediaError, match="Expected a variable GTNotes. Received: other in .*x.mat"):
        read_notes(path)
    savemat(path, {"GTF0s": np.zeros((4, 5))})
    with pytest.raises(MediaError, match=r"with a row 4. Received: float64 \[4, 5\]"):
        read_f0s(path, 4)
    write_bach10_notes(path, [[[[1, 2], [60, 60]]]])
    with pytest.raises(MediaError, match="notes of a part 1. Received: 1 parts in .*x.mat"):
        read_notes(path, 1)
    write_bach10_notes(path, [[[[1, 2, 3]]]])
    with pytest.raises(MediaError, match=r"Expected a note as \[2, frames\]. Received: .*\[1, 3\]"):
        read_notes(path)


def test_a_matlab_file_cut_short_is_an_error(tmp_path):
    path = tmp_path / "x.mat"
    savemat(path, {"GTF0s": np.random.default_rng(0).uniform(40, 80, (4, 500))}, do_compression=True)
    data = path.read_bytes()
    for fraction in (0.02, 0.05, 0.5, 0.9, 0.99):
        path.write_bytes(data[: int(len(data) * fraction)])
        with pytest.raises(MediaError):
            read_f0s(path)


def test_boxes_are_read_with_their_players(tmp_path):
    path = tmp_path / "Boxes_0001_Minuet_vn_vc.csv"
    path.write_text(",".join(BOX_COLUMNS) + "\n0.0,1,violin,10,20.5,30,40\n0.5,2, cello,1,2,3,4\n")
    boxes = read_boxes(path)
    assert list(boxes["instrument"]) == ["violin", "cello"]
    assert list(boxes["player"]) == [1, 2]
    np.testing.assert_array_equal(boxes[["x1", "y1", "x2", "y2"]], [[10, 20.5, 30, 40], [1, 2, 3, 4]])


def test_boxes_that_are_none_are_errors(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_text("time,player\n0,1\n")
    with pytest.raises(MediaError, match="Expected the columns time_seconds, player, .*Received: time, player in"):
        read_boxes(path)
    header = ",".join(BOX_COLUMNS)
    path.write_text(f"{header}\n0.0,1,violin,10,20,30,40\n0.5,1,violin,10,?,30,40\n")
    with pytest.raises(MediaError, match=r"boxes.csv, line 3: Expected numbers. Received: 0.5, 10, \?, 30, 40"):
        read_boxes(path)
    path.write_text(f"{header}\n0.0,1,violin,10,20,30\n")
    with pytest.raises(MediaError, match="boxes.csv, line 2: Expected 7 values. Received: 6"):
        read_boxes(path)
    path.write_text(f"{header}\n7,0.0,1,violin,10,20,30,40\n")
    with pytest.raises(MediaError, match="boxes.csv, line 2: Expected 7 values. Received: 8"):
        read_boxes(path)
    path.write_text(f"{header}\n0.0,1,violin,10,20,30,40\n0.0,2,vc,10,20,30,40\n")
    with pytest.raises(MediaError, match="boxes.csv, line 3: Expected one of violin, viola, .*. Received: 'vc'"):
        read_boxes(path)
    path.write_bytes(f"{header}\n0.0,1,viol\xe9,10,20,30,40\n".encode("latin-1"))
    with pytest.raises(MediaError, match="Expected a CSV table .*boxes.csv"):
        read_boxes(path)
