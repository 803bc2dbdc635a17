"""Folders: the same behaviour for a local path and for one behind Beam's filesystems."""

import os
import sys

import pytest

from av_sep.errors import MediaError, ParameterError
from pipelines.storage import LocalFolder, RemoteFolder, is_remote, open_folder


@pytest.fixture(params=["local", "beam"])
def folder(request, tmp_path):
    if request.param == "local":
        return LocalFolder(tmp_path / "folder")
    pytest.importorskip("apache_beam", reason="needs av-sep[beam]")
    (tmp_path / "folder").mkdir()
    # Beam's own filesystem for paths without a scheme: the same calls as for gs:// and s3://.
    return RemoteFolder(str(tmp_path / "folder"))


def test_what_is_written_is_listed_and_read(folder):
    folder.write("a.json", b"{}")
    folder.write("deep/er/b.bin", b"12345")
    assert folder.names() == {"a.json": 2, "deep/er/b.bin": 5}
    assert folder.read("deep/er/b.bin") == b"12345"


def test_names_that_begin_alike_are_listed_alone(folder):
    for name in ("one.json", "one.csv", "one more.json", "deep/one.json", "[o]ne.json", "*.json"):
        folder.write(name, b"12")
    assert folder.names("one.") == {"one.json": 2, "one.csv": 2}
    # Names of files are no patterns.
    assert folder.names("[o]ne.") == {"[o]ne.json": 2} and folder.names("*.") == {"*.json": 2}
    assert folder.names("two.") == {} and folder.names("deep/") == {"deep/one.json": 2}


def test_a_file_that_is_written_again_at_its_length_has_another_state(folder, tmp_path):
    for name in ("a", "b"):
        folder.write(name, b"123")
        os.utime(tmp_path / "folder" / name, (1_000_000_000, 1_000_000_000.5))
    assert folder.states() == {"a": (3, 1_000_000_000.5), "b": (3, 1_000_000_000.5)}
    folder.write("b", b"456")
    assert folder.states()["a"] == (3, 1_000_000_000.5) != folder.states()["b"]
    assert folder.states()["b"][0] == 3


def test_compressed_names_are_not_treated_otherwise(folder):
    folder.write("x.gz", b"not gzip")
    assert folder.read("x.gz") == b"not gzip"


def test_a_published_file_moves(folder, tmp_path):
    local = tmp_path / "made.part"
    local.write_bytes(b"shard")
    folder.publish(local, "train-00000.tfrecord")
    assert folder.read("train-00000.tfrecord") == b"shard"
    assert not local.exists()


def test_publishing_replaces(folder, tmp_path):
    for content in (b"old and longer", b"new"):
        local = tmp_path / "made.part"
        local.write_bytes(content)
        folder.publish(local, "shard")
    assert folder.names() == {"shard": 3}


def test_a_fetched_file_is_a_copy(folder, tmp_path):
    folder.write("take/one.wav", b"sound")
    folder.fetch("take/one.wav", tmp_path / "here" / "one.wav")
    assert (tmp_path / "here" / "one.wav").read_bytes() == b"sound"
    assert "take/one.wav" in folder.names()


def test_deleting_twice_is_fine(folder):
    folder.write("a", b"1")
    folder.delete("a")
    folder.delete("a")
    assert folder.names() == {}


def test_reading_what_is_not_there_names_the_place(folder):
    with pytest.raises(MediaError, match="absent.json"):
        folder.read("absent.json")


def test_fetching_what_is_not_there_names_the_place(folder, tmp_path):
    with pytest.raises(MediaError, match="folder/absent.json"):
        folder.fetch("absent.json", tmp_path / "here" / "copy.json")


def test_a_folder_that_cannot_be_looked_into_is_not_taken_for_an_empty_one(tmp_path):
    # Out of reach, even for root.
    for place, reason in ((tmp_path / ("x" * 300), "File name too long"), (tmp_path / "file", "Not a directory")):
        (tmp_path / "file").write_text("")
        with pytest.raises(MediaError, match=f"^Cannot use .*{place.name}: {reason}$"):
            LocalFolder(place).names()
    assert LocalFolder(tmp_path / "not there yet").names() == {}


def test_a_file_that_goes_while_the_folder_is_listed_is_passed_over(tmp_path, monkeypatch):
    for name in ("gone", "here"):
        (tmp_path / name).write_text("12")
    walk = os.walk

    def walk_and_lose(*arguments, **options):
        for found in walk(*arguments, **options):
            (tmp_path / "gone").unlink()
            yield found

    monkeypatch.setattr("os.walk", walk_and_lose)
    assert LocalFolder(tmp_path).names() == {"here": 2}


def test_writing_where_a_file_is_in_the_way(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MediaError, match="file"):
        LocalFolder(tmp_path / "file").write("a.json", b"{}")


def test_urls_are_told_from_paths(tmp_path):
    assert is_remote("gs://bucket/x") and not is_remote("/data/x") and not is_remote(tmp_path)
    assert isinstance(open_folder(tmp_path), LocalFolder)


def test_an_unknown_filesystem_is_refused():
    pytest.importorskip("apache_beam", reason="needs av-sep[beam]")
    with pytest.raises(ParameterError, match="nosuch://place"):
        open_folder("nosuch://place/x")


def test_a_url_without_beam_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam.io.filesystems", None)
    with pytest.raises(ParameterError, match=r"pip install '\.\[beam\]'"):
        open_folder("gs://bucket/x")
