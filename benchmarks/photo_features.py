"""Features of photos and of stages put together from them, for training the instrument classifier's head.

Views of a photo are those that the detector makes and random ones. On a stage (see `stage_pictures`) a photo has the
views of the person found there or, where none is, of about its own box. Noise, gradients, shapes and text are made up.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import cv2
import numpy as np
from stage_pictures import Photo, Stage, make_stages

from vision.crops import crop_square, player_views
from vision.efficientnet_lite0 import PICTURE_SIZE, load_efficientnet_lite0, scale_pictures
from vision.players import PlayerDetector, box_overlaps, letterbox

NUM_RANDOM_VIEWS = 8
MAX_SIDE = 1000  # pixels; larger photos are shrunk before anything else
SEED = 0
WEB_ROUNDS = 3  # stages that each photo of the small origins stands on; of the large ones every second does once
FOUND_OVERLAP = 0.3  # of a person's box with a photo's, from which it is the photo's player


@dataclass(frozen=True, eq=False)
class Features:
    """Features float32 of all views of all photos, flat.

    Attributes:
        values: `[num_views, 1280]`.
        photos: `[num_views]`, position of the photo that each view shows.
        kinds: `[num_views]`, "whole", "player", "random" or "stage".
    """

    values: np.ndarray
    photos: np.ndarray
    kinds: np.ndarray


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
    whole, _ = letterbox(picture, PICTURE_SIZE)
    of_players = [view for player in found for view in player_views(picture, player.box_xyxy, PICTURE_SIZE)]
    randoms = [random_view(picture, [player.box_xyxy for player in found], rng) for _ in range(NUM_RANDOM_VIEWS)]
    kinds = ["whole"] + ["player"] * len(of_players) + ["random"] * len(randoms)
    return np.stack([whole, *of_players, *randoms]), kinds


def extract_features(photos: Sequence[Photo], seed: int = SEED) -> Features:
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


def stage_views(stage: Stage, players: PlayerDetector, rng: np.random.Generator) -> tuple[np.ndarray, list[Photo]]:
    """Two views of each photo on a stage `[num_views, 224, 224, 3]`, and the photo that each shows."""
    found = [player.box_xyxy for player in players.detect(stage.picture)]
    overlaps = box_overlaps(stage.boxes_xyxy, np.reshape(found, (-1, 4)))
    views, shown = [], []
    for photo, box, overlap in zip(stage.photos, stage.boxes_xyxy, overlaps):
        x1, y1, x2, y2 = box + rng.uniform(-0.12, 0.12, 4) * np.tile(box[2:] - box[:2], 2)
        if len(found) and overlap.max() >= FOUND_OVERLAP:
            x1, y1, x2, y2 = found[int(overlap.argmax())]
        views.append(player_views(stage.picture, (x1, y1, max(x1 + 2, x2), max(y1 + 2, y2)), PICTURE_SIZE))
        shown += [photo, photo]
    return np.concatenate(views), shown


def extract_stage_features(photos: Sequence[Photo], seed: int = SEED) -> Features:
    """Features of the photos' views on stages; positions are those in `photos`."""
    backbone, players, rng = load_efficientnet_lite0(), PlayerDetector(), np.random.default_rng(seed)
    web = [photo for photo in photos if photo.origin.startswith("web_")]
    large = [photo for photo in photos if not photo.origin.startswith("web_")][::2]
    position = {photo: number for number, photo in enumerate(photos)}
    values, owners = [], []
    stages = itertools.chain(make_stages(web, seed, WEB_ROUNDS), make_stages(large, seed))
    with click.progressbar(stages, label="stages") as bar:
        for stage in bar:
            views, shown = stage_views(stage, players, rng)
            values.append(np.asarray(backbone.predict_on_batch(scale_pictures(views))["features"]))
            owners += [position[photo] for photo in shown]
    return Features(np.concatenate(values), np.array(owners), np.full(len(owners), "stage"))


def load_features(photos: Sequence[Photo], cache: Path | None) -> Features:
    """All features of the photos from the cache where it was made of the same files, else made and cached."""
    names = np.array([f"{photo.label}/{photo.path.name}" for photo in photos])
    if cache is not None and cache.exists():
        with np.load(cache) as arrays:
            if np.array_equal(arrays["names"], names):
                return Features(arrays["values"].astype(np.float32), arrays["photos"], arrays["kinds"])
    parts = extract_features(photos), extract_stage_features(photos)
    features = Features(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in ("values", "photos", "kinds"))
    )
    if cache is not None:
        values = features.values.astype(np.float16)
        np.savez(cache, names=names, values=values, photos=features.photos, kinds=features.kinds)
    return features


def join(features: Features, more: Features) -> Features:
    """Features of two lists of photos as those of the lists one after the other."""
    num_photos = int(features.photos.max()) + 1
    return Features(
        np.concatenate([features.values, more.values]),
        np.concatenate([features.photos, more.photos + num_photos]),
        np.concatenate([features.kinds, more.kinds]),
    )
