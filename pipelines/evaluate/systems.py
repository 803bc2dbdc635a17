"""The systems that are compared: separation models by name or file, oracles, and stems that somebody else made.

Every evaluation carries the mixture and the static Wiener filters (floors) and the ideal ratio mask (ceiling), asked
for or not: a score means nothing without them.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from audio.activity import Activity
from audio.activity_detector import StreamActivityDetector, load_activity_detector
from audio.baselines.oracle import ORACLES
from audio.level import working_gain
from audio.models import available_models, make_separator, resolve_name, weights_files
from audio.tagger import StreamTagger, load_tagger
from av_sep.datasets.track import Track
from av_sep.errors import MediaError, ParameterError
from pipelines.evaluate.sounds import TrackSound, read_estimates
from pipelines.evaluate.tables import SystemInfo
from pipelines.joint.files import load_separation_model
from pipelines.rests import is_network, should_gate_rests

FLOORS = ("mixture", "mixture_share", "wiener")
CLASSICS = ("nmf", "nmf_frobenius", "nmf_itakura_saito", "nmf_blind", "ica", "pca")
GROUPS: Mapping[str, tuple[str, ...]] = {"floors": FLOORS, "classics": CLASSICS, "oracles": tuple(ORACLES)}
ALWAYS = ("mixture", "wiener", "ideal_ratio_mask")
_KINDS = ("floor", "classic", "model", "oracle")
UNKNOWN_LABELS = "unknown"


class CannotSeparate(Exception):
    """A system that cannot work on a track with these labels, and why."""


@dataclass(frozen=True)
class SystemSpec:
    """Which system; small enough to send to another process.

    Attributes:
        info: how it stands in the tables.
        source: name of a model or oracle, path of a `.keras` file, or folder of estimates.
        identity: changes when its weights do.
        estimates: for a folder of estimates, track name -> its stems.
    """

    info: SystemInfo
    source: str
    identity: str
    estimates: tuple[tuple[str, Track], ...] = ()

    def label_sources(self, wanted: Sequence[str]) -> tuple[str, ...]:
        """Which of the wanted label sources make sense for it: some systems are not told any labels."""
        if self.estimates:
            return (UNKNOWN_LABELS,)
        if self.source == "mixture" or self.info.kind == "oracle":
            return ("true",)
        # The floor stands on true labels whoever tells the models; it shows what the other labels cost it, too.
        return tuple(dict.fromkeys(("true", *wanted))) if self.source in ALWAYS else tuple(wanted)


class System(Protocol):
    """Separates one track."""

    def estimate(
        self, sound: TrackSound, labels: str, instruments: Sequence[str], known: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """Estimates `[time, channels]` by instrument.

        Args:
            sound: the track; only oracles look at its references.
            labels: who says what plays.
            instruments: what is said to play; nothing where `labels` is "none" or "all".
            known: which of them play for certain, see `pipelines.rests.known_to_play`.

        Raises:
            CannotSeparate: where it does not know an instrument, or needs labels and there are none.
        """
        ...


def find_systems(models: Iterable[str], estimates: Iterable[SystemSpec] = ()) -> tuple[SystemSpec, ...]:
    """The systems of an evaluation in the order of its tables: floors, classics, models, oracles.

    Args:
        models: names, files and groups.
        estimates: folders of stems to be scored beside them.

    Raises:
        ParameterError: for an unknown model.
        MediaError: for a file that does not exist.
    """
    names = [name for model in models for name in GROUPS.get(model, (resolve_name(model),))]
    specs = [*map(_spec, dict.fromkeys([*names, *ALWAYS])), *estimates]
    ranks = {name: rank for rank, name in enumerate((*FLOORS, *CLASSICS, *ORACLES))}
    specs.sort(key=lambda spec: (_KINDS.index(spec.info.kind), ranks.get(spec.source, len(ranks))))
    titles = [spec.info.name for spec in specs]
    for name in titles:
        if titles.count(name) > 1:
            raise ParameterError(f"Expected systems with different names. Received: {name} twice")
    return tuple(specs)


def folder_system(root: str | Path, tracks: Mapping[str, Track]) -> SystemSpec:
    """Stems that somebody made, as a system."""
    name = Path(root).resolve().name
    info = SystemInfo(name=name, kind="model", title=name, description=f"stems in the folder {name}")
    return SystemSpec(info, str(root), "", tuple(sorted(tracks.items())))


def _spec(name: str) -> SystemSpec:
    if name in ORACLES:
        description = (ORACLES[name].__doc__ or name).strip().splitlines()[0]
        return SystemSpec(SystemInfo(name=name, kind="oracle", title=_title(name), description=description), name, "")
    entries = {entry.name: entry.description for entry in available_models()}
    if name in entries:
        info = SystemInfo(name=name, kind=_kind(name), title=_title(name), description=entries[name])
        return SystemSpec(info, name, _digest(*weights_files(name)))
    path = Path(name)
    if path.suffix != ".keras":
        known = ", ".join((*GROUPS, *entries, *ORACLES))
        raise ParameterError(f"Expected models among {known}, or .keras files. Received: {name!r}")
    if not path.is_file():
        raise MediaError(f"Expected a .keras file. Received: {path}, which does not exist")
    # A run's folder says more than its "best.keras" does.
    shown = f"{path.resolve().parent.name}/{path.stem}"
    info = SystemInfo(name=shown, kind="model", title=shown, description=f"the model in {path.name}")
    return SystemSpec(info, str(path.resolve()), _digest(path))


def _title(name: str) -> str:
    return {"wiener": "static Wiener filters", "mixture_share": "mixture / n"}.get(name, name.replace("_", " "))


def _kind(name: str) -> str:
    if name in FLOORS:
        return "floor"
    return "classic" if name in CLASSICS else "model"


def _activity(sound: TrackSound, instruments: Sequence[str]) -> Activity:
    louder = working_gain([sound.mixture]) * sound.mixture
    return packaged_activity_detector().track([louder], sound.sample_rate_hz, instruments)


@lru_cache(maxsize=1)
def packaged_tagger() -> StreamTagger:
    """What listens for instruments, loaded once in a process."""
    return load_tagger()


@lru_cache(maxsize=1)
def packaged_activity_detector() -> StreamActivityDetector:
    """What listens for rests, loaded once in a process."""
    return load_activity_detector()


def _digest(*paths: Path) -> str:
    """Of what the files hold, one after the other; empty where there are none."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest() if paths else ""


# An evaluation goes through all its systems on every track: a limit below their number would keep none.
@lru_cache(maxsize=None)
def open_system(spec: SystemSpec, max_seconds: float | None, gate_rests: bool) -> System:
    """The system itself, loaded once in a process.

    Args:
        spec: which.
        max_seconds: of a folder's stems; None for all.
        gate_rests: silence a network's stems where their player is heard to rest.
    """
    if spec.estimates:
        return _Folder(spec, max_seconds)
    return _Oracle(spec.source) if spec.info.kind == "oracle" else _Model(spec.source, gate_rests)


class _Model:
    def __init__(self, source: str, gate_rests: bool):
        self.name = source
        self.gate_rests = gate_rests
        self.separator = make_separator(load_separation_model(source))
        self.takes_labels = getattr(self.separator.model, "takes_labels", True)
        if gate_rests and is_network(self.separator.model):
            # Before anybody takes the time.
            packaged_activity_detector()

    def estimate(
        self, sound: TrackSound, labels: str, instruments: Sequence[str], known: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """See `System`."""
        names = self.separator.source_names
        unknown = [name for name in sound.references if name not in names]
        if unknown:
            raise CannotSeparate(f"does not know {', '.join(unknown)}")
        if labels == "none" and self.takes_labels:
            raise CannotSeparate("needs labels")
        told = names if labels in ("none", "all") else instruments
        label_vector = np.array([name in told for name in names], np.float32)
        active = {i: names[i] for i in self.separator.active(label_vector)}
        activity = None
        if self.gate_rests and should_gate_rests(self.separator.model, active.values()):
            activity = _activity(sound, tuple(active.values())).believing(known)
        estimates = self.separator.separate(sound.mixture, label_vector, sound.sample_rate_hz, activity=activity)
        return {name: estimates[i] for i, name in active.items()}


class _Oracle:
    def __init__(self, name: str):
        self.separate = ORACLES[name]

    def estimate(
        self, sound: TrackSound, labels: str, instruments: Sequence[str], known: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """See `System`."""
        references = np.stack([sound.references[name] for name in instruments])
        return dict(zip(instruments, self.separate(sound.mixture, references)))


class _Folder:
    def __init__(self, spec: SystemSpec, max_seconds: float | None):
        self.tracks = dict(spec.estimates)
        self.max_seconds = max_seconds

    def estimate(
        self, sound: TrackSound, labels: str, instruments: Sequence[str], known: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """See `System`."""
        if sound.name not in self.tracks:
            raise CannotSeparate("holds no stems of it")
        return read_estimates(self.tracks[sound.name], sound, self.max_seconds)
