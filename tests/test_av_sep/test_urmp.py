"""The index of URMP, on miniature trees in its layout with every trap that the real one has, and some of our own."""

import json
import os
import subprocess

import numpy as np
import pytest
import soundfile

from av_sep.datasets.index import open_dataset
from av_sep.datasets.splits import describe_split
from av_sep.datasets.urmp import open_urmp
from av_sep.errors import MediaError
from av_sep.instruments import URMP_13
from av_sep.media import ffmpeg_executable, read_audio

RATE_HZ = 8000
# The folders of the real download.
PIECES = """
01_Jupiter_vn_vc 02_Sonata_vn_vn 03_Dance_fl_cl 04_Allegro_fl_fl 05_Entertainer_tpt_tpt 06_Entertainer_sax_sax
07_GString_tpt_tbn 08_Spring_fl_vn 09_Jesus_tpt_vn 10_March_tpt_sax 11_Maria_ob_vc 12_Spring_vn_vn_vc 13_Hark_vn_vn_va
14_Waltz_fl_fl_cl 15_Surprise_tpt_tpt_tbn 16_Surprise_tpt_tpt_sax 17_Nocturne_vn_fl_cl 18_Nocturne_vn_fl_tpt
19_Pavane_cl_vn_vc 20_Pavane_tpt_vn_vc 21_Rejouissance_cl_tbn_tba 22_Rejouissance_sax_tbn_tba
23_Rejouissance_cl_sax_tba 24_Pirates_vn_vn_va_vc 25_Pirates_vn_vn_va_sax 26_King_vn_vn_va_vc 27_King_vn_vn_va_sax
28_Fugue_fl_ob_cl_bn 29_Fugue_fl_fl_ob_cl 30_Fugue_fl_fl_ob_sax 31_Slavonic_tpt_tpt_hn_tbn 32_Fugue_vn_vn_va_vc
33_Elise_tpt_tpt_hn_tbn 34_Fugue_tpt_tpt_hn_tbn 35_Rondeau_vn_vn_va_db 36_Rondeau_vn_vn_va_vc 37_Rondeau_fl_vn_va_cl
38_Jerusalem_vn_vn_va_vc_db 39_Jerusalem_vn_vn_va_sax_db 40_Miserere_fl_fl_ob_cl_bn 41_Miserere_fl_fl_ob_sax_bn
42_Arioso_tpt_tpt_hn_tbn_tba 43_Chorale_tpt_tpt_hn_tbn_tba 44_K515_vn_vn_va_va_vc
""".split()


def write_sound(path, seconds=0.1, value=0.25):
    soundfile.write(path, np.full(int(seconds * RATE_HZ), value), RATE_HZ)


def write_piece(root, name, seconds=0.1):
    """A folder as URMP has them; part n of the sound is constant n / 16."""
    folder = root / name
    folder.mkdir(parents=True)
    number, title, *abbreviations = name.split("_")
    piece = f"{number}_{title}"
    write_sound(folder / f"AuMix_{name}.wav", seconds)
    for suffix in ("mid", "pdf"):
        (folder / f"Sco_{name}.{suffix}").touch()
    (folder / f"Vid_{name}.mp4").touch()
    for n, abbreviation in enumerate(abbreviations, start=1):
        write_sound(folder / f"AuSep_{n}_{abbreviation}_{piece}.wav", seconds, n / 16)
        (folder / f"Notes_{n}_{abbreviation}_{piece}.txt").write_text("0.5\t440.0\t0.25\n")
        (folder / f"F0s_{n}_{abbreviation}_{piece}.txt").write_text("0.0\t0.0\n")
    return folder


def rename_parts(folder, number, old, new):
    for path in list(folder.glob(f"*_{number}_{old}_*")):
        path.rename(path.with_name(path.name.replace(f"_{number}_{old}_", f"_{number}_{new}_")))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """All 44 pieces, empty files: opening must not look into one."""
    root = tmp_path_factory.mktemp("URMP")
    for name in PIECES:
        folder = root / name
        folder.mkdir()
        number, title, *abbreviations = name.split("_")
        for kind, suffix in (("AuMix", "wav"), ("Vid", "mp4"), ("Sco", "mid")):
            (folder / f"{kind}_{name}.{suffix}").touch()
        for n, abbreviation in enumerate(abbreviations, start=1):
            for kind, suffix in (("AuSep", "wav"), ("Notes", "txt"), ("F0s", "txt")):
                (folder / f"{kind}_{n}_{abbreviation}_{number}_{title}.{suffix}").touch()
    rename_parts(root / "15_Surprise_tpt_tpt_tbn", 3, "tbn", "tpt")
    (root / "Supplementary_Files").mkdir()
    (root / "README.txt").touch()
    return root


def numbers(tracks):
    return [int(track.name[:2]) for track in tracks]


def test_the_whole_of_urmp_is_found_in_order_without_opening_a_file(whole):
    dataset = open_dataset("urmp", str(whole))
    assert [track.name for track in dataset.tracks] == PIECES
    assert dataset.problems == ()
    assert (dataset.name, dataset.root, dataset.taxonomy) == ("urmp", whole, URMP_13)
    assert list(dataset.splits) == ["composition", "authors", "all_train", "all_test"]
    odd = {track.name: track.remarks for track in dataset.tracks if track.remarks}
    assert list(odd) == ["15_Surprise_tpt_tpt_tbn"]


def test_a_track_holds_every_file_of_its_folder(tmp_path):
    folder = write_piece(tmp_path, "12_Spring_vn_vn_vc", seconds=0.3)
    track = open_urmp(tmp_path).tracks[0]
    assert (track.name, track.composition, track.remarks) == ("12_Spring_vn_vn_vc", "Spring", ())
    assert [part.instrument for part in track.parts] == ["violin", "violin", "cello"]
    assert track.parts[1].sound.path == folder / "AuSep_2_vn_12_Spring.wav"
    assert track.parts[2].notes == folder / "Notes_3_vc_12_Spring.txt"
    assert track.parts[2].f0s == folder / "F0s_3_vc_12_Spring.txt"
    assert track.mixture.path == folder / "AuMix_12_Spring_vn_vn_vc.wav"
    assert track.video == folder / "Vid_12_Spring_vn_vn_vc.mp4"
    assert track.boxes is None
    assert track.duration_seconds == pytest.approx(0.3)
    assert len(track.files) == 3 * 3 + 2


def test_parts_of_one_instrument_are_one_stem(tmp_path):
    write_piece(tmp_path, "12_Spring_vn_vn_vc")
    dataset = open_urmp(tmp_path)
    stems = dataset.tracks[0].stems
    assert list(stems) == ["violin", "cello"]
    sums = {name: sum(read_audio(sound.path)[0].mean() for sound in sounds) for name, sounds in stems.items()}
    assert sums == pytest.approx({"violin": 3 / 16, "cello": 3 / 16}, abs=1e-4)
    assert dataset.instruments(dataset.tracks[0]) == ("violin", "cello")


def test_the_directory_is_trusted_over_file_names(tmp_path):
    folder = write_piece(tmp_path, "15_Surprise_tpt_tpt_tbn")
    rename_parts(folder, 3, "tbn", "tpt")
    track = open_urmp(tmp_path).tracks[0]
    assert [part.instrument for part in track.parts] == ["trumpet", "trumpet", "trombone"]
    assert track.parts[2].sound.path.name == "AuSep_3_tpt_15_Surprise.wav"
    assert track.parts[2].notes.name == "Notes_3_tpt_15_Surprise.txt"
    assert track.remarks == tuple(
        f"{kind}_3_tpt_15_Surprise.{suffix} says tpt; the directory says tbn, which was taken"
        for kind, suffix in (("AuSep", "wav"), ("F0s", "txt"), ("Notes", "txt"))
    )


def test_the_pieces_may_lie_in_a_folder_dataset(tmp_path):
    write_piece(tmp_path / "Dataset", "01_Jupiter_vn_vc")
    (tmp_path / "annotations.zip").touch()
    dataset = open_urmp(tmp_path)
    assert [track.name for track in dataset.tracks] == ["01_Jupiter_vn_vc"]
    assert dataset.root == tmp_path


def test_the_authors_split_is_theirs_to_the_piece(whole):
    dataset = open_urmp(whole)
    sides = dataset.split("authors")
    assert numbers(sides["test"]) == [1, 9, 13, 16, 18, 24, 28, 31, 35, 42, 44]
    assert numbers(sides["train"]) == sorted(set(range(1, 45)) - set(numbers(sides["test"])) - {2, 4, 5, 6})
    assert sides["validation"] == ()
    line = describe_split(dataset, "authors")
    sizes = "train 29 tracks (18 compositions), validation 0 tracks, test 11 tracks (11 compositions)"
    assert line.startswith(f"urmp, split authors: {sizes}; ")
    assert "left out: 02_Sonata_vn_vn, 04_Allegro_fl_fl, 05_Entertainer_tpt_tpt, 06_Entertainer_sax_sax" in line
    assert line.endswith("on more than one side: Fugue, Nocturne, Pirates, Rondeau, Surprise")


def test_no_composition_straddles_the_default_split_and_every_instrument_is_on_both_ends(whole):
    dataset = open_urmp(whole)
    sides = dataset.split()
    compositions = {side: {track.name.split("_")[1] for track in tracks} for side, tracks in sides.items()}
    assert {side: len(names) for side, names in compositions.items()} == {"train": 19, "validation": 3, "test": 5}
    assert len(set.union(*compositions.values())) == 27
    assert sum(map(len, sides.values())) == 44
    for side in ("train", "test"):
        assert {part.instrument for track in sides[side] for part in track.parts} == set(URMP_13.names)
    assert "left out" not in describe_split(dataset) and "more than one" not in describe_split(dataset)


def test_sides_do_not_depend_on_which_pieces_are_there(whole, tmp_path):
    side_of = {track.name: side for side, tracks in open_urmp(whole).split().items() for track in tracks}
    few = PIECES[::5]
    for name in few:
        (tmp_path / name).symlink_to(whole / name)
    dataset = open_urmp(tmp_path)
    assert {t.name: side for side, tracks in dataset.split().items() for t in tracks} == {n: side_of[n] for n in few}
    assert numbers(dataset.split("authors")["test"]) == [1, 16, 31]
    assert len(dataset.problems) == 1
    assert dataset.problems[0].startswith("URMP has 44 pieces, not here: 02 03 04 05 07")


def broken(root):
    """Problem lines of a tree, but for the one that counts the missing pieces."""
    dataset = open_urmp(root)
    return dataset, [line for line in dataset.problems if not line.startswith("URMP has 44")]


def test_a_missing_part_makes_the_piece_a_problem_that_names_it(tmp_path):
    write_piece(tmp_path, "01_Jupiter_vn_vc")
    folder = write_piece(tmp_path, "13_Hark_vn_vn_va")
    (folder / "AuSep_3_va_13_Hark.wav").unlink()
    dataset, problems = broken(tmp_path)
    assert [track.name for track in dataset.tracks] == ["01_Jupiter_vn_vc"]
    assert problems == [f"13_Hark_vn_vn_va: AuSep_3_* (viola) is missing ({folder})"]


def test_a_part_more_than_the_directory_has_players_is_a_problem(tmp_path):
    folder = write_piece(tmp_path, "13_Hark_vn_vn_va")
    write_sound(folder / "AuSep_4_vc_13_Hark.wav")
    dataset, problems = broken(tmp_path)
    assert not dataset.tracks
    expected = "the directory names 3 players, but there is AuSep_4_vc_13_Hark.wav"
    assert problems == [f"13_Hark_vn_vn_va: {expected} ({folder})"]


def test_a_piece_without_parts_and_a_part_given_twice_are_problems(tmp_path):
    (tmp_path / "01_Jupiter_vn_vc").mkdir()
    folder = write_piece(tmp_path, "03_Dance_fl_cl")
    write_sound(folder / "AuSep_1_fl_03_Dance.flac")
    dataset, problems = broken(tmp_path)
    assert not dataset.tracks
    assert "01_Jupiter_vn_vc: there is not one AuSep_* file" in problems[0]
    assert "AuSep_1_fl_03_Dance.flac, AuSep_1_fl_03_Dance.wav are the same thing twice" in problems[1]


def test_an_unknown_instrument_in_the_directory_is_a_problem_that_names_it(tmp_path):
    write_piece(tmp_path, "01_Jupiter_vn_vc")
    write_piece(tmp_path, "02_Duo_vn_kazoo")
    dataset, problems = broken(tmp_path)
    assert len(dataset.tracks) == 1
    assert len(problems) == 1 and problems[0].startswith("02_Duo_vn_kazoo:") and "Received: 'kazoo'" in problems[0]


def test_what_a_piece_can_do_without_is_a_remark(tmp_path):
    folder = write_piece(tmp_path, "01_Jupiter_vn_vc")
    for name in ("AuMix_01_Jupiter_vn_vc.wav", "Vid_01_Jupiter_vn_vc.mp4", "Notes_2_vc_01_Jupiter.txt"):
        (folder / name).unlink()
    (folder / "F0s_3_va_01_Jupiter.txt").touch()
    (folder / "takes").mkdir()
    (folder / "session.ptx").touch()
    (folder / "AuSep_1_vn_01_Jupiter.wav").rename(folder / "AuSep_1_vn_08_Spring.wav")
    track = open_urmp(tmp_path).tracks[0]
    assert (track.mixture, track.video) == (None, None)
    assert track.parts[1].notes is None and track.parts[0].notes is not None
    assert set(track.remarks) == {
        "AuMix_* is missing: the sum of the parts stands for the mixture",
        "Vid_* is missing: no video",
        "Notes_* is missing for part 2",
        "F0s_3_va_01_Jupiter.txt belongs to no part; not used",
        "takes is a folder; not used",
        "session.ptx is no file of URMP's; not used",
        "AuSep_1_vn_08_Spring.wav names another piece than its folder; taken as this one's",
    }


def test_what_lies_beside_the_pieces_gets_a_line(tmp_path):
    write_piece(tmp_path, "01_Jupiter_vn_vc")
    (tmp_path / "Dataset.zip").touch()
    (tmp_path / "backup").mkdir()
    (tmp_path / "stray.wav").touch()
    (tmp_path / ".DS_Store").touch()
    dataset, problems = broken(tmp_path)
    assert dataset.remarks == (f"{tmp_path / 'Dataset.zip'} is not a folder NN_<Title>_<instrument>_…; left out",)
    assert problems == [
        f"{tmp_path / name} is not a folder NN_<Title>_<instrument>_…; left out" for name in ("backup", "stray.wav")
    ]


def test_loops_of_links_end_and_are_named(tmp_path):
    folder = write_piece(tmp_path, "01_Jupiter_vn_vc")
    (folder / "up").symlink_to(tmp_path)
    (tmp_path / "02_Loop_vn_vc").symlink_to(tmp_path)
    (tmp_path / "03_Again_vn_vc").symlink_to(folder)
    (tmp_path / "04_Self_vn_vc").symlink_to(tmp_path / "04_Self_vn_vc")
    folder = write_piece(tmp_path, "05_Entertainer_tpt_tpt")
    (folder / "AuSep_2_tpt_05_Entertainer.wav").unlink()
    (folder / "AuSep_2_tpt_05_Entertainer.wav").symlink_to(folder / "AuSep_2_tpt_05_Entertainer.wav")
    dataset, problems = broken(tmp_path)
    assert [track.name for track in dataset.tracks] == ["01_Jupiter_vn_vc"]
    assert dataset.tracks[0].remarks == ("up is a folder; not used",)
    assert dataset.remarks == (
        f"02_Loop_vn_vc: a link to {tmp_path}, which is there already; left out",
        f"03_Again_vn_vc: a link to {tmp_path / '01_Jupiter_vn_vc'}, which is there already; left out",
    )
    text = "\n".join(problems)
    assert "04_Self_vn_vc cannot be opened (Too many levels of symbolic links); left out" in text
    assert "05_Entertainer_tpt_tpt: AuSep_2_* (trumpet) is missing" in text
    assert "AuSep_2_tpt_05_Entertainer.wav cannot be opened (Too many levels of symbolic links)" in text


def test_names_that_are_not_utf_8_are_read_and_printed(tmp_path):
    raw = os.fsencode(tmp_path) + b"/01_Caf\xe9_vn_vc"
    os.mkdir(raw)
    for name in (b"AuSep_1_vn_01_Caf\xe9.wav", b"AuSep_2_vc_01_Caf\xe9.wav", b"\xff\xfe.bin"):
        with open(raw + b"/" + name, "wb") as file:
            file.write(b"x")
    write_piece(tmp_path, "01_Caf%xe9_vn_vc")
    tracks = open_urmp(tmp_path).tracks
    assert [track.name for track in tracks] == ["01_Caf%xe9_vn_vc", "01_Caf%xe9_vn_vc-2"]
    assert all(track.name.isprintable() and track.composition == "Caf%xe9" for track in tracks)
    renamed = next(track for track in tracks if track.name.endswith("-2"))
    assert "called 01_Caf%xe9_vn_vc-2 here, as another track is called 01_Caf%xe9_vn_vc" in renamed.remarks
    (unclean,) = [track for track in tracks if b"Caf\xe9" in os.fsencode(track.parts[0].sound.path)]
    assert r"\xff\xfe.bin is no file of URMP's; not used" in unclean.remarks
    assert unclean.parts[0].sound.path.read_bytes() == b"x"
    for line in (*unclean.remarks, *open_urmp(tmp_path).problems):
        line.encode("utf-8")


def test_a_folder_that_is_not_urmp_is_an_error_that_says_what_was_expected(tmp_path):
    (tmp_path / "music").mkdir()
    with pytest.raises(MediaError, match="^Expected URMP: folders such as 01_Jupiter_vn_vc.*Received: .*") as caught:
        open_urmp(tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)
    with pytest.raises(MediaError, match="Cannot open this folder .No such file or directory.. Received: .*nowhere"):
        open_urmp(tmp_path / "nowhere")
    (tmp_path / "file").touch()
    with pytest.raises(MediaError, match="Not a directory"):
        open_urmp(tmp_path / "file")


@pytest.mark.skipif(not hasattr(os, "seteuid") or os.geteuid() != 0, reason="needs to act as another user")
def test_a_folder_without_permission_is_an_error(whole):
    folder = whole / PIECES[0]
    os.chmod(folder, 0o700)
    parents = [path for path in (whole, *whole.parents) if path.stat().st_mode & 0o055 != 0o055]
    modes = {path: path.stat().st_mode for path in parents}
    for path in parents:
        os.chmod(path, 0o755)
    os.seteuid(65534)
    try:
        with pytest.raises(MediaError, match="Cannot open this folder .Permission denied.. Received: .*01_Jupiter"):
            open_urmp(whole)
    finally:
        os.seteuid(0)
        os.chmod(folder, 0o755)
        for path, mode in modes.items():
            os.chmod(path, mode)


@pytest.fixture
def made(tmp_path):
    for name in ("0001_Minuet_vn_vc", "0002_Minuet_fl_cl"):
        folder = write_piece(tmp_path, name)
        for path in folder.glob("F0s_*"):
            path.unlink()
        (folder / f"Boxes_{name}.csv").write_text("time_seconds,player,instrument,x1,y1,x2,y2\n0.0,1,violin,1,2,3,4\n")
    (tmp_path / "dataset.json").write_text(json.dumps({"made_by": "av-sep", "seed": 3}))
    return tmp_path


def test_made_ensembles_have_boxes_and_a_composition_each(made):
    dataset = open_urmp(made)
    assert dataset.problems == ()
    assert [track.composition for track in dataset.tracks] == ["0001_Minuet", "0002_Minuet"]
    assert [track.boxes.name for track in dataset.tracks] == [
        "Boxes_0001_Minuet_vn_vc.csv",
        "Boxes_0002_Minuet_fl_cl.csv",
    ]
    assert all(track.remarks == () for track in dataset.tracks)
    assert list(dataset.splits) == ["composition", "all_train", "all_test"]


def test_a_dataset_json_of_somebody_else_changes_nothing_and_a_broken_one_is_an_error(made):
    (made / "dataset.json").write_text('["made_by"]')
    assert {track.composition for track in open_urmp(made).tracks} == {"Minuet"}
    (made / "dataset.json").write_bytes(b'{"made_by": \xff')
    with pytest.raises(MediaError, match="Expected JSON .*Received: .*dataset.json"):
        open_urmp(made)


def test_a_film_is_as_long_as_its_parts(tmp_path):
    folder = write_piece(tmp_path, "01_Jupiter_vn_vc", seconds=1.0)
    film = ("-f", "lavfi", "-i", "testsrc=size=32x32:rate=5:duration=1", "-c:v", "mpeg4")
    subprocess.run(
        [ffmpeg_executable(), "-v", "error", "-y", *film, str(folder / "Vid_01_Jupiter_vn_vc.mp4")], check=True
    )
    write_sound(folder / "AuSep_2_vc_01_Jupiter.wav", 1.5)
    assert open_urmp(tmp_path).tracks[0].duration_seconds == pytest.approx(1.5)
