"""What a worker does with one track: look at its film if need be, separate it by every system, score, keep."""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from threadpoolctl import threadpool_limits

from av_sep.media import probe
from av_sep.types import InstrumentLabels
from pipelines.evaluate.scoring import Scored, score
from pipelines.evaluate.sounds import TrackSound, read_sound
from pipelines.evaluate.systems import CannotSeparate, open_system, packaged_tagger
from pipelines.evaluate.units import TrackTask, Unit, read_kept, read_unit, write_kept, write_unit
from pipelines.evaluate.vision_judgement import VideoJudgement, judge_video, labels_from_json, labels_to_json
from pipelines.fingerprint import fingerprint
from pipelines.joint.files import is_joint
from pipelines.look import Looker
from pipelines.progress import silent
from pipelines.rests import seen_among
from pipelines.witnesses import asks_sound, fuse, labels_from_sound


def evaluate_track(task: TrackTask) -> dict[str, Any]:
    """Scores a track's units, those that are kept already left as they are.

    Returns:
        JSON-safe: "num_kept", how many units were there already.

    Raises:
        MediaError: where a file of the track cannot be read.
    """
    labels = _detect(task) if any(unit.labels == "detected" for unit in task.units) else None
    sound: TrackSound | None = None
    num_kept = 0
    for unit in task.units:
        told = _told(task, unit, labels)
        known = known_by(task, unit, told or ())
        key = task.key(unit, told or (), known)
        if read_unit(task.path(unit), key) is not None:
            num_kept += 1
            continue
        sound = sound or _read(task)
        write_unit(task.path(unit), key, _scored(task, unit, sound, told, known))
    return {"num_kept": num_kept}


def read_judgement(task: TrackTask) -> VideoJudgement | None:
    """What was seen in the track's film; None where nobody looked."""
    kept = None if task.track.video is None else read_kept(task.sighting_path, task.sighting_key())
    return None if kept is None else VideoJudgement.from_json(kept)


def estimate_again(task: TrackTask, unit: Unit) -> tuple[TrackSound, dict]:
    """A unit's estimates, which are not kept, beside what they were scored against."""
    sound = _read(task)
    system = open_system(unit.spec, task.config.max_seconds, task.config.gate_rests)
    told = told_by(task, unit) or ()
    return sound, system.estimate(sound, unit.labels, told, known_by(task, unit, told))


def told_by(task: TrackTask, unit: Unit) -> tuple[str, ...] | None:
    """What a finished unit was told to play; None where nobody could say."""
    return _told(task, unit, _read_detected(task) if unit.labels == "detected" else None)


def _detect(task: TrackTask) -> InstrumentLabels | None:
    """What plays by the film, as `separate` would judge it; None without a film."""
    video, seen = task.track.video, _look(task)
    if video is None or seen is None:
        return None
    if _asks_sound(task, seen.labels) and _read_heard(task) is None and probe(video).has_audio:
        heard = labels_from_sound(video, packaged_tagger(), taxonomy=_looker_of(task).detector.taxonomy)
        write_kept(task.hearing_path, task.hearing_key(), labels_to_json(heard))
    return _read_detected(task)


def _read_detected(task: TrackTask) -> InstrumentLabels | None:
    """What `_detect` found earlier."""
    seen = read_judgement(task)
    if seen is None:
        return None
    heard = _read_heard(task) if _asks_sound(task, seen.labels) else None
    return seen.labels if heard is None else fuse(seen.labels, heard)


def _read_heard(task: TrackTask) -> InstrumentLabels | None:
    kept = read_kept(task.hearing_path, task.hearing_key())
    return None if kept is None else labels_from_json(kept)


def _asks_sound(task: TrackTask, seen: InstrumentLabels) -> bool:
    return asks_sound(task.config.witnesses, task.config.detector, seen)


def _look(task: TrackTask) -> VideoJudgement | None:
    """What the vision stage sees in the film, now or earlier; None without a film."""
    if task.track.video is None:
        return None
    judgement = read_judgement(task)
    if judgement is None:
        config = task.config
        info = probe(task.track.video)
        sighting = _looker_of(task).look(task.track.video, info, silent)
        # A joint model judges whole pictures: it has no boxes to compare.
        has_boxes = not is_joint(config.detector)
        judgement = judge_video(
            task.track, task.instruments, info, sighting, config.frames_per_second, compare_boxes=has_boxes
        )
        write_kept(task.sighting_path, task.sighting_key(), judgement.to_json())
    return judgement


def _looker_of(task: TrackTask) -> Looker:
    config = task.config
    return _looker(config.detector, config.frames_per_second, config.threshold, fingerprint(task.eyes()))


@lru_cache(maxsize=1)
def _looker(detector: str, frames_per_second: float, threshold: float | None, eyes: str) -> Looker:
    """Loaded once in a process, and again where one of the detector's files has changed."""
    return Looker(detector, frames_per_second=frames_per_second, threshold=threshold)


def _told(task: TrackTask, unit: Unit, detected: InstrumentLabels | None) -> tuple[str, ...] | None:
    """What is said to play; None where nobody can say."""
    if unit.labels == "detected":
        return None if detected is None else detected.instruments
    return () if unit.labels in ("none", "all") else task.instruments


def known_by(task: TrackTask, unit: Unit, told: Sequence[str]) -> tuple[str, ...]:
    """Which of what is said to play plays for certain."""
    if unit.labels == "true":
        return tuple(told)
    judgement = read_judgement(task) if unit.labels == "detected" else None
    return seen_among(told, judgement.labels if judgement else None)


def _read(task: TrackTask) -> TrackSound:
    config = task.config
    return read_sound(task.track, task.instruments, config.sample_rate_hz, config.num_channels, config.max_seconds)


def _scored(
    task: TrackTask, unit: Unit, sound: TrackSound, told: Sequence[str] | None, known: Sequence[str]
) -> Scored:
    if told is None:
        return Scored(left_out="there is no film to see what plays")
    if len(sound.sounding) < 2:
        return Scored(left_out="one instrument alone sounds, so there is nothing to separate")
    system = open_system(unit.spec, task.config.max_seconds, task.config.gate_rests)
    started = time.perf_counter()
    try:
        estimates = system.estimate(sound, unit.labels, told, known)
    except CannotSeparate as reason:
        return Scored(left_out=str(reason))
    seconds = time.perf_counter() - started
    keys = {"track": task.track.name, "system": unit.spec.info.name, "labels": unit.labels}
    # Its many small factorizations took twenty times as long on two threads as on one.
    with threadpool_limits(1):
        return replace(score(sound, estimates, task.config.segment_metrics, keys), seconds=seconds)
