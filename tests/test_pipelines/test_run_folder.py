"""The folder of a run where the system refuses: one line that names the file, whoever was asked."""

import pytest

from av_sep.errors import MediaError
from pipelines.config import TrainConfig
from pipelines.train.run_folder import RunFolder

CONFIG = TrainConfig(recipe="tiny", model={}, segment_samples=1024)


@pytest.fixture
def folder(tmp_path):
    """A folder in which last.keras and history.csv cannot be written, even by root: folders are in their way."""
    for name in ("last.keras", "history.csv"):
        (tmp_path / f".{name}.part").mkdir()
    return RunFolder(str(tmp_path))


def test_a_model_that_cannot_be_written(folder):
    import keras

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    with pytest.raises(MediaError, match=r"Cannot write .*/last\.keras: Is a directory$"):
        folder.save_model(model, "last.keras", CONFIG)


def test_a_row_that_cannot_be_written(folder):
    with pytest.raises(MediaError, match=r"Cannot write .*/history\.csv: Is a directory$"):
        folder.append_history({"epoch": 0, "val_loss": 1.0})


def test_a_history_that_cannot_be_read(tmp_path):
    (tmp_path / "history.csv").mkdir()
    with pytest.raises(MediaError, match=r"Cannot read .*/history\.csv: Is a directory$"):
        RunFolder(str(tmp_path)).history()


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(MediaError, match="Cannot read .*/notes: Not a directory$"):
        RunFolder(str(tmp_path / "notes")).claim(CONFIG)
    with pytest.raises(MediaError, match="Cannot write to .*/notes/run: Not a directory$"):
        RunFolder(str(tmp_path / "notes/run")).claim(CONFIG)


def test_a_file_system_that_tensorflow_does_not_know():
    with pytest.raises(MediaError, match="Cannot read nowhere://run/config.json: .*nowhere"):
        RunFolder("nowhere://run").claim(CONFIG)
