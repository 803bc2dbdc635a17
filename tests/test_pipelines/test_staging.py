"""Output folders appear whole or not at all."""

import pytest

from av_sep.errors import MediaError, ParameterError
from pipelines.staging import staged_folder


def test_folder_appears_only_when_complete(tmp_path):
    target = tmp_path / "deep" / "out"
    with staged_folder(target, overwrite=False) as staging:
        (staging / "stem.wav").write_text("sound")
        assert not target.exists()
    assert (target / "stem.wav").read_text() == "sound"
    assert [path.name for path in target.parent.iterdir()] == ["out"]


def test_failure_keeps_the_old_folder(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old.wav").write_text("old")
    with pytest.raises(KeyboardInterrupt):
        with staged_folder(target, overwrite=True) as staging:
            (staging / "new.wav").write_text("half")
            raise KeyboardInterrupt
    assert [path.name for path in target.iterdir()] == ["old.wav"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_failure_leaves_no_new_empty_folder(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        with staged_folder(tmp_path / "new" / "out", overwrite=False) as staging:
            (staging / "new.wav").write_text("half")
            raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_overwrite_replaces_everything(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "old.wav").write_text("old")
    with staged_folder(target, overwrite=True) as staging:
        (staging / "new.wav").write_text("new")
    assert [path.name for path in target.iterdir()] == ["new.wav"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_full_folder_is_refused_and_an_empty_one_taken(tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    with staged_folder(target, overwrite=False) as staging:
        (staging / "a").touch()
    with pytest.raises(ParameterError, match="--overwrite"):
        with staged_folder(target, overwrite=False):
            raise AssertionError("must not begin")


def test_file_in_the_way_of_the_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(MediaError, match="Cannot write"):
        with staged_folder(tmp_path / "file" / "out", overwrite=False):
            raise AssertionError("must not begin")
