"""Train and score the instrument classifier's head on folders of photos.

    python benchmarks/train_instrument_head.py --photos PHOTOS --validation VALIDATION --output head.npz

PHOTOS holds one folder per instrument and one named `other`; VALIDATION holds files `<anything>_<number>_<label>.jpg`.
Takes about ten minutes on 2 cores for 1,600 photos, most of it for the features, which `--cache` keeps.

Method: features of several views of each photo (as the detector makes them, and random ones), then multinomial
logistic regression by L-BFGS. The kernel is penalised by its distance from rows of the backbone's own ImageNet
classifier instead of from zero (X. Li, Y. Grandvalet, F. Davoine, "Explicit inductive bias for transfer learning with
convolutional networks", ICML 2018, "L2-SP"), which blends what ImageNet knows with what the photos teach.

Scores: photos of one origin look alike, so an origin is either trained on or scored, never both, and photos that are
nearly the same as a scored one are not trained on. The validation photos are scored once, with the final head.
Noise, gradients, shapes and text are made up and trained on as `other`, so that a title card is no flute.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import cv2
import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import log_softmax, logsumexp

from av_sep.instruments import URMP_13
from av_sep.types import VideoFrame
from vision.crops import crop_square, frame_views, player_views
from vision.efficientnet_lite0 import NUM_FEATURES, PICTURE_SIZE, load_efficientnet_lite0, scale_pictures
from vision.embedded_detector import EmbeddedDetector
from vision.instrument_classifier import OTHER, HeadWeights, InstrumentClassifier
from vision.labels import pool_detections
from vision.players import PlayerDetector, letterbox

CLASSES = (*URMP_13.names, OTHER)
LABEL_SPELLINGS = {"french_horn": "horn"}
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
PENALTY = 2e-2
LABEL_SMOOTHING = 0.02
NUM_ITERATIONS = 40
NUM_RANDOM_VIEWS = 8
NUM_FOLDS = 3
NUM_MADE = 120
MADE = "made"  # origin of made-up pictures
DUPLICATE_COSINE = 0.95
MAX_SIDE = 1000  # pixels; larger photos are shrunk before anything else


@dataclass(frozen=True)
class Photo:
    """One photo: where it is, what it shows, where it comes from; made-up pictures have a seed and no file."""

    path: Path
    label: str
    origin: str
    seed: int | None = None


@dataclass(frozen=True, eq=False)
class Features:
    """Features float32 of all views of all photos, flat.

    Attributes:
        values: `[num_views, 1280]`.
        photos: `[num_views]`, position of the photo that each view shows.
        kinds: `[num_views]`, "whole", "tile", "player" or "random".
    """

    values: np.ndarray
    photos: np.ndarray
    kinds: np.ndarray


def list_photos(folder: Path) -> list[Photo]:
    """Photos in one folder per class; `web_<origin>_<number>` is grouped by origin, the rest by its first word."""
    photos = []
    for label in CLASSES:
        for path in sorted((folder / label).glob("*.*")):
            match = re.match(r"web_(.+)_\d+\.", path.name)
            photos.append(Photo(path, label, f"web_{match.group(1)}" if match else path.name.split("_")[0]))
    return photos


def list_validation_photos(folder: Path) -> list[Photo]:
    """Photos named `<anything>_<number>_<label>.<ending>`."""
    photos = []
    for path in sorted(folder.glob("*.*")):
        label = re.sub(r"^.*?\d+_\d+_", "", path.stem)
        photos.append(Photo(path, LABEL_SPELLINGS.get(label, label), "validation"))
    return photos


def make_picture(seed: int) -> np.ndarray:
    """A picture of nothing: a plain, shaded or noisy ground, with shapes or text or neither."""
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(120, 400, 2))
    corners = rng.uniform(0, 255, (2, 2, 3)) if rng.random() < 0.6 else np.tile(rng.uniform(0, 255, 3), (2, 2, 1))
    values = cv2.resize(corners, (width, height))
    if rng.random() < 0.5:
        noise = rng.normal(0, 1, (height, width, 3 if rng.random() < 0.5 else 1)) * np.ones(3)
        if rng.random() < 0.6:
            noise = cv2.GaussianBlur(noise, (0, 0), rng.uniform(0.5, 12))
        values = values + noise / noise.std() * rng.uniform(5, 120)
    picture = np.clip(values, 0, 255).astype(np.uint8)
    for _ in range(int(rng.integers(0, 5))):
        color, middle = rng.uniform(0, 255, 3).tolist(), tuple(int(side) for side in rng.integers(0, (width, height)))
        shape = int(rng.integers(3))
        if shape == 0:
            text = "".join(rng.choice(list("abcdefghijklmnop  ACDEKMNRST1234"), 14))
            cv2.putText(picture, text, middle, cv2.FONT_HERSHEY_COMPLEX, rng.uniform(0.5, 2), color, 2, cv2.LINE_AA)
        elif shape == 1:
            axes = tuple(int(side) for side in rng.integers(5, 120, 2))
            cv2.ellipse(picture, middle, axes, rng.uniform(0, 180), 0, 360, color, -1, cv2.LINE_AA)
        else:
            cv2.rectangle(picture, middle, tuple(int(side) for side in rng.integers(0, (width, height))), color, -1)
    return picture


def read_photo(photo: Photo) -> np.ndarray:
    """uint8 RGB `[height, width, 3]`, its longer side at most `MAX_SIDE` pixels."""
    if photo.seed is not None:
        return make_picture(photo.seed)
    picture = cv2.imread(str(photo.path), cv2.IMREAD_COLOR)
    if picture is None:
        raise click.ClickException(f"Expected a picture. Received: {photo.path}")
    scale = MAX_SIDE / max(picture.shape[:2])
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(picture[..., ::-1])


def jitter_colors(view: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Other light, tint and sharpness, sometimes no colour."""
    values = view.astype(np.float32) * rng.uniform(0.6, 1.3) * rng.uniform(0.9, 1.1, 3) + rng.uniform(-20, 20)
    if rng.random() < 0.15:
        values = np.repeat(values.mean(axis=-1, keepdims=True), 3, axis=-1)
    view = np.clip(values, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        view = cv2.GaussianBlur(view, (0, 0), rng.uniform(0.5, 2.0))
    if rng.random() < 0.3:  # as small as a player in a wide shot
        size = int(rng.integers(48, 150))
        small = cv2.resize(view, (size, size), interpolation=cv2.INTER_AREA)
        view = cv2.resize(small, (PICTURE_SIZE, PICTURE_SIZE))
    return view


def paste_small(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The whole picture, smaller, somewhere on a plain or blurred ground: an instrument on a stage."""
    size = PICTURE_SIZE
    small, placement = letterbox(picture, int(size * rng.uniform(0.4, 0.95)))
    height, width = round(picture.shape[0] * placement.scale_y), round(picture.shape[1] * placement.scale_x)
    small = small[placement.offset_y :, placement.offset_x :][:height, :width]
    if rng.random() < 0.6:
        ground = np.full((size, size, 3), rng.integers(0, 255, 3), np.uint8)
    else:
        ground = cv2.GaussianBlur(letterbox(np.ascontiguousarray(picture[::-1]), size)[0], (0, 0), 15)
    y, x = int(rng.integers(0, size - height + 1)), int(rng.integers(0, size - width + 1))
    ground[y : y + height, x : x + width] = small
    return ground


def random_view(picture: np.ndarray, boxes: Sequence[Sequence[float]], rng: np.random.Generator) -> np.ndarray:
    """A random crop around a player or anywhere, or the picture on another ground; flipped, turned, recoloured."""
    height, width = picture.shape[:2]
    choice = rng.random()
    if boxes and choice < 0.5:
        x1, y1, x2, y2 = boxes[int(rng.integers(len(boxes)))]
        x = (x1 + x2) / 2 + rng.uniform(-0.15, 0.15) * (x2 - x1)
        y = (y1 + y2) / 2 + rng.uniform(-0.2, 0.2) * (y2 - y1)
        view = crop_square(picture, (x, y), max(x2 - x1, y2 - y1) * rng.uniform(0.6, 1.5), PICTURE_SIZE)
    elif choice < 0.75:
        center = rng.uniform(0.3, 0.7) * width, rng.uniform(0.3, 0.7) * height
        view = crop_square(picture, center, max(height, width) * rng.uniform(0.55, 1.0), PICTURE_SIZE)
    else:
        view = paste_small(picture, rng)
    if rng.random() < 0.5:
        view = np.ascontiguousarray(view[:, ::-1])
    if rng.random() < 0.25:
        turn = cv2.getRotationMatrix2D((PICTURE_SIZE / 2, PICTURE_SIZE / 2), rng.uniform(-20, 20), 1)
        view = cv2.warpAffine(view, turn, (PICTURE_SIZE, PICTURE_SIZE), borderMode=cv2.BORDER_REPLICATE)
    return jitter_colors(view, rng)


def make_views(picture: np.ndarray, players: PlayerDetector, rng: np.random.Generator) -> tuple[np.ndarray, list[str]]:
    """All views of a photo `[num_views, 224, 224, 3]` and their kinds."""
    found = sorted(players.detect(picture), key=lambda player: -player.confidence * np.ptp(player.box_xyxy))[:2]
    whole, *tiles = frame_views(picture, PICTURE_SIZE)
    of_players = [view for player in found for view in player_views(picture, player.box_xyxy, PICTURE_SIZE)]
    randoms = [random_view(picture, [player.box_xyxy for player in found], rng) for _ in range(NUM_RANDOM_VIEWS)]
    kinds = ["whole"] + ["tile"] * len(tiles) + ["player"] * len(of_players) + ["random"] * len(randoms)
    return np.stack([whole, *tiles, *of_players, *randoms]), kinds


def extract_features(photos: Sequence[Photo], seed: int = 0) -> Features:
    """Features of all views of all photos; the same seed gives the same views."""
    backbone, players, rng = load_efficientnet_lite0(), PlayerDetector(), np.random.default_rng(seed)
    values, owners, kinds = [], [], []
    with click.progressbar(photos, label="features") as bar:
        for position, photo in enumerate(bar):
            views, view_kinds = make_views(read_photo(photo), players, rng)
            values.append(np.asarray(backbone.predict_on_batch(scale_pictures(views))["features"]))
            owners += [position] * len(views)
            kinds += view_kinds
    return Features(np.concatenate(values), np.array(owners), np.array(kinds))


def load_features(photos: Sequence[Photo], cache: Path | None) -> Features:
    """Features from the cache where it was made of the same files, else made and cached."""
    names = np.array([f"{photo.label}/{photo.path.name}" for photo in photos])
    if cache is not None and cache.exists():
        with np.load(cache) as arrays:
            if np.array_equal(arrays["names"], names):
                return Features(arrays["values"].astype(np.float32), arrays["photos"], arrays["kinds"])
    features = extract_features(photos)
    if cache is not None:
        np.savez(
            cache,
            names=names,
            values=features.values.astype(np.float16),
            photos=features.photos,
            kinds=features.kinds,
        )
    return features


def join(features: Features, more: Features) -> Features:
    """Features of two lists of photos as those of the lists one after the other."""
    num_photos = int(features.photos.max()) + 1
    return Features(
        np.concatenate([features.values, more.values]),
        np.concatenate([features.photos, more.photos + num_photos]),
        np.concatenate([features.kinds, more.kinds]),
    )


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
    views = chosen[features.photos] & (features.kinds != "tile")  # a tile may miss the instrument
    owners = features.photos[views]
    weights = 1.0 / (np.bincount(owners, minlength=len(photos))[owners] * counts[labels[owners]])
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


def cross_validate(photos: Sequence[Photo], features: Features, start: np.ndarray) -> np.ndarray:
    """Probabilities `[num_photos, num_classes]` for each photo, by a head that knows no photo of its origin."""
    origins = np.array([photo.origin for photo in photos])
    whole = features.values[features.kinds == "whole"]
    whole = whole / np.linalg.norm(whole, axis=1, keepdims=True)
    probabilities = np.zeros((len(photos), len(CLASSES)))
    for fold in make_folds(photos):
        scored = np.isin(origins, fold)
        nearly_same = (whole @ whole[scored].T).max(axis=1) > DUPLICATE_COSINE
        head = train_on(photos, features, ~scored & ~nearly_same, start)
        probabilities[scored] = score_photos(features, np.flatnonzero(scored), head)
    return probabilities


def fit_temperature(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """The temperature that makes these probabilities likeliest; between 0.3 and 3."""

    def loss(log_temperature: float) -> float:
        log_probabilities = log_softmax(np.log(probabilities + 1e-9) / np.exp(log_temperature), axis=1)
        return -float(log_probabilities[np.arange(len(labels)), labels].mean())

    return float(np.exp(minimize_scalar(loss, bounds=(np.log(0.3), np.log(3.0)), method="bounded").x))


def print_table(title: str, truth: Iterable[str], guesses: Iterable[set[str]], names: Sequence[str]) -> None:
    """Precision, recall and F1 per name, where each photo shows one name and any number may be guessed."""
    pairs = list(zip(truth, guesses))
    click.echo(f"\n{title}, {len(pairs)} photos\n| | photos | precision | recall | F1 |\n|---|---|---|---|---|")
    for name in names:
        hits = sum(name == true and name in guess for true, guess in pairs)
        num_true, num_guessed = sum(name == true for true, _ in pairs), sum(name in guess for _, guess in pairs)
        if not num_true and not num_guessed:
            continue
        f1 = 2 * hits / (num_true + num_guessed)
        cells = [f"{hits / total:.2f}" if total else "-" for total in (num_guessed, num_true)]
        few = " (too few to mean much)" if num_true < 5 else ""
        click.echo(f"| {name} | {num_true}{few} | {cells[0]} | {cells[1]} | {f1:.2f} |")
    right = sum({true} == guess for true, guess in pairs)
    click.echo(f"| all, exactly right | {len(pairs)} | | {right / max(1, len(pairs)):.2f} | |")


def family(name: str) -> str:
    """Family of an instrument; `other` is its own."""
    return OTHER if name == OTHER else URMP_13.family(name)


def print_scores(title: str, photos: Sequence[Photo], guesses: Sequence[set[str]]) -> None:
    """Tables per instrument, per instrument with lookalikes merged, and per family."""
    truth = [photo.label for photo in photos]
    print_table(title, truth, guesses, CLASSES)
    merged = {"viola": "violin", "double_bass": "cello"}
    print_table(
        f"{title}, violin = viola and cello = double bass",
        [merged.get(name, name) for name in truth],
        [{merged.get(name, name) for name in guess} for guess in guesses],
        CLASSES,
    )
    families = sorted({family(name) for name in CLASSES})
    print_table(
        f"{title}, families", map(family, truth), [{family(name) for name in guess} for guess in guesses], families
    )


def guess_with_detector(photos: Sequence[Photo], head: HeadWeights) -> list[set[str]]:
    """What the whole detector would write stems for, each photo taken as a film of one frame."""
    detector = EmbeddedDetector(classifier=InstrumentClassifier(head))
    guesses = []
    for photo in photos:
        detections = detector.detect_frame(VideoFrame(0.0, read_photo(photo)))
        guesses.append(set(pool_detections(detections).instruments) or {OTHER})
    return guesses


@click.command(help=__doc__, context_settings={"max_content_width": 120})
@click.option("--photos", "photo_folder", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--validation", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--cache", type=click.Path(dir_okay=False, path_type=Path), help="File to keep the features in.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Head to write (.npz).")
def main(photo_folder: Path, validation: Path, cache: Path | None, output: Path) -> None:
    photos = list_photos(photo_folder)
    for name, number in Counter(photo.label for photo in photos).items():
        click.echo(f"{name}: {number} photos{' - very few' if number < 20 else ''}")
    features, start = load_features(photos, cache), starting_kernel()
    made = [Photo(Path(MADE), OTHER, MADE, seed) for seed in range(NUM_MADE)]
    photos, features = photos + made, join(features, extract_features(made))
    probabilities = cross_validate(photos, features, start)
    labels = np.array([CLASSES.index(photo.label) for photo in photos])
    is_web = np.array([photo.origin.startswith("web_") for photo in photos])
    temperature = fit_temperature(probabilities[is_web], labels[is_web])
    is_made = np.array([photo.origin == MADE for photo in photos])
    for title, chosen in (("Unseen web origins", is_web), ("Other unseen origins", ~is_web & ~is_made)):
        guesses = [{CLASSES[best]} for best in probabilities[chosen].argmax(axis=1)]
        print_scores(title, [photo for photo, keep in zip(photos, chosen) if keep], guesses)
    trained = train_on(photos, features, np.ones(len(photos), bool), start)
    head = HeadWeights(trained.instruments, trained.kernel, trained.bias, temperature)
    head.save(output)
    click.echo(f"\ntemperature {temperature:.2f}; wrote {output}, {output.stat().st_size / 1e3:.0f} kB")
    held_out = list_validation_photos(validation)
    print_scores("Validation photos, whole detector", held_out, guess_with_detector(held_out, HeadWeights.load(output)))


if __name__ == "__main__":
    main()
