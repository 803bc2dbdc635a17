"""Scores the audio tagger by itself, and sound as a second witness beside the picture.

    python benchmarks/score_tagger.py sound --bank BANK --solos SOLOS
    python benchmarks/score_tagger.py films --pieces PIECES --cache looks.json
    python benchmarks/score_tagger.py tune --pieces OTHERS --cache others.json --tagger FIRST_STAGE

`sound` scores seeded mixtures of a bank's held-out split and of recorded solos `<instrument>/*.flac`, none of them
trained on. `films` scores labels by picture, by sound and by both on made pieces with films, `tune` looks for the
numbers of the rule on others, heard by a tagger that was not trained on their sounds:

    av-sep prepare synthetic -o PIECES --pieces 32 --seconds 12 --seed 11 --notes HELD_OUT_NOTES
        --soundfont TimGM6mb.sf2 --pictures PHOTOS --sample-rate 22050

Every film is judged twice: as it is, and with one of its players covered by what is to his left and right, in all
pictures, as if the camera missed him; who is covered is drawn by the piece's place in the list. Looking is slow, so
what was seen is kept in `--cache`. "both" is `pipelines.witnesses.fuse`. F1 is pooled over all labels (micro), averaged
over instruments (macro) and over recordings (samples); mAP is the mean over instruments of average precision.
"""

import csv
import itertools
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click  # noqa: E402
import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from mixtures import RATE_HZ, make_examples, read_held_out, read_solos  # noqa: E402
from sklearn.metrics import average_precision_score  # noqa: E402

from audio.tagger import StreamTagger, load_tagger  # noqa: E402
from av_sep.datasets.track import Track  # noqa: E402
from av_sep.datasets.urmp import open_urmp  # noqa: E402
from av_sep.instruments import URMP_13  # noqa: E402
from av_sep.media import read_audio, video_frames  # noqa: E402
from av_sep.types import InstrumentLabels, VideoFrame  # noqa: E402
from pipelines.witnesses import DEFAULT_HEARD_THRESHOLD, FusionRule, fuse, labels_from_confidences  # noqa: E402
from vision.detector import InstrumentDetector, create_detector  # noqa: E402
from vision.labels import pool_detections  # noqa: E402
from vision.metrics import (  # noqa: E402
    confusion_from_labels,
    count_labels,
    exact_match_share,
    macro_average,
    micro_average,
    samples_average,
)

FRAMES_PER_SECOND = 0.3
FILM_SOURCES = ("video", "audio", "both")
# What `tune` tries.
THRESHOLDS = (0.2, 0.25, 0.3, 0.35, 0.4)
GRID = {
    "seen_at_least": (0.25, 0.5, 0.75),
    "unseen_against": (0.0, 0.5, 1.0, 1.5, 2.0),
    "heard_against": (0.5, 1.0, 1.5, 2.0, 3.0),
    "max_heard_alone": (1, 2, 3),
}


@dataclass(frozen=True, eq=False)
class Judged:
    """Truth, decisions and confidences `[num_recordings, num_instruments]` of one table row."""

    true: np.ndarray
    detected: np.ndarray
    confidences: np.ndarray


def judge(true_names: Sequence[Sequence[str]], labels: Sequence[InstrumentLabels]) -> Judged:
    """What was said of recordings beside what is true of them."""
    return Judged(
        np.array([[name in names for name in URMP_13.names] for names in true_names]),
        np.array([[name in label.instruments for name in URMP_13.names] for label in labels]),
        np.stack([label.label_vector for label in labels]),
    )


def summarize(judged: Judged) -> dict[str, float]:
    """One row of a table; mAP over the instruments that play somewhere."""
    counts = count_labels(judged.true, judged.detected)
    micro, plays = micro_average(counts), judged.true.any(axis=0)
    precisions = [average_precision_score(judged.true[:, i], judged.confidences[:, i]) for i in np.flatnonzero(plays)]
    return {
        "recordings": len(judged.true),
        "precision": micro.precision,
        "recall": micro.recall,
        "F1 micro": micro.f1,
        "F1 macro": macro_average(counts).f1,
        "F1 samples": samples_average(judged.true, judged.detected).f1,
        "exact": exact_match_share(judged.true, judged.detected),
        "mAP": float(np.mean(precisions)),
    }


def per_instrument(judged: Judged) -> pd.DataFrame:
    """Precision, recall and F1 of every instrument, and what it was most often taken for instead."""
    counts = count_labels(judged.true, judged.detected)
    table = pd.DataFrame(
        {"plays": counts.support, "said": counts.num_detected, "precision": counts.precision,
         "recall": counts.recall, "F1": counts.f1},
        index=list(URMP_13.names),
    )  # fmt: skip
    confusion = confusion_from_labels(judged.true, judged.detected)[: len(URMP_13), : len(URMP_13)].copy()
    np.fill_diagonal(confusion, 0)
    table["taken for"] = [URMP_13.names[row.argmax()] if row.any() else "" for row in confusion]
    return table


def show(title: str, rows: dict[str, Judged]) -> None:
    """Prints one line per row."""
    print(f"\n{title}\n")
    print(pd.DataFrame({name: summarize(judged) for name, judged in rows.items()}).T.round(3).to_string())


def score_mixtures(tagger: StreamTagger, clips, numbers: Sequence[int], count: int, seconds: float, threshold: float):
    """Number of instruments -> what the tagger said of `count` seeded mixtures; the last entry holds all of them."""
    by_number = {}
    for number in numbers:
        examples = list(make_examples(clips, number, count, seconds, seed=0))
        hearings = [tagger.tag(example.references.sum(axis=0), RATE_HZ) for example in examples]
        labels = [labels_from_confidences(h.instruments, h.confidences, threshold) for h in hearings]
        by_number[f"{number} playing"] = judge([example.names for example in examples], labels)
    parts = list(by_number.values())
    arrays = (np.concatenate([getattr(p, name) for p in parts]) for name in ("true", "detected", "confidences"))
    return {**by_number, "all": Judged(*arrays)}


def hide_player(picture: np.ndarray, box_xyxy: Sequence[float]) -> np.ndarray:
    """The picture with a box covered by a blend from what is at its left to what is at its right."""
    x1, y1, x2, y2 = (int(round(value)) for value in box_xyxy)
    height, width = picture.shape[:2]
    x1, x2, y1, y2 = max(x1 - 4, 0), min(x2 + 4, width), max(y1 - 4, 0), min(y2 + 4, height)
    left, right = picture[y1:y2, max(x1 - 1, 0)], picture[y1:y2, min(x2, width - 1)]
    share = np.linspace(0, 1, x2 - x1)[None, :, None]
    covered = picture.copy()
    covered[y1:y2, x1:x2] = (left[:, None] * (1 - share) + right[:, None] * share).astype(np.uint8)
    return covered


def read_boxes(track: Track, player: int) -> dict[float, tuple[float, ...]]:
    """Time -> box of one player, counted from 1."""
    assert track.boxes is not None
    with track.boxes.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if int(row["player"]) == player]
    return {float(row["time_seconds"]): tuple(float(row[c]) for c in ("x1", "y1", "x2", "y2")) for row in rows}


def frames_of(track: Track, hidden_player: int | None) -> Iterator[VideoFrame]:
    """Video frames of a film, one player covered."""
    assert track.video is not None
    boxes = read_boxes(track, hidden_player) if hidden_player else {}
    for frame in video_frames(track.video, frames_per_second=FRAMES_PER_SECOND):
        if boxes:
            nearest = min(boxes, key=lambda time: abs(time - frame.time_seconds))
            frame = replace(frame, picture=hide_player(frame.picture, boxes[nearest]))
        yield frame


def look(detector: InstrumentDetector, track: Track, hidden_player: int | None) -> InstrumentLabels:
    """What the picture says of a film."""
    detections = detector.detect(frames_of(track, hidden_player))
    return pool_detections(detections, detector.taxonomy, lookalikes=detector.lookalikes)


def _as_json(labels: InstrumentLabels) -> dict:
    return {
        "label_vector": [float(value) for value in labels.label_vector],
        "instruments": list(labels.instruments),
        "num_players": dict(labels.num_players),
        "threshold": labels.threshold,
    }


def _from_json(content: dict) -> InstrumentLabels:
    vector = np.array(content["label_vector"], np.float32)
    return InstrumentLabels(
        URMP_13.names, vector, tuple(content["instruments"]), content["num_players"], content["threshold"], "detected"
    )


def look_at_all(tracks: Sequence[Track], cache: Path) -> dict[str, list[InstrumentLabels]]:
    """What the picture says of every film: "all in view" and "one hidden"."""
    known = json.loads(cache.read_text()) if cache.exists() else {}
    detector = create_detector("embedded")
    with click.progressbar(list(enumerate(tracks)), label="looking") as bar:
        for number, track in bar:
            if track.name in known:
                continue
            hidden = int(np.random.default_rng(number).integers(len(track.parts))) + 1
            views = {"all in view": None, "one hidden": hidden}
            known[track.name] = {view: _as_json(look(detector, track, player)) for view, player in views.items()}
            cache.write_text(json.dumps(known))
    return {view: [_from_json(known[track.name][view]) for track in tracks] for view in ("all in view", "one hidden")}


def hear_all(tracks: Sequence[Track], tagger: StreamTagger, threshold: float) -> list[InstrumentLabels]:
    """What the sound says of every piece."""
    labels = []
    for track in tracks:
        assert track.mixture is not None
        hearing = tagger.tag(*read_audio(track.mixture.path))
        labels.append(labels_from_confidences(hearing.instruments, hearing.confidences, threshold))
    return labels


def films_table(
    true_names: Sequence[Sequence[str]], seen: dict[str, list[InstrumentLabels]], heard: Sequence[InstrumentLabels]
) -> dict[str, Judged]:
    """Every view by picture, sound and both."""
    rows = {}
    for view, pictures in seen.items():
        both = [fuse(*witnesses) for witnesses in zip(pictures, heard)]
        for source, labels in zip(FILM_SOURCES, (pictures, heard, both)):
            rows[f"{view}: {source}"] = judge(true_names, labels)
    return rows


@click.group(help=__doc__)
def main() -> None:
    pass


@main.command()
@click.option("--bank", type=click.Path(path_type=Path), help="Bank whose held-out split to score.")
@click.option("--solos", type=click.Path(path_type=Path), help="Folder <instrument>/*.flac.")
@click.option("--tagger", "directory", type=click.Path(path_type=Path), help="Folder of a packaged tagger.")
@click.option("--count", default=60, show_default=True, help="Mixtures per number of instruments.")
@click.option("--threshold", default=DEFAULT_HEARD_THRESHOLD, show_default=True)
def sound(bank: Path | None, solos: Path | None, directory: Path | None, count: int, threshold: float) -> None:
    """The tagger by itself."""
    tagger = load_tagger(directory) if directory else load_tagger()
    if bank:
        rows = score_mixtures(tagger, read_held_out(bank), (2, 3, 4), count, 6.0, threshold)
        show("Mixtures of the held-out sources, 6 s", rows)
        print(per_instrument(rows["all"]).round(2).to_string())
    if solos:
        rows = score_mixtures(tagger, read_solos(solos), (1, 2, 3, 4), count, 2.9, threshold)
        show("Mixtures of real solos, 2.9 s", rows)
        print(per_instrument(rows["all"]).round(2).to_string())


@main.command()
@click.option("--pieces", required=True, type=click.Path(path_type=Path), help="Made pieces with films.")
@click.option("--cache", required=True, type=click.Path(path_type=Path), help="JSON file of what was seen.")
@click.option("--tagger", "directory", type=click.Path(path_type=Path), help="Folder of a packaged tagger.")
@click.option("--threshold", default=DEFAULT_HEARD_THRESHOLD, show_default=True)
def films(pieces: Path, cache: Path, directory: Path | None, threshold: float) -> None:
    """Picture, sound and both."""
    tracks = list(open_urmp(pieces).tracks)
    seen = look_at_all(tracks, cache)
    heard = hear_all(tracks, load_tagger(directory) if directory else load_tagger(), threshold)
    true_names = [[part.instrument for part in track.parts] for track in tracks]
    rows = films_table(true_names, seen, heard)
    show("Made films", rows)
    print(per_instrument(rows["one hidden: both"]).round(2).to_string())


@main.command()
@click.option("--pieces", required=True, type=click.Path(path_type=Path), help="Made pieces with films.")
@click.option("--cache", required=True, type=click.Path(path_type=Path), help="JSON file of what was seen.")
@click.option("--tagger", "directory", required=True, type=click.Path(path_type=Path))
def tune(pieces: Path, cache: Path, directory: Path) -> None:
    """The numbers of the rule with the best mean F1 of labels over both views."""
    tracks = list(open_urmp(pieces).tracks)
    seen = look_at_all(tracks, cache)
    true_names = [[part.instrument for part in track.parts] for track in tracks]
    tagger, rows = load_tagger(directory), []
    hearings = [tagger.tag(*read_audio(track.mixture.path)) for track in tracks if track.mixture]
    for threshold in THRESHOLDS:
        heard = [labels_from_confidences(h.instruments, h.confidences, threshold) for h in hearings]
        alone = summarize(judge(true_names, heard))["F1 micro"]
        for values in itertools.product(*GRID.values()):
            rule = FusionRule(**dict(zip(GRID, values)))
            scores = [
                summarize(judge(true_names, [fuse(*labels, rule) for labels in zip(pictures, heard)]))["F1 micro"]
                for pictures in seen.values()
            ]
            rows.append({"threshold": threshold, **dict(zip(GRID, values)), "audio": alone,
                         **dict(zip(seen, scores)), "mean": np.mean(scores)})  # fmt: skip
    print(pd.DataFrame(rows).sort_values("mean", ascending=False).head(25).round(3).to_string())


if __name__ == "__main__":
    main()
