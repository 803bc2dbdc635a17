"""Output folders appear whole or not at all."""

import json
import logging
import os
import shutil
import subprocess
import sys

import pytest

from av_sep.errors import MediaError, ParameterError
from pipelines.staging import RESULT_FILES, require_free, require_own, require_writable, staged_folder


def make_result(folder, *others):
    """A finished output, with stems in it."""
    folder.mkdir(exist_ok=True)
    for name in (*RESULT_FILES, *others):
        (folder / name).write_text("old")
    (folder / "manifest.json").write_text(json.dumps({"stems": {name: {"file": name} for name in others}}))
    return folder


def test_folder_appears_only_when_complete(tmp_path):
    target = tmp_path / "deep" / "out"
    with staged_folder(target, overwrite=False) as staging:
        (staging / "stem.wav").write_text("sound")
        assert not target.exists()
    assert (target / "stem.wav").read_text() == "sound"
    assert [path.name for path in target.parent.iterdir()] == ["out"]


def test_failure_keeps_the_old_folder(tmp_path):
    target = make_result(tmp_path / "out", "old.wav")
    with pytest.raises(KeyboardInterrupt):
        with staged_folder(target, overwrite=True) as staging:
            (staging / "new.wav").write_text("half")
            raise KeyboardInterrupt
    assert sorted(path.name for path in target.iterdir()) == sorted([*RESULT_FILES, "old.wav"])
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_failure_leaves_no_new_empty_folder(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with staged_folder(tmp_path / "new" / "deep" / "out", overwrite=False) as staging:
            (staging / "new.wav").write_text("half")
            raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_failure_leaves_new_folders_that_somebody_else_uses_by_now_and_empty_ones_that_were_there(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with staged_folder(tmp_path / "new" / "deep" / "out", overwrite=False):
            (tmp_path / "new" / "theirs.wav").touch()
            raise KeyboardInterrupt
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["theirs.wav"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(KeyboardInterrupt):
        with staged_folder(tmp_path / "empty" / "out", overwrite=False):
            raise KeyboardInterrupt
    assert (tmp_path / "empty").is_dir()


def test_overwrite_replaces_everything(tmp_path):
    target = make_result(tmp_path / "out", "old.wav")
    with staged_folder(target, overwrite=True) as staging:
        (staging / "new.wav").write_text("new")
    assert [path.name for path in target.iterdir()] == ["new.wav"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only for root")
def test_a_read_only_result_is_replaced_without_a_trace(tmp_path):
    target = make_result(tmp_path / "out", "old.wav")
    target.chmod(0o555)
    with staged_folder(target, overwrite=True) as staging:
        (staging / "new.wav").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_is_left_of_an_earlier_result_is_told(tmp_path, monkeypatch, caplog):
    target = make_result(tmp_path / "out", "old.wav")
    monkeypatch.setattr(shutil, "rmtree", lambda *args, **kwargs: None)
    with caplog.at_level(logging.WARNING), staged_folder(target, overwrite=True) as staging:
        (staging / "new.wav").write_text("new")
    (left,) = (path for path in tmp_path.iterdir() if path.name != "out")
    assert left.suffix == ".old" and str(left) in caplog.text


@pytest.mark.parametrize("name", ["notes.txt", "mix/song.als", "violin.flac", ".hidden"])
@pytest.mark.parametrize("meanwhile", [False, True])
def test_files_of_the_users_own_beside_a_result_are_never_removed(tmp_path, name, meanwhile):
    target = make_result(tmp_path / "out", "violin.wav")

    def put():
        (target / name).parent.mkdir(exist_ok=True)
        (target / name).write_text("mine")

    if not meanwhile:
        put()
    with pytest.raises(ParameterError, match=f"Received: .*out/{name.split('/')[0]}, which is not of that result$"):
        with staged_folder(target, overwrite=True):
            assert meanwhile, "must not begin"
            put()
    assert (target / name).read_text() == "mine" and (target / "violin.wav").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_manifest_that_names_no_stems_gives_no_sound_away(tmp_path):
    target = make_result(tmp_path / "out", "violin.wav")
    (target / "manifest.json").write_text('{"stems": ["violin.wav"]}')
    with pytest.raises(ParameterError, match="violin.wav, which is not of that result"):
        require_own(target, overwrite=True)


def test_what_a_file_manager_left_is_in_nobodys_way(tmp_path):
    target = make_result(tmp_path / "out", "violin.wav")
    (target / ".DS_Store").touch()
    with staged_folder(target, overwrite=True) as staging:
        (staging / "new.wav").touch()
    assert [path.name for path in target.iterdir()] == ["new.wav"]


def test_full_folder_is_refused_and_an_empty_one_taken(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    with staged_folder(target, overwrite=False) as staging:
        for name in RESULT_FILES:
            (staging / name).touch()
    with pytest.raises(ParameterError, match="--overwrite"):
        with staged_folder(target, overwrite=False):
            raise AssertionError("must not begin")


@pytest.mark.parametrize("make", ["folder", "file", "link to nothing"])
def test_what_is_no_result_is_never_replaced(tmp_path, make):
    target = tmp_path / "out"
    if make == "folder":
        target.mkdir()
        (target / "diary.txt").write_text("mine")
    elif make == "file":
        target.write_text("mine")
    else:
        target.symlink_to(tmp_path / "nowhere")
    for overwrite in (False, True):
        with pytest.raises(ParameterError, match="choose another folder with -o.*something else") as caught:
            with staged_folder(target, overwrite=overwrite):
                raise AssertionError("must not begin")
        assert "--overwrite" not in str(caught.value)
    if make == "link to nothing":
        assert target.is_symlink()
    else:
        assert (target / "diary.txt" if make == "folder" else target).read_text() == "mine"


def test_a_place_that_cannot_be_written_is_known_beforehand(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MediaError, match="Cannot write to .*out: .*file is no folder"):
        require_writable(tmp_path / "file" / "deep" / "out")
    require_writable(tmp_path / "new" / "deep")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_file_in_the_way_of_the_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MediaError, match="Cannot write"):
        with staged_folder(tmp_path / "file" / "out", overwrite=False):
            raise AssertionError("must not begin")


@pytest.mark.parametrize("make", ["result", "folder", "file", "link to nothing"])
def test_what_took_the_name_meanwhile_stays(tmp_path, make):
    target = tmp_path / "out"
    with pytest.raises(ParameterError, match="--overwrite" if make == "result" else "something else"):
        with staged_folder(target, overwrite=False) as staging:
            (staging / "new.wav").write_text("new")
            if make == "result":
                make_result(target, "theirs.wav")
            elif make == "folder":
                target.mkdir()
                (target / "theirs.wav").write_text("theirs")
            elif make == "file":
                target.write_text("theirs")
            else:
                target.symlink_to(tmp_path / "nowhere")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    if make == "link to nothing":
        assert target.is_symlink()
    else:
        assert target.is_file() if make == "file" else (target / "theirs.wav").is_file()


def test_what_is_no_result_is_not_replaced_at_the_end_either(tmp_path):
    target = make_result(tmp_path / "out")
    with pytest.raises(ParameterError, match="something else"):
        with staged_folder(target, overwrite=True):
            for name in RESULT_FILES:
                (target / name).unlink()
            (target / "diary.txt").write_text("mine")
    assert (target / "diary.txt").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), SystemExit(143)])
def test_earlier_result_gets_its_name_back_where_the_new_one_cannot_take_it(tmp_path, monkeypatch, error):
    target = make_result(tmp_path / "out", "old.wav")
    replace = os.replace

    def fail_for_the_new(source, destination):
        if source.suffix == ".part":
            raise error
        replace(source, destination)

    monkeypatch.setattr(os, "replace", fail_for_the_new)
    with pytest.raises(MediaError if isinstance(error, OSError) else SystemExit, match="No space left|143"):
        with staged_folder(target, overwrite=True) as staging:
            (staging / "new.wav").write_text("new")
    assert (target / "old.wav").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_earlier_result_that_lost_its_name_is_told(tmp_path, monkeypatch):
    target = make_result(tmp_path / "out", "old.wav")
    replace = os.replace

    def fail_after_the_first(source, destination):
        if source != target:
            raise OSError(13, "Permission denied")
        replace(source, destination)

    monkeypatch.setattr(os, "replace", fail_after_the_first)
    with pytest.raises(MediaError, match="Permission denied; the earlier result is kept as") as caught:
        with staged_folder(target, overwrite=True):
            pass
    (kept,) = tmp_path.iterdir()
    assert str(caught.value).endswith(str(kept)) and (kept / "old.wav").read_text() == "old"


def test_link_to_a_result_is_replaced_and_nothing_hidden_stays(tmp_path):
    linked, target = make_result(tmp_path / "linked", "old.wav"), tmp_path / "out"
    target.symlink_to(linked)
    with staged_folder(target, overwrite=True) as staging:
        (staging / "new.wav").write_text("new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["linked", "out"]
    assert not target.is_symlink() and (target / "new.wav").read_text() == "new"
    assert (linked / "old.wav").read_text() == "old"


KILLED = """
import os, signal, sys
from pathlib import Path
from pipelines.staging import staged_folder
with staged_folder(Path(sys.argv[1]), overwrite=False) as staging:
    (staging / "stem.wav").write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_has_left_goes_with_the_next_and_nothing_else_does(tmp_path):
    for name in (".mine.part", ".0123456789abcdef.parts"):
        (tmp_path / name).mkdir()
    subprocess.run([sys.executable, "-c", KILLED, tmp_path / "killed"], check=False)
    left = set(tmp_path.iterdir())
    assert len(left) == 3
    with staged_folder(tmp_path / "one", overwrite=False) as living:
        with staged_folder(tmp_path / "two", overwrite=False) as staging:
            assert {path for path in tmp_path.iterdir() if path.suffix == ".part"} == {
                living, staging, tmp_path / ".mine.part",
            }  # fmt: skip
    assert {path.name for path in tmp_path.iterdir()} == {"one", "two", ".mine.part", ".0123456789abcdef.parts"}


def test_place_that_cannot_be_reached_is_one_line(tmp_path, monkeypatch):
    too_long = tmp_path / ("x" * 300)
    for check in (require_free, require_own):
        with pytest.raises(MediaError, match="Cannot write to .*x: File name too long$"):
            check(too_long, overwrite=False)
    with pytest.raises(MediaError, match="Cannot write to .*out: File name too long$"):
        require_writable(too_long / "out")
    with pytest.raises(MediaError, match="File name too long"):
        with staged_folder(too_long, overwrite=False):
            raise AssertionError("must not begin")
    # Root may go anywhere, so the system's refusal is played.
    real_stat, real_lstat = os.stat, os.lstat

    def refuse(path, real):
        if "locked" in os.fspath(path):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "stat", lambda path, **options: refuse(path, lambda path: real_stat(path, **options)))
    monkeypatch.setattr(os, "lstat", lambda path, **options: refuse(path, lambda path: real_lstat(path, **options)))
    for act in (lambda path: require_own(path, overwrite=False), require_writable):
        with pytest.raises(MediaError, match="Cannot write to .*out: Permission denied$"):
            act(tmp_path / "locked" / "out")
    assert not list(tmp_path.iterdir())
