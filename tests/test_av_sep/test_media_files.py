"""Finding media files, and writing so that nobody meets half a file."""

import errno
import os
import resource
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from av_sep.errors import MediaError
from av_sep.media import find_media, replace_when_complete


def test_a_file_appears_when_it_is_complete(tmp_path):
    path = tmp_path / "report.json"
    with replace_when_complete(path) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".json"
        assert temporary.name.startswith(".")
        temporary.write_text("half")
        assert not path.exists()
    assert path.read_text() == "half"
    assert os.listdir(tmp_path) == ["report.json"]


def test_an_earlier_file_survives_a_failure(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("earlier")
    with pytest.raises(KeyError):
        with replace_when_complete(path) as temporary:
            temporary.write_text("half")
            raise KeyError("interrupted")
    assert path.read_text() == "earlier"
    with replace_when_complete(path) as temporary:
        temporary.write_text("later")
    assert path.read_text() == "later"
    assert os.listdir(tmp_path) == ["report.json"]


def test_ctrl_c_leaves_nothing_behind(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with replace_when_complete(tmp_path / "report.json") as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt
    assert os.listdir(tmp_path) == []


def test_permissions_are_those_of_any_new_file(tmp_path):
    (tmp_path / "plain").touch()
    with replace_when_complete(tmp_path / "replaced"):
        pass
    assert stat.S_IMODE((tmp_path / "replaced").stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)


def test_a_missing_folder_is_an_error_in_one_line(tmp_path):
    with pytest.raises(MediaError, match="Cannot write .*report.json: No such file or directory$"):
        with replace_when_complete(tmp_path / "nowhere" / "report.json"):
            pytest.fail("the body must not run")


def test_a_folder_in_the_way_is_an_error(tmp_path):
    (tmp_path / "report.json").mkdir()
    with pytest.raises(MediaError, match="a folder of that name is in the way"):
        with replace_when_complete(tmp_path / "report.json"):
            pytest.fail("the body must not run")
    assert os.listdir(tmp_path) == ["report.json"]


@pytest.mark.skipif(not hasattr(os, "seteuid") or os.geteuid() != 0, reason="needs to act as another user")
def test_a_folder_without_permission_is_an_error():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        os.seteuid(65534)
        try:
            with pytest.raises(MediaError, match="Cannot write .*report.json: Permission denied$"):
                with replace_when_complete(Path(folder, "report.json")):
                    pytest.fail("the body must not run")
        finally:
            os.seteuid(0)


def test_errors_about_other_files_pass_unchanged(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"):
        with replace_when_complete(tmp_path / "report.json"):
            (tmp_path / "elsewhere").read_text()
    with pytest.raises(MediaError, match="^the input is broken$"):
        with replace_when_complete(tmp_path / "report.json"):
            raise MediaError("the input is broken")
    assert os.listdir(tmp_path) == []


FILL = """
import sys
from av_sep.errors import MediaError
from av_sep.media import replace_when_complete
try:
    with replace_when_complete(sys.argv[1]) as temporary:
        temporary.write_bytes(bytes(100_000))
except MediaError as error:
    print(error)
"""


def test_a_file_that_outgrows_its_limit_is_an_error_and_removed(tmp_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    command = [sys.executable, "-c", FILL, str(tmp_path / "report.json")]
    answer = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True, check=True)
    assert answer.stdout == f"Cannot write {tmp_path / 'report.json'}: {os.strerror(errno.EFBIG)}\n"
    assert os.listdir(tmp_path) == []


@pytest.fixture
def tree(tmp_path):
    names = [
        "b.mp4",
        "a.WAV",
        "notes.txt",
        ".hidden.wav",
        "sub/c.flac",
        "sub/deeper/d.mkv",
        ".secret/e.wav",
        "cover.jpg",
        "folder.mp4/inside.mp3",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def relative(paths, root):
    return [str(path.relative_to(root)) for path in paths]


def test_folders_are_searched_for_media_in_order(tree):
    expected = ["a.WAV", "b.mp4", "folder.mp4/inside.mp3", "sub/c.flac", "sub/deeper/d.mkv"]
    assert relative(find_media([tree]), tree) == expected


def test_files_are_taken_as_they_are_and_once(tree):
    given = [tree / "notes.txt", tree / "sub", tree / "b.mp4", tree / "sub" / "c.flac", str(tree / ".hidden.wav")]
    expected = ["notes.txt", "sub/c.flac", "sub/deeper/d.mkv", "b.mp4", ".hidden.wav"]
    assert relative(find_media(given), tree) == expected


def test_one_file_by_several_ways_is_one_file(tree, monkeypatch):
    monkeypatch.chdir(tree)
    assert find_media(["b.mp4", tree / "b.mp4", "sub/../b.mp4"]) == [Path("b.mp4")]


def test_links_in_a_circle_end(tree):
    (tree / "sub" / "up").symlink_to(tree)
    (tree / "z_broken.wav").symlink_to(tree / "nowhere.wav")
    found = relative(find_media([tree]), tree)
    assert found == ["a.WAV", "b.mp4", "folder.mp4/inside.mp3", "sub/c.flac", "sub/deeper/d.mkv"]


def test_links_to_folders_elsewhere_are_followed(tree, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "f.ogg").touch()
    (tree / "sub" / "link").symlink_to(elsewhere)
    assert "sub/link/f.ogg" in relative(find_media([tree]), tree)


def test_a_folder_without_media_gives_nothing(tmp_path):
    assert find_media([tmp_path]) == []
    assert find_media([]) == []


def test_a_missing_path_is_an_error(tmp_path):
    with pytest.raises(MediaError, match=r"Cannot open this \(No such file or directory\). Received: .*nowhere"):
        find_media([tmp_path, tmp_path / "nowhere"])
