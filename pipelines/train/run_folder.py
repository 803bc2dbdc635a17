"""The folder of a training run, local or anything that TensorFlow's file system reaches (gs://; never run there).

    config.json     resolved settings; a run goes on only with the same
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
from pathlib import Path
from typing import Any

import keras
import pandas as pd
import tensorflow as tf

from av_sep.errors import MediaError, ParameterError
from pipelines.config import TrainConfig

CONFIG_MEMBER = "train_config.json"


class RunFolder:
    """Files of one run.

    Args:
        location: path or URL.
    """

    def __init__(self, location: str):
        self.location = location.rstrip("/")

    def path(self, name: str) -> str:
        """Path or URL of a file."""
        return f"{self.location}/{name}"

    def has(self, name: str) -> bool:
        """Whether a file is there."""
        return tf.io.gfile.exists(self.path(name))

    def claim(self, config: TrainConfig) -> None:
        """Makes the folder, or makes sure that it holds a run with these settings.

        Raises:
            ParameterError: where it holds another run or something else.
            MediaError: where it cannot be made.
        """
        resolved = config_json(config)
        if self.has("config.json"):
            if self._read("config.json").decode() != resolved:
                expected = "Expected a run with the same settings, or an empty folder"
                raise ParameterError(f"{expected}. Received: {self.location}")
            return
        if tf.io.gfile.exists(self.location) and tf.io.gfile.listdir(self.location):
            raise ParameterError(f"Expected an empty folder or a run of av-sep train. Received: {self.location}")
        try:
            tf.io.gfile.makedirs(self.location)
            self._replace("config.json", resolved.encode())
        except tf.errors.OpError as error:
            raise MediaError(f"Cannot write to {self.location}: {error.message}") from error

    def save_model(self, model: keras.Model, name: str, config: TrainConfig) -> None:
        """Writes a model with the run's settings inside it."""
        with tempfile.TemporaryDirectory() as temporary:
            file = Path(temporary) / "model.keras"
            model.save(file)
            with zipfile.ZipFile(file, "a") as archive:
                archive.writestr(CONFIG_MEMBER, config_json(config))
            self._replace(name, file.read_bytes())

    def load_model(self, name: str) -> keras.Model:
        """A model as it was saved, compiled if it was.

        Raises:
            MediaError: where the file is missing or damaged.
        """
        with tempfile.TemporaryDirectory() as temporary:
            file = Path(temporary) / "model.keras"
            try:
                file.write_bytes(self._read(name))
                return keras.saving.load_model(file)
            except (tf.errors.OpError, zipfile.BadZipFile, ValueError, OSError) as error:
                raise MediaError(f"Cannot read {self.path(name)}: {str(error).splitlines()[0]}") from error

    def history(self) -> pd.DataFrame:
        """The rows so far."""
        return pd.read_csv(io.BytesIO(self._read("history.csv"))) if self.has("history.csv") else pd.DataFrame()

    def append_history(self, row: dict[str, Any]) -> None:
        """Adds the row of an epoch; a row of that epoch or a later one, left by a killed run, goes."""
        rows = self.history()
        kept = rows[rows["epoch"] < row["epoch"]] if len(rows) else rows
        table = pd.concat([kept, pd.DataFrame([row])], ignore_index=True) if len(kept) else pd.DataFrame([row])
        self._replace("history.csv", table.to_csv(index=False).encode())

    def _read(self, name: str) -> bytes:
        with tf.io.gfile.GFile(self.path(name), "rb") as file:
            return file.read()

    def _replace(self, name: str, content: bytes) -> None:
        temporary = self.path(f".{name}.part")
        with tf.io.gfile.GFile(temporary, "wb") as file:
            file.write(content)
        tf.io.gfile.rename(temporary, self.path(name), overwrite=True)


def config_json(config: TrainConfig) -> str:
    """The resolved settings as they are kept."""
    return json.dumps(dataclasses.asdict(config), indent=2)
