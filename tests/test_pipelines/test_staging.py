"""Output folders appear whole or not at all."""

import pytest

from av_sep.errors import MediaError, ParameterError
from pipelines.staging import RESULT_FILES, require_writable, staged_folder


def make_result(folder, *others):
    """A finished output, with other files in it."""
    folder.mkdir()
    for name in (*RESULT_FILES, *others):
        (folder / name).write_text("old")
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
        with staged_folder(tmp_path / "new" / "out", overwrite=False) as staging:
            (staging / "new.wav").write_text("half")
            raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_overwrite_replaces_everything(tmp_path):
    target = make_result(tmp_path / "out", "old.wav")
    with staged_folder(target, overwrite=True) as staging:
        (staging / "new.wav").write_text("new")
    assert [path.name for path in target.iterdir()] == ["new.wav"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


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
