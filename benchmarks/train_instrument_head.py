"""Train and score the instrument classifier's head on folders of photos.

    python benchmarks/train_instrument_head.py --photos PHOTOS --output head.npz

PHOTOS holds one folder per instrument and one named `other`. Takes about 15 minutes on 2 cores for 1,600 photos, most
of it for the features, which `--cache` keeps.

Method: features of several views of each photo, as the detector makes them, random, and on stages (`photo_features`),
then multinomial logistic regression by L-BFGS. The kernel is penalised by its distance from rows of the backbone's own
ImageNet classifier instead of from zero (X. Li, Y. Grandvalet, F. Davoine, "Explicit inductive bias for transfer
learning with convolutional networks", ICML 2018, "L2-SP"), which blends what ImageNet knows with what the photos teach.

Scores: photos of one origin look alike, so an origin is either trained on or scored, never both, and photos that are
nearly the same as a scored one are not trained on. The stages that are scored are made of unseen origins likewise.
`score_detector.py` scores the result on photos that no head was trained on.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np
from photo_features import Features, extract_features, join, load_features
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, logsumexp
from score_detector import print_label_scores, print_stage_scores
from stage_pictures import CLASSES, OTHER, Photo, list_photos

from av_sep.instruments import URMP_13
from vision.efficientnet_lite0 import NUM_FEATURES, load_efficientnet_lite0
from vision.embedded_detector import EmbeddedDetector
from vision.instrument_classifier import HeadWeights, InstrumentClassifier
from vision.lookalikes import spread_lookalikes
from vision.metrics import expected_calibration_error, reliability_curve
# ImageNet-1k positions of the instruments that it has, and where a class that it has not starts from.
IMAGENET_CLASSES = {
    "violin": 889, "cello": 486, "flute": 558, "oboe": 683, "saxophone": 776, "bassoon": 432, "trumpet": 513,
    "horn": 566, "trombone": 875,
}  # fmt: skip
SUBSTITUTES = {
    "viola": (("violin", 0.7),),
    "double_bass": (("cello", 0.7),),
    "clarinet": (("oboe", 0.5),),
    "tuba": (("trumpet", 0.3), ("horn", 0.3)),
}
# accordion, acoustic guitar, banjo, chime, drum, drumstick, electric guitar, gong, grand piano, harmonica, harp,
# maraca, marimba, ocarina, organ, panpipe, steel drum, upright piano
OTHER_IMAGENET_CLASSES = (401, 402, 420, 494, 541, 542, 546, 577, 579, 593, 594, 641, 642, 684, 687, 699, 822, 881)
PRIOR_SCALE = 1.3
OTHER_OFFSET = -2.0  # logits; what keeps the fixed `other` scores from outvoting the instruments
PENALTY = 6e-2
LABEL_SMOOTHING = 0.02
NUM_ITERATIONS = 40
STAGE_WEIGHT = 2.5  # of a view on a stage, where one of the photo alone has 1
NUM_FOLDS = 3
NUM_MADE = 120
MADE = "made"  # origin of made-up pictures
DUPLICATE_COSINE = 0.95


def starting_kernel() -> np.ndarray:
    """Kernel `[1280, num_classes + num_other_rows]` that training starts from and is held to."""
    layer = load_efficientnet_lite0().get_layer("fc")
    imagenet = np.asarray(layer.get_weights()[0])
    imagenet = PRIOR_SCALE * (imagenet - imagenet.mean(axis=1, keepdims=True))
    rows = {name: imagenet[:, position] for name, position in IMAGENET_CLASSES.items()}
    for name, parts in SUBSTITUTES.items():
        rows[name] = sum(weight * rows[part] for part, weight in parts)
    others = imagenet[:, list(OTHER_IMAGENET_CLASSES)]
    rows[OTHER] = others.mean(axis=1)
    return np.concatenate([np.stack([rows[name] for name in CLASSES], axis=1), others], axis=1).astype(np.float32)


def logits_of(values: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Logits `[num_views, num_classes]`; the scores after the instruments' are summed up as `other`."""
    scores = values @ kernel + bias
    num_instruments = len(CLASSES) - 1
    other = logsumexp(scores[:, num_instruments:], axis=1, keepdims=True)
    return np.concatenate([scores[:, :num_instruments], other], axis=1)


def fit_head(values: np.ndarray, labels: np.ndarray, weights: np.ndarray, start: np.ndarray) -> HeadWeights:
    """Logistic regression held to a starting kernel; the fixed `other` rows move with `other`'s bias only.

    Args:
        values: features `[num_views, 1280]`.
        labels: class positions `[num_views]`.
        weights: of the views `[num_views]`, summing to 1.
        start: `[1280, num_classes + num_other_rows]`.
    """
    num_classes, shape = len(CLASSES), (NUM_FEATURES, len(CLASSES))
    targets = np.full((len(labels), num_classes), LABEL_SMOOTHING / num_classes, np.float32)
    targets[np.arange(len(labels)), labels] += 1 - LABEL_SMOOTHING
    weights = weights.astype(np.float32)[:, None]
    fixed = values @ start[:, num_classes:] + OTHER_OFFSET

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        change, bias = flat[:-num_classes].reshape(shape).astype(np.float32), flat[-num_classes:].astype(np.float32)
        logits = values @ (start[:, :num_classes] + change) + bias
        own_other = logits[:, -1].copy()
        logits[:, -1] = logsumexp(np.concatenate([own_other[:, None], fixed + bias[-1]], axis=1), axis=1)
        log_probabilities = log_softmax(logits, axis=1)
        loss = -(weights * targets * log_probabilities).sum() + PENALTY * (change**2).sum()
        gradient = (np.exp(log_probabilities) - targets) * weights
        bias_gradient = gradient.sum(axis=0)
        gradient[:, -1] *= np.exp(own_other - logits[:, -1])  # the share of `other` that its trained row has
        kernel_gradient = values.T @ gradient + 2 * PENALTY * change
        return float(loss), np.concatenate([kernel_gradient.ravel(), bias_gradient]).astype(np.float64)

    begin = np.zeros(shape[0] * shape[1] + num_classes)
    options = {"maxiter": NUM_ITERATIONS}
    flat = minimize(objective, begin, jac=True, method="L-BFGS-B", options=options).x
    bias = flat[-num_classes:]
    kernel = start.copy()
    kernel[:, :num_classes] += flat[:-num_classes].reshape(shape).astype(np.float32)
    fixed_bias = np.full(start.shape[1] - num_classes, bias[-1] + OTHER_OFFSET)
    return HeadWeights(URMP_13.names, kernel, np.concatenate([bias, fixed_bias]).astype(np.float32), 1.0)


def train_on(photos: Sequence[Photo], features: Features, chosen: np.ndarray, start: np.ndarray) -> HeadWeights:
    """A head trained on the chosen photos (bool `[num_photos]`).

    Every class weighs the same, however many photos it has: how many of each were found says nothing about concerts.
    """
    labels = np.array([CLASSES.index(photo.label) for photo in photos])
    counts = np.bincount(labels[chosen], minlength=len(CLASSES))
    views = chosen[features.photos]
    owners = features.photos[views]
    shares = np.where(features.kinds[views] == "stage", STAGE_WEIGHT, 1.0)
    weights = shares / (np.bincount(owners, shares, minlength=len(photos))[owners] * counts[labels[owners]])
    return fit_head(features.values[views], labels[owners], weights / weights.sum(), start)


def score_photos(features: Features, photos: np.ndarray, head: HeadWeights) -> np.ndarray:
    """Mean probabilities `[num_photos, num_classes]` over the whole and the player views of each photo."""
    rows = []
    for photo in photos:
        views = (features.photos == photo) & np.isin(features.kinds, ("whole", "player"))
        logits = logits_of(features.values[views], head.kernel, head.bias) / head.temperature
        rows.append(np.exp(log_softmax(logits, axis=1)).mean(axis=0))
    return np.array(rows)


def make_folds(photos: Sequence[Photo]) -> list[tuple[str, ...]]:
    """Origins to score together: web origins in folds of similar size, each large one alone, made pictures never."""
    counts = Counter(photo.origin for photo in photos if photo.origin.startswith("web_"))
    folds: list[list[str]] = [[] for _ in range(NUM_FOLDS)]
    for origin, _ in counts.most_common():
        min(folds, key=lambda fold: sum(counts[name] for name in fold)).append(origin)
    large = sorted({photo.origin for photo in photos} - set(counts) - {MADE})
    return [tuple(fold) for fold in folds if fold] + [(name,) for name in large]


def cross_validate(
    photos: Sequence[Photo], features: Features, start: np.ndarray
) -> tuple[np.ndarray, dict[tuple[str, ...], HeadWeights]]:
    """Probabilities `[num_photos, num_classes]` for each photo, by a head that knows no photo of its origin.

    The heads come second, by the origins that they do not know.
    """
    origins = np.array([photo.origin for photo in photos])
    whole = features.values[features.kinds == "whole"]
    whole = whole / np.linalg.norm(whole, axis=1, keepdims=True)
    probabilities, heads = np.zeros((len(photos), len(CLASSES))), {}
    for fold in make_folds(photos):
        scored = np.isin(origins, fold)
        nearly_same = (whole @ whole[scored].T).max(axis=1) > DUPLICATE_COSINE
        heads[fold] = train_on(photos, features, ~scored & ~nearly_same, start)
        probabilities[scored] = score_photos(features, np.flatnonzero(scored), heads[fold])
    return probabilities, heads


def heat(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities whose logits are divided by a temperature."""
    return np.exp(log_softmax(np.log(probabilities + 1e-9) / temperature, axis=1))


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature that makes these probabilities likeliest; between 0.3 and 3."""

    def loss(log_temperature: float) -> float:
        likelihoods = heat(probabilities, float(np.exp(log_temperature)))[np.arange(len(labels)), labels]
        return -float(np.log(likelihoods).mean())

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.3), np.log(3.0)), method="bounded").x))


def score_origins(title: str, photos: Sequence[Photo], probabilities: np.ndarray) -> None:
    """Tables of the likeliest class of each photo, and how far its probability is from what comes true."""
    labels = np.array([CLASSES.index(photo.label) for photo in photos])
    true, guessed = (np.eye(len(CLASSES), dtype=bool)[classes] for classes in (labels, probabilities.argmax(axis=1)))
    print_label_scores(title, true, guessed, CLASSES, "photos")
    error = expected_calibration_error(reliability_curve(true, np.clip(probabilities, 0.0, 1.0)))
    best = reliability_curve((labels == probabilities.argmax(axis=1))[:, None], probabilities.max(axis=1)[:, None])
    click.echo(f"Expected calibration error {error:.3f}, of the likeliest {expected_calibration_error(best):.3f}")


@click.command(help=__doc__, context_settings={"max_content_width": 120})
@click.option("--photos", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--cache", type=click.Path(dir_okay=False, path_type=Path), help="File to keep the features in.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Head to write (.npz).")
def main(folder: Path, cache: Path | None, output: Path) -> None:
    listed = list_photos(folder)
    for name, number in Counter(photo.label for photo in listed).items():
        click.echo(f"{name}: {number} photos{' - very few' if number < 20 else ''}")
    features, start = load_features(listed, cache), starting_kernel()
    made = [Photo(Path(MADE), OTHER, MADE, seed) for seed in range(NUM_MADE)]
    photos, features = listed + made, join(features, extract_features(made))
    probabilities, heads = cross_validate(photos, features, start)
    labels = np.array([CLASSES.index(photo.label) for photo in photos])
    is_web = np.array([photo.origin.startswith("web_") for photo in photos])
    temperature = fit_temperature(probabilities[is_web], labels[is_web])
    heated = heat(probabilities, temperature)
    stages = {"uncalibrated": probabilities, "calibrated": heated, "shared": spread_lookalikes(heated, URMP_13.names)}
    is_large = ~is_web & np.array([photo.origin != MADE for photo in photos])
    for title, chosen in (("Unseen web origins", is_web), ("Other unseen origins", is_large)):
        shown = [photo for photo, keep in zip(photos, chosen) if keep]
        for stage, confidences in stages.items():
            score_origins(f"{title}, {stage}", shown, np.clip(confidences[chosen], 0.0, 1.0))
    head = replace(train_on(photos, features, np.ones(len(photos), bool), start), temperature=temperature)
    head.save(output)
    click.echo(f"\ntemperature {temperature:.2f}; wrote {output}, {output.stat().st_size / 1e3:.0f} kB")
    detectors = [
        (fold, EmbeddedDetector(classifier=InstrumentClassifier(replace(one, temperature=temperature))))
        for fold, one in heads.items()
    ]
    print_stage_scores([photo for photo in listed if photo.origin.startswith("web_")], detectors[:NUM_FOLDS])


if __name__ == "__main__":
    main()
