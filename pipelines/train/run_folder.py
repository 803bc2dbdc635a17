"""The folder of a training run, local or anything that TensorFlow's file system reaches (gs://; never run there).

    config.json     resolved settings, and under "data_digest" what tells the data from others; a run goes on only
                    with the same
    last.keras      weights and optimizer after the last epoch, for going on
    best.keras      averaged weights of the epoch with the lowest validation loss; a model like any other
    history.csv     one row per epoch
    events/         the same and sound examples for TensorBoard

A file is replaced when the new one is complete, so a run may be killed at any instant.
"""

import dataclasses
import io
import json
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import pandas as pd

from audio.keras_file import UNREADABLE, first_line
from av_sep.errors import MediaError, ParameterError
from pipelines.config import TrainConfig
from pipelines.train.files import files_at

CONFIG_MEMBER = "train_config.json"
DATA_DIGEST = "data_digest"


class RunFolder:
    """Files of one run.

    Args:
        location: path or URL.
    """

    def __init__(self, location: str):
        self.location = location.rstrip("/")
        self.files = files_at(location)

    def path(self, name: str) -> str:
        """Path or URL of a file."""
        return f"{self.location}/{name}"

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        with _refusals("read", self.path(name)):
            return self.files.exists(self.path(name))

    def require_free_for(self, config: TrainConfig, data_digest: str | None = None) -> None:
        """Makes sure that the folder is missing, empty, or holds a run with these settings and data.

        Args:
            config: the settings.
            data_digest: see `pipelines.train.data_digest`; None to take any data. A run that did not keep one goes on
                with any.

        Raises:
            ParameterError: where it holds another run or something else.
            MediaError: where it cannot be read, or its settings are damaged.
        """
        with _refusals("read", self.location):
            if not self.has("config.json"):
                if not self.files.is_empty(self.location):
                    expected = "Expected an empty folder or a run of av-sep train"
                    raise ParameterError(f"{expected}. Received: {self.location}")
                return
            kept = self._settings()
            kept_digest = kept.pop(DATA_DIGEST, None)
            if kept != json.loads(config_json(config)):
                expected = "Expected a run with the same settings, or an empty folder"
                raise ParameterError(f"{expected}. Received: {self.location}")
            if kept_digest is not None and data_digest not in (None, kept_digest):
                expected = "Expected a run on the same data, or an empty folder"
                raise ParameterError(f"{expected}. Received: {self.location}, which was begun with other data")

    def _settings(self) -> dict[str, Any]:
        """Settings as they were kept, with those that did not exist at that time as they are by default."""
        path = self.path("config.json")
        try:
            kept = json.loads(self.files.read(path))
        except ValueError as error:
            raise _damaged("settings", path) from error
        if not isinstance(kept, dict):
            raise _damaged("settings", path)
        return {**json.loads(config_json(TrainConfig(recipe="", model={}, segment_samples=0))), **kept}

    def claim(self, config: TrainConfig, data_digest: str | None = None) -> None:
        """Makes a folder that `require_free_for` has let pass a run's with these settings, if it is not one already.

        Args:
            config: the settings.
            data_digest: of its data; None to keep none.

        Raises:
            MediaError: where it cannot be read or made.
        """
        if self.has("config.json"):
            return
        with _refusals("write to", self.location):
            self.files.make_folder(self.location)
            kept = dataclasses.asdict(config) | ({} if data_digest is None else {DATA_DIGEST: data_digest})
            self.files.replace(self.path("config.json"), json.dumps(kept, indent=2).encode())

    def save_model(self, model: keras.Model, name: str, config: TrainConfig) -> None:
        """Writes a model with the run's settings inside it.

        Raises:
            MediaError: where it cannot be written.
        """
        with _refusals("write", self.path(name)), tempfile.TemporaryDirectory() as temporary:
            file = Path(temporary) / "model.keras"
            model.save(file)
            with zipfile.ZipFile(file, "a") as archive:
                archive.writestr(CONFIG_MEMBER, config_json(config))
            self.files.replace(self.path(name), file.read_bytes())

    def load_model(self, name: str) -> keras.Model:
        """A model as it was saved, compiled if it was.

        Raises:
            MediaError: where the file is missing or damaged.
        """
        with tempfile.TemporaryDirectory() as temporary:
            file = Path(temporary) / "model.keras"
            try:
                file.write_bytes(self.files.read(self.path(name)))
                return keras.saving.load_model(file)
            except UNREADABLE as error:
                raise MediaError(f"Cannot read {self.path(name)}: {first_line(error)}") from error

    def history(self) -> pd.DataFrame:
        """The rows so far.

        Raises:
            MediaError: where they cannot be read or are damaged.
        """
        path = self.path("history.csv")
        if not self.has("history.csv"):
            return pd.DataFrame()
        with _refusals("read", path):
            content = self.files.read(path)
        try:
            rows = pd.read_csv(io.BytesIO(content))
        # Whatever pandas says about content is one of these.
        except ValueError as error:
            raise _damaged("rows", path) from error
        if not {"epoch", "val_loss"} <= set(rows.select_dtypes("number")):
            raise _damaged("rows", path)
        return rows

    def append_history(self, row: dict[str, Any]) -> None:
        """Adds the row of an epoch; a row of that epoch or a later one, left by a killed run, goes.

        Raises:
            MediaError: where the file cannot be read or written.
        """
        rows = self.history()
        kept = rows[rows["epoch"] < row["epoch"]] if len(rows) else rows
        table = pd.concat([kept, pd.DataFrame([row])], ignore_index=True) if len(kept) else pd.DataFrame([row])
        with _refusals("write", self.path("history.csv")):
            self.files.replace(self.path("history.csv"), table.to_csv(index=False).encode())


def config_json(config: TrainConfig) -> str:
    """The resolved settings as they are kept."""
    return json.dumps(dataclasses.asdict(config), indent=2)


@contextmanager
def _refusals(doing: str, place: str) -> Iterator[None]:
    """Turns what the system says into one line that names the place."""
    try:
        yield
    except MediaError:
        raise
    except OSError as error:
        raise MediaError(f"Cannot {doing} {place}: {error.strerror or error}") from error


def _damaged(what: str, path: str) -> MediaError:
    return MediaError(f"Expected the {what} of a run as it wrote them. Received: {path}, which is damaged")
