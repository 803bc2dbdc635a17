"""The folder of a run where the system refuses: one line that names the file, whoever was asked."""

import dataclasses
import os
import resource
import zipfile
from contextlib import contextmanager

import pytest

from av_sep.errors import MediaError, ParameterError
from pipelines.config import TrainConfig
from pipelines.train.run_folder import RunFolder, config_json

CONFIG = TrainConfig(recipe="tiny", model={}, segment_samples=1024)


@contextmanager
def full_after(num_bytes):
    """Files cannot grow beyond some bytes, as on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_full_disk_leaves_the_folder_free(tmp_path):
    folder = RunFolder(str(tmp_path))
    with full_after(100), pytest.raises(MediaError, match="Cannot write to .*: File too large$"):
        folder.claim(CONFIG)
    assert os.listdir(tmp_path) == []
    folder.require_free_for(CONFIG)
    folder.claim(CONFIG)
    assert os.listdir(tmp_path) == ["config.json"]


def test_a_full_disk_leaves_earlier_rows(tmp_path):
    folder = RunFolder(str(tmp_path))
    folder.append_history({"epoch": 0, "val_loss": 1.5})
    with full_after(20), pytest.raises(MediaError, match=r"Cannot write .*/history\.csv: File too large$"):
        folder.append_history({"epoch": 1, "val_loss": 0.5})
    assert os.listdir(tmp_path) == ["history.csv"] and folder.history()["val_loss"].to_list() == [1.5]


def test_what_a_killed_run_left_half_written_is_nobody_s(tmp_path):
    (tmp_path / ".config.json.part").write_text("{")
    RunFolder(str(tmp_path)).require_free_for(CONFIG)
    RunFolder(f"file://{tmp_path}").require_free_for(CONFIG)
    (tmp_path / "thesis.part").touch()
    for location in (tmp_path, f"file://{tmp_path}"):
        with pytest.raises(ParameterError, match="Expected an empty folder"):
            RunFolder(str(location)).require_free_for(CONFIG)


def test_a_run_goes_on_with_its_data_alone(tmp_path):
    folder = RunFolder(str(tmp_path / "run"))
    folder.claim(CONFIG, "12ab")
    folder.require_free_for(CONFIG, "12ab")
    with pytest.raises(ParameterError, match="^Expected a run on the same data, .*which was begun with other data$"):
        folder.require_free_for(CONFIG, "34cd")
    with pytest.raises(ParameterError, match="the same settings"):
        folder.require_free_for(dataclasses.replace(CONFIG, seed=7), "12ab")


def test_a_run_that_kept_nothing_of_its_data_goes_on(tmp_path):
    (tmp_path / "config.json").write_text(config_json(CONFIG))
    RunFolder(str(tmp_path)).require_free_for(CONFIG, "12ab")


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_model_that_cannot_be_written(tmp_path, scheme):
    import keras

    # In the way, even for root.
    (tmp_path / "last.keras").mkdir()
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(MediaError, match=r"Cannot write .*/last\.keras: .*Is a directory$"):
        RunFolder(f"{scheme}{tmp_path}").save_model(model, "last.keras", CONFIG)
    assert os.listdir(tmp_path) == ["last.keras"]


@pytest.mark.parametrize("members", [{"a.txt": "hello"}, {"config.json": "{"}, {"config.json": "[]"}], ids=str)
def test_a_model_that_is_damaged(tmp_path, members):
    with zipfile.ZipFile(tmp_path / "last.keras", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(MediaError, match=r"^Cannot read .*/last\.keras: .+$"):
        RunFolder(str(tmp_path)).load_model("last.keras")


@pytest.mark.parametrize("content", [config_json(CONFIG)[:100], "", "[1, 2]", "7", "\x00\xff"])
def test_settings_that_are_damaged(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(MediaError, match=r"^Expected the settings of a run .*/config\.json, which is damaged$"):
        RunFolder(str(tmp_path)).require_free_for(CONFIG)


@pytest.mark.parametrize("content", [b"", b"epoch,val_loss\n", b"epoch,loss\n0,1.5\n", b"epoch,val_loss\n0,?\n",
                                     b'epoch,val_loss\n0,"1.5\n', b"0,1\n0,1,2\n", b"\xff\xfe\x00"])  # fmt: skip
def test_a_history_that_is_damaged(tmp_path, content):
    (tmp_path / "history.csv").write_bytes(content)
    with pytest.raises(MediaError, match=r"^Expected the rows of a run .*/history\.csv, which is damaged$"):
        RunFolder(str(tmp_path)).history()


def test_a_history_that_cannot_be_read(tmp_path):
    (tmp_path / "history.csv").mkdir()
    with pytest.raises(MediaError, match=r"Cannot read .*/history\.csv: Is a directory$"):
        RunFolder(str(tmp_path)).history()


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(MediaError, match="Cannot read .*/notes: Not a directory$"):
        RunFolder(str(tmp_path / "notes")).require_free_for(CONFIG)
    with pytest.raises(MediaError, match="Cannot write to .*/notes/run: Not a directory$"):
        RunFolder(str(tmp_path / "notes/run")).claim(CONFIG)


def test_a_file_system_that_tensorflow_does_not_know():
    with pytest.raises(MediaError, match="Cannot read nowhere://run/config.json: .*nowhere"):
        RunFolder("nowhere://run").require_free_for(CONFIG)
