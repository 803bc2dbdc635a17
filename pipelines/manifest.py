"""`manifest.json`: everything needed to know what made a folder of stems."""

import dataclasses
import datetime
import json
import math
import platform
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audio.models import resolve_name
from av_sep import __version__
from av_sep.media import replace_when_complete
from av_sep.types import InstrumentLabels
from pipelines.config import SeparateConfig
from pipelines.look import confidences

if TYPE_CHECKING:
    from audio.separation_model import SeparationModel, WholeMixtureModel
    from pipelines.separate import SeparationPlan, WrittenStem

SCHEMA_VERSION = 1
PACKAGES = ("tensorflow", "keras", "numpy", "soxr", "opencv-python-headless", "imageio-ffmpeg")


def write(
    path: Path,
    plan: "SeparationPlan",
    stems: "dict[str, WrittenStem]",
    config: SeparateConfig,
    model: "SeparationModel | WholeMixtureModel",
) -> None:
    """Writes the manifest of one separation."""
    content = {
        "schema_version": SCHEMA_VERSION,
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "versions": versions(),
        "input": {
            "path": str(plan.info.path),
            "duration_seconds": round(plan.info.duration_seconds, 3),
            "sample_rate_hz": plan.info.sample_rate_hz,
            "num_channels": plan.info.num_channels,
            "has_video": plan.info.has_video,
        },
        "remarks": plan.remarks,
        "settings": dataclasses.asdict(config),
        "model": {
            "name": resolve_name(config.model),
            "class": type(model).__name__,
            "sample_rate_hz": getattr(model, "sample_rate_hz", None),
            "source_names": list(model.source_names),
        },
        "labels": {**describe_labels(plan.labels, config.detector), "witnesses": plan.witnesses},
        "rests_gated": plan.activity is not None,
        "stems": {name: _describe_stem(stem) for name, stem in stems.items()},
        "seconds": {stage: round(seconds, 2) for stage, seconds in plan.seconds.items()},
    }
    with replace_when_complete(path) as temporary:
        # Names of files need not be valid UTF-8.
        text = json.dumps(content, indent=2, ensure_ascii=False, default=_plain) + "\n"
        temporary.write_text(text, encoding="utf-8", errors="replace")


def describe_labels(labels: InstrumentLabels, detector: str | None) -> dict:
    """Labels as they stand in files: what was found, how sure, and how it came about."""
    return {
        "origin": labels.origin,
        "detector": detector if labels.origin == "detected" else None,
        "threshold": labels.threshold,
        "instruments": list(labels.instruments),
        "label_vector": confidences(labels),
        "num_players": dict(labels.num_players),
    }


def versions() -> dict[str, str]:
    """Versions of this program and of what it computes with; "absent" for a package that is not installed."""
    found = {"av_sep": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "absent"
    return found


def _plain(value: object) -> object:
    """What JSON has no form for: NumPy's numbers as plain ones, anything else as text. The stems are worth more."""
    return value.tolist() if isinstance(value, (np.generic, np.ndarray)) else str(value)


def _describe_stem(stem: "WrittenStem") -> dict:
    level_db = stem.picture.rms_db
    return {
        "file": stem.path.name,
        "num_samples": stem.picture.num_samples,
        "sample_rate_hz": stem.picture.sample_rate_hz,
        "rms_db": round(level_db, 2) if math.isfinite(level_db) else None,
        "peak": round(stem.picture.peak, 4),
        "num_clipped": stem.num_clipped,
    }
