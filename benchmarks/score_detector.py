"""Score the shipped detector: photos, stage pictures with known boxes, films, and what a frame costs.

    python benchmarks/score_detector.py --photos PHOTOS --clips CLIPS

PHOTOS holds files `<anything>_<number>_<label>.jpg` that nothing was trained on, CLIPS films named `<label>_….mp4`.
Both are optional. Takes a few minutes on 2 cores.

Each photo and stage counts as a film of one frame. "Exactly right" means that the set of instruments that would get a
stem is the true one. Stages are put together from the photos (see `stage_pictures`), so that boxes are known; a box is
right where it overlaps a known one of its instrument by half. Most photos of instruments show nobody, and then there is
no person to find: the second set of stages is made only of photos in which the person network sees somebody.
"""

import re
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import cv2
import numpy as np
from photo_features import SEED, read_photo
from stage_pictures import CLASSES, OTHER, Photo, Stage, make_stages

from av_sep.instruments import URMP_13
from av_sep.media import video_frames
from av_sep.types import Detection, VideoFrame
from vision.embedded_detector import EmbeddedDetector
from vision.labels import pool_detections
from vision.metrics import (
    BoxedFrame,
    any_of_groups,
    brier_scores,
    count_labels,
    exact_match_share,
    expected_calibration_error,
    hits_by_confidence,
    micro_average,
    reliability_curve,
    score_boxes,
)

LABEL_SPELLINGS = {"french_horn": "horn"}
NUM_ROUNDS = 2  # stages that each photo stands on
NUM_REPEATS = 9  # of each timed frame
FEW = 5  # photos of an instrument below which its row means little


@dataclass(frozen=True, eq=False)
class Judged:
    """What the detector said of one picture.

    Attributes:
        true: bool `[num_instruments]`.
        detected: which get a stem, likewise.
        label_vector: `[num_instruments]`.
        boxes: known and detected ones; None where none are known.
    """

    true: np.ndarray
    detected: np.ndarray
    label_vector: np.ndarray
    boxes: BoxedFrame | None = None


def list_validation_photos(folder: Path) -> list[Photo]:
    """Photos named `<anything>_<number>_<label>.<ending>`."""
    photos = []
    for path in sorted(folder.glob("*.*")):
        label = re.sub(r"^.*?\d+_\d+_", "", path.stem)
        photos.append(Photo(path, LABEL_SPELLINGS.get(label, label), "validation"))
    return photos


def judge_photo(photo: Photo, detector: EmbeddedDetector) -> Judged:
    """The detector on one photo."""
    return _judge([photo.label], detector.detect_frame(VideoFrame(0.0, read_photo(photo))))


def judge_stage(stage: Stage, detector: EmbeddedDetector) -> Judged:
    """The detector on one stage; whole-frame detections have no box to score."""
    detections = detector.detect_frame(VideoFrame(0.0, stage.picture))
    placed = [detection for detection in detections if not detection.whole_frame]
    boxes = BoxedFrame(
        stage.boxes_xyxy,
        np.array([CLASSES.index(photo.label) for photo in stage.photos]),
        np.array([detection.box_xyxy for detection in placed]).reshape(-1, 4),
        np.array([CLASSES.index(detection.instrument) for detection in placed], np.int64),
        np.array([detection.confidence for detection in placed]),
    )
    return _judge([photo.label for photo in stage.photos], detections, boxes)


def print_stage_scores(photos: Sequence[Photo], detectors: Sequence[tuple[Collection[str], EmbeddedDetector]]) -> None:
    """Scores on stages of all photos and of those that show players, each judged by the detector of its origin.

    Args:
        photos: of any origins.
        detectors: origins, and the detector that has not seen them.
    """
    of_all, of_players = [], []
    for origins, detector in detectors:
        shown = [photo for photo in photos if photo.origin in origins]
        players = [photo for photo in shown if detector.player_detector.detect(read_photo(photo))]
        of_all += [judge_stage(stage, detector) for stage in make_stages(shown, SEED, NUM_ROUNDS)]
        of_players += [judge_stage(stage, detector) for stage in make_stages(players, SEED, NUM_ROUNDS)]
    print_scores(f"{len(of_all)} stages of all photos", of_all, "on stage")
    print_scores(f"{len(of_players)} stages of photos that show players", of_players, "on stage")


def _judge(labels: Sequence[str], detections: Sequence[Detection], boxes: BoxedFrame | None = None) -> Judged:
    pooled = pool_detections(detections)
    true, detected = (np.array([name in names for name in URMP_13.names]) for names in (labels, pooled.instruments))
    return Judged(true, detected, pooled.label_vector, boxes)


def print_table(title: str, true: np.ndarray, detected: np.ndarray, names: Sequence[str], unit: str) -> None:
    """Precision, recall and F1 per name of bool `[num_pictures, num_names]`, and over all."""
    counts, average = count_labels(true, detected), micro_average(count_labels(true, detected))
    click.echo(f"\n{title}\n\n| | {unit} | precision | recall | F1 |\n|---|---|---|---|---|")
    rows = zip(names, counts.support, counts.num_detected, counts.precision, counts.recall, counts.f1)
    for name, support, num_detected, *ratios in rows:
        if support or num_detected:
            few = " (few)" if support < FEW else ""
            click.echo(f"| {name} | {support}{few} | {' | '.join(map(_number, ratios))} |")
    click.echo(f"| all | {int(counts.support.sum())} | {' | '.join(map(_number, average))} |")
    click.echo(f"\nExactly right: {exact_match_share(true, detected):.2f} of {len(true)}")


def print_label_scores(title: str, true: np.ndarray, detected: np.ndarray, names: Sequence[str], unit: str) -> None:
    """Tables per instrument, and with those that cannot be told apart, and families, each taken for one."""
    print_table(title, true, detected, names, unit)
    pairs = [("violin", "viola"), ("cello", "double_bass")]
    families: dict[str, list[int]] = {}
    for position, name in enumerate(names):
        families.setdefault(OTHER if name == OTHER else URMP_13.family(name), []).append(position)
    pooled = [[names.index(name) for name in pair] for pair in pairs]
    paired = {position for pair in pooled for position in pair}
    pooled += [[position] for position in range(len(names)) if position not in paired]
    of_pairs = [" or ".join(names[position] for position in members) for members in pooled]
    for groups, group_names in ((pooled, of_pairs), (list(families.values()), list(families))):
        print_table(title, any_of_groups(true, groups), any_of_groups(detected, groups), group_names, unit)


def print_scores(title: str, judged: Sequence[Judged], unit: str = "photos") -> None:
    """Label scores, calibration and, where boxes are known, average precision."""
    true, detected = (np.array([getattr(one, name) for one in judged]) for name in ("true", "detected"))
    vectors = np.clip([one.label_vector for one in judged], 0.0, 1.0)
    print_label_scores(title, true, detected, URMP_13.names, unit)
    error, brier = expected_calibration_error(reliability_curve(true, vectors)), brier_scores(true, vectors).mean()
    click.echo(f"Calibration of the label vector: expected error {error:.3f}, Brier score {brier:.3f}")
    frames = [one.boxes for one in judged if one.boxes is not None]
    if frames:
        print_boxes(title, frames)


def print_boxes(title: str, frames: Sequence[BoxedFrame]) -> None:
    """Average precision per instrument, and how many boxes are found whatever they are called."""
    scores = score_boxes(frames, len(URMP_13))
    click.echo(f"\n{title}, boxes\n\n| | known | detected | right | average precision |\n|---|---|---|---|---|")
    rows = zip(URMP_13.names, scores.num_known, scores.num_detected, scores.num_hits, scores.average_precision)
    for name, num_known, num_detected, num_hits, precision in rows:
        if num_known:
            click.echo(f"| {name} | {num_known} | {num_detected} | {num_hits} | {precision:.2f} |")
    found = [hits_by_confidence(frame.known_xyxy, frame.detected_xyxy, frame.confidences).sum() for frame in frames]
    num_known = sum(len(frame.known_xyxy) for frame in frames)
    click.echo(f"\nMean average precision {np.nanmean(scores.average_precision):.2f};"
               f" {sum(found)} of {num_known} boxes found by any name")  # fmt: skip


def print_clip(path: Path, detector: EmbeddedDetector) -> None:
    """What is said of a film, looked at once a second."""
    labels = pool_detections(detector.detect(video_frames(path)))
    surest = [(labels.taxonomy[i], labels.label_vector[i]) for i in np.argsort(-labels.label_vector)[:3]]
    said = ", ".join(labels.instruments) or "nothing"
    click.echo(f"{path.name}: {said} (" + ", ".join(f"{name} {confidence:.2f}" for name, confidence in surest) + ")")


def print_cost(name: str, picture: np.ndarray, detector: EmbeddedDetector) -> None:
    """Best of some looks at one picture: wall time, and processor time on all cores together."""
    frame, walls, cores = VideoFrame(0.0, picture), [], []
    detections = detector.detect_frame(frame)
    for _ in range(NUM_REPEATS):
        wall, core = time.perf_counter(), time.process_time()
        detector.detect_frame(frame)
        walls.append(time.perf_counter() - wall)
        cores.append(time.process_time() - core)
    height, width = picture.shape[:2]
    num_players = sum(detection.player_confidence > 0 and not detection.whole_frame for detection in detections)
    click.echo(f"{name}, {width} x {height}, {num_players} players: {min(walls) * 1e3:.0f} ms,"
               f" {min(cores) * 1e3:.0f} ms of processor time")  # fmt: skip


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"


@click.command(help=__doc__, context_settings={"max_content_width": 120})
@click.option("--photos", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--clips", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(folder: Path | None, clips: Path | None) -> None:
    detector = EmbeddedDetector()
    cv2.setNumThreads(1)
    paths: Iterable[Path] = sorted(clips.glob("*.*")) if clips is not None else ()
    for path in paths:
        print_clip(path, detector)
        print_cost(path.name, next(video_frames(path)).picture, detector)
    if folder is not None:
        photos = list_validation_photos(folder)
        print_scores("Photos", [judge_photo(photo, detector) for photo in photos])
        print_stage_scores(photos, [({photo.origin for photo in photos}, detector)])
        stages = list(make_stages(photos, SEED, NUM_ROUNDS))
        for size in (1, 3, 5):
            print_cost("stage", next(stage for stage in stages if len(stage.photos) == size).picture, detector)


if __name__ == "__main__":
    main()
