"""The unit of work: one system on one track with one source of labels, kept in a file of its own when it is finished.

A unit's file holds a key made of everything its scores follow from. A later run takes it where the key is the same and
scores anew where it is not: killed, repeated, with other models added, an evaluation never does anything twice and
never mixes scores that were made differently.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from audio.activity_detector.packaged import ACTIVITY_DETECTOR_FILES
from audio.tagger.packaged import TAGGER_FILES
from av_sep.datasets.track import Track
from av_sep.media import replace_when_complete
from pipelines.detector_files import detector_files
from pipelines.evaluate.config import EvaluateConfig
from pipelines.evaluate.scoring import Scored
from pipelines.evaluate.systems import SystemSpec
from pipelines.fingerprint import fingerprint
from pipelines.staging import make_folder
from vision.detector import split_names
from vision.instrument_classifier import HEAD_PATH

WORK = "work"
# Raised whenever a change to the code changes scores.
_PROTOCOL = 5


@dataclass(frozen=True)
class Unit:
    """One system on one track, told by one source what plays."""

    spec: SystemSpec
    labels: str

    @property
    def name(self) -> str:
        """Unique within the track, usable as a file name."""
        return f"{self.spec.info.name}--{self.labels}".replace("/", "--")


@dataclass(frozen=True)
class TrackTask:
    """Everything about one track; what a worker gets.

    Attributes:
        track: the track.
        instruments: its instruments in the taxonomy's order.
        units: what is to be scored on it.
        folder: where its units are kept.
        config: the settings.
    """

    track: Track
    instruments: tuple[str, ...]
    units: tuple[Unit, ...]
    folder: Path
    config: EvaluateConfig

    def path(self, unit: Unit) -> Path:
        """Where a unit is kept."""
        return self.folder / f"{unit.name}.json"

    @property
    def sighting_path(self) -> Path:
        """Where is kept what was seen in the track's film."""
        return self.folder / "seen.json"

    def sighting_key(self) -> str:
        """Of what is seen in the film, and of what plays, which it is held against."""
        config = self.config
        settings = [config.detector, config.frames_per_second, config.threshold]
        truth = [part.instrument for part in self.track.parts]
        return fingerprint(
            [_PROTOCOL, settings, self.eyes(), truth, _identities((self.track.video, self.track.boxes))]
        )

    def eyes(self) -> list[list[Any]]:
        """Files that the detector is made of, as they are now."""
        detector = self.config.detector
        # The scores' key outlives versions of the program, so it holds the packaged head as well.
        packaged = [HEAD_PATH] if "embedded" in split_names(detector) else []
        return _identities([*packaged, *(path for path in detector_files(detector) if path.is_file())])

    @property
    def hearing_path(self) -> Path:
        """Where is kept what was heard in the track's film."""
        return self.folder / "heard.json"

    def hearing_key(self) -> str:
        """Of what is heard in the film; the detector says of which instruments that is told."""
        eyes = [self.config.detector, self.eyes()]
        return fingerprint([_PROTOCOL, eyes, _identities((*TAGGER_FILES, self.track.video))])

    def key(self, unit: Unit, instruments: Sequence[str], known: Sequence[str]) -> str:
        """Of a unit's scores, `instruments` being what is said to play and `known` those that do for certain."""
        config = self.config
        settings = [config.sample_rate_hz, config.num_channels, config.max_seconds, sorted(config.segment_metrics)]
        stems = dict(unit.spec.estimates).get(self.track.name)
        mixture = [None if self.track.mixture is None else self.track.mixture.path]
        sides = [track.parts for track in (self.track, stems) if track is not None]
        is_network = unit.spec.info.kind == "model" and not unit.spec.estimates
        listener = _identities(ACTIVITY_DETECTOR_FILES) if config.gate_rests and is_network else []
        system = [unit.spec.info.name, unit.spec.source, unit.spec.identity, listener]
        content = [_PROTOCOL, system, unit.labels, list(instruments), list(known), list(self.instruments), settings]
        names = [[(part.instrument, part.sound.stream_index) for part in parts] for parts in sides]
        sounds = [_identities([part.sound.path for part in parts]) for parts in sides]
        return fingerprint([*content, names, sounds, _identities(mixture)])


def read_unit(path: Path, key: str) -> Scored | None:
    """A finished unit, or None where there is none that was made in the same way."""
    content = read_kept(path, key)
    return None if content is None else Scored(**content)


def write_unit(path: Path, key: str, scored: Scored) -> None:
    """Keeps a finished unit."""
    write_kept(path, key, scored.to_json())


def read_kept(path: Path, key: str) -> dict[str, Any] | None:
    """What was kept under a key; None where there is nothing, or another key's, or a file that was cut off."""
    try:
        kept = json.loads(path.read_text())
        return kept["content"] if kept["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_kept(path: Path, key: str, content: dict[str, Any]) -> None:
    """Keeps something under a key, all at once."""
    make_folder(path.parent)
    with replace_when_complete(path) as temporary:
        temporary.write_text(json.dumps({"key": key, "content": content}))


def _identities(paths: Sequence[Path | None]) -> list[list[Any]]:
    """A file changed where its size or time did."""
    states = [(path, path.stat()) for path in dict.fromkeys(paths) if path is not None]
    return [[path.name, state.st_size, state.st_mtime_ns] for path, state in states]
