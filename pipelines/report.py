"""`report.html`: one page to see what was seen and hear what came out; pictures inside, sound beside it."""

import base64
import math
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import jinja2
import numpy as np

from audio.models import resolve_name
from av_sep import __version__
from av_sep.instruments import find_taxonomy
from av_sep.media import replace_when_complete
from pipelines.config import SeparateConfig
from vision.overlay import draw_detections

if TYPE_CHECKING:
    from pipelines.look import Sighting
    from pipelines.separate import SeparationPlan, WrittenStem

TEMPLATES = Path(__file__).parent / "templates"
MAX_FRAMES = 6
FRAME_HEIGHT = 360
JPEG_QUALITY = 80


def write(
    path: Path,
    plan: "SeparationPlan",
    stems: "dict[str, WrittenStem]",
    config: SeparateConfig,
    model_rate_hz: int | None,
) -> None:
    """Writes the page of one separation beside its stems."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    # One scale for all, so that quiet stems look quiet, and yet nothing is a thin line on a quiet recording.
    loudest = max((stem.picture.peak for stem in stems.values()), default=0.0) or 1.0
    html = environment.get_template("report.html.j2").render(
        title=plan.info.path.stem,
        input_name=plan.info.path.name,
        info=plan.info,
        remarks=plan.remarks,
        version=__version__,
        model=resolve_name(config.model),
        model_rate_hz=model_rate_hz,
        labels=plan.labels,
        witnesses=plan.witnesses,
        rests_gated=plan.activity is not None,
        rows=_label_rows(plan),
        frames=_frames(plan.sighting) if plan.sighting else [],
        stems=[_stem(name, stem, loudest) for name, stem in stems.items()],
        seconds=plan.seconds,
        mime={"wav": "audio/wav", "flac": "audio/flac", "mp3": "audio/mpeg"}[config.file_format],
    )
    with replace_when_complete(path) as temporary:
        temporary.write_text(html, encoding="utf-8", errors="replace")


def _label_rows(plan: "SeparationPlan") -> list[dict]:
    labels = plan.labels
    taxonomy = find_taxonomy(labels.taxonomy)
    rows = [
        {
            "title": name.replace("_", " "),
            "family": taxonomy.family(name),
            "confidence": float(value),
            "has_stem": name in labels.instruments,
            "num_players": labels.num_players.get(name),
        }
        for name, value in zip(labels.taxonomy, labels.label_vector)
    ]
    return sorted(rows, key=lambda row: (-row["has_stem"], -row["confidence"]))


def _frames(sighting: "Sighting") -> list[dict]:
    chosen = sighting.shown
    if len(chosen) > MAX_FRAMES:
        chosen = chosen[:: -(-len(chosen) // MAX_FRAMES)]
    return [
        {"time_seconds": frame.time_seconds, "jpeg": _jpeg(draw_detections(frame.picture, detections))}
        for frame, detections in chosen
    ]


def _jpeg(picture: np.ndarray) -> str:
    height, width = picture.shape[:2]
    if height > FRAME_HEIGHT:
        size = (max(1, round(width * FRAME_HEIGHT / height)), FRAME_HEIGHT)
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return base64.b64encode(data.tobytes()).decode()


def _stem(name: str, stem: "WrittenStem", loudest: float) -> dict:
    level_db = stem.picture.rms_db
    return {
        "title": name.replace("_", " "),
        "file": stem.path.name,
        "level": f"{level_db:.1f} dB RMS" if math.isfinite(level_db) else "silent",
        "num_clipped": stem.num_clipped,
        "png": base64.b64encode(stem.picture.png(loudest)).decode(),
    }
