"""How label files came about, and whether those of an earlier run are what this run would make.

The JSON file says by which version, from which video and with which settings it was made. Files of an earlier run are
kept where all of that is equal and no pictures are missing. What was made otherwise is never replaced unasked.
"""

import itertools
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from av_sep import __version__
from av_sep.errors import MediaError, ParameterError, shown
from pipelines.annotation.formats import COMPANIONS
from pipelines.config import AnnotateConfig
from pipelines.detector_files import detector_states, file_state

SCHEMA_VERSION = 2
_WAY_OUT = "add --overwrite to replace it"


@dataclass(frozen=True)
class VideoSource:
    """Which video it was.

    Attributes:
        location: path or URL.
        num_bytes: of the file; None where nobody knows.
        modified_seconds: since 1970, when it was changed last; None for a URL.
    """

    location: str
    num_bytes: int | None = None
    modified_seconds: float | None = None

    @classmethod
    def of_file(cls, path: Path) -> "VideoSource":
        """A local file; one that cannot be opened has neither size nor time."""
        return cls(str(path), *file_state(path))


def describe_making(config: AnnotateConfig, threshold: float, source: VideoSource) -> dict[str, Any]:
    """What the files of a video depend on, JSON-safe: the program's version, the video and the settings.

    Args:
        config: the settings.
        threshold: the one that is used where they name none.
        source: the video.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "av_sep_version": __version__,
        "input_file": {"num_bytes": source.num_bytes, "modified_seconds": source.modified_seconds},
        "settings": {
            "detector": config.detector,
            "detector_files": detector_states(config.detector),
            "threshold": threshold,
            "frames_per_second": config.frames_per_second,
            "labels": config.labels,
            "scenes": config.scenes,
            "min_confidence": config.min_confidence,
        },
    }


def find_kept(files: Mapping[str, Path], made: Mapping[str, Any]) -> dict[str, Any] | None:
    """The content of the JSON file of an earlier run that need not be repeated; None where somebody must look again.

    Files that are made of the JSON file may be missing.

    Args:
        files: kind -> place, of all files that are wanted; without a "json" among them nothing can be kept.
        made: how they would be made now.

    Raises:
        ParameterError: where there are files that were made otherwise, or that a person has corrected and beside which
            pictures are missing.
    """
    # Unlike `Path.exists` this raises nothing for a place out of reach.
    existing = [path for path in files.values() if os.path.exists(path)]
    if not existing:
        return None
    content = _read(files["json"]) if "json" in files else None
    if content is None:
        raise ParameterError(
            f"The output exists already, and no JSON file of this run says how it was made; {_WAY_OUT}."
            f" Received: {shown(existing[0])}"
        )
    if differences := _differences(content, made):
        raise ParameterError(
            f"The output exists already and was made otherwise ({', '.join(differences)}); {_WAY_OUT}."
            f" Received: {shown(files['json'])}"
        )
    if all(path in existing for kind, path in files.items() if kind not in COMPANIONS):
        return content
    if is_corrected(content):
        raise ParameterError(
            f"The output exists already and holds a person's corrections, but files beside it are missing; {_WAY_OUT}."
            f" Received: {shown(files['json'])}"
        )
    return None


def is_corrected(content: Mapping[str, Any]) -> bool:
    """Whether a JSON file says that a person has looked through it or changed it."""
    return bool(content.get("checked")) or content.get("origin") == "corrected"


def set_corrected_aside(path: Path) -> Path | None:
    """Gives a JSON file that a person has corrected another name, so that a new one can take its place.

    Returns:
        `<name>.checked.json` or, where that is taken, `<name>.checked-2.json` and so on; None where there was no such
        file.

    Raises:
        MediaError: where that is not possible.
    """
    content = _read(path)
    if content is None or not is_corrected(content):
        return None
    names = itertools.chain([".checked.json"], (f".checked-{number}.json" for number in itertools.count(2)))
    aside = next(place for place in map(path.with_suffix, names) if not os.path.lexists(place))
    try:
        os.rename(path, aside)
    except OSError as error:
        raise MediaError(f"Cannot keep the corrected labels as {shown(aside)}: {error.strerror}") from error
    return aside


def _differences(content: Mapping[str, Any], made: Mapping[str, Any]) -> list[str]:
    """Names of what is not equal, with both values where they are short."""
    found = []
    for key, value in made.items():
        earlier = content.get(key)
        if isinstance(value, Mapping):
            nested = earlier if isinstance(earlier, Mapping) else {}
            found += [
                "another video" if key == "input_file" else f"{name} {_short(nested.get(name))}, not {_short(wanted)}"
                for name, wanted in value.items()
                if nested.get(name) != wanted
            ]
        elif earlier != value:
            found.append(f"{key} {_short(earlier)}, not {_short(value)}")
    return list(dict.fromkeys(found))


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None
