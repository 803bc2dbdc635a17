"""Make stage pictures with known boxes: players and instruments cut out of photos, side by side on drawn stages.

    python benchmarks/stage_pictures.py --photos PHOTOS --output STAGES --num-pictures 100

PHOTOS holds one folder per instrument. Writes `<number>.jpg` and `boxes.csv` (picture, instrument, x1, y1, x2, y2).
About a fifth of a second a picture on 2 cores. The other scripts of this folder make theirs in memory.

Conventions:
    boxes are tight around what is painted of a photo, the instrument included, also where a neighbour stands before it.
    All photos of one picture come from one origin (see `Photo`), so that a picture has an origin as well.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import cv2
import numpy as np

from av_sep.datasets.synthetic.backdrops import draw_backdrop, draw_shadow
from av_sep.datasets.synthetic.cut_outs import cut_out
from av_sep.datasets.synthetic.layers import lay_over, lit, resized, visible_box
from av_sep.datasets.synthetic.places import place_players
from av_sep.errors import ParameterError
from av_sep.instruments import URMP_13

OTHER = "other"
CLASSES = (*URMP_13.names, OTHER)
MAX_PLAYERS = 5
SIZES = ((640, 360), (960, 540), (1280, 720), (640, 480), (1024, 768))  # pixels, width and height
LIGHT = (0.72, 1.1)  # how bright photos are made; a stage is no studio
HEIGHT = (0.6, 1.05)  # of a photo on the stage, 1 for a standing player; a seated one or a half figure is lower
MAX_WIDTH = 0.75  # of a photo in the same unit: what is wider is lowered, or neighbours would vanish


@dataclass(frozen=True)
class Photo:
    """One photo.

    Attributes:
        path: of the file; nothing is read from it where there is a seed.
        label: what it shows, an instrument of URMP_13 or "other".
        origin: where it comes from; photos of one origin look alike, so none is both trained on and scored.
        seed: of a made-up picture.
    """

    path: Path
    label: str
    origin: str
    seed: int | None = None


@dataclass(frozen=True, eq=False)
class Stage:
    """A stage picture.

    Attributes:
        picture: uint8 RGB `[height, width, 3]`.
        photos: on it, from left to right.
        boxes_xyxy: theirs, float64 `[num_photos, 4]` in pixels.
    """

    picture: np.ndarray
    photos: tuple[Photo, ...]
    boxes_xyxy: np.ndarray


def list_photos(folder: Path) -> list[Photo]:
    """Photos in one folder per class; `web_<origin>_<number>` is grouped by origin, the rest by its first word."""
    photos = []
    for label in CLASSES:
        for path in sorted((folder / label).glob("*.*")):
            match = re.match(r"web_(.+)_\d+\.", path.name)
            photos.append(Photo(path, label, f"web_{match.group(1)}" if match else path.name.split("_")[0]))
    return photos


def compose_stage(photos: Sequence[Photo], rng: np.random.Generator) -> Stage:
    """Put photos side by side on a stage of a random size, in the order given.

    Raises:
        ParameterError: for more than fit. MediaError: for a file that is no picture.
    """
    width, height = SIZES[int(rng.integers(len(SIZES)))]
    cut_outs = [cut_out(photo.path) for photo in photos]
    tallness = [min(float(rng.uniform(*HEIGHT)), MAX_WIDTH * cut.shape[0] / cut.shape[1]) for cut in cut_outs]
    sizes = [(cut.shape[1], cut.shape[0], tall) for cut, tall in zip(cut_outs, tallness)]
    places = place_players(sizes, width, height, rng)
    picture = draw_backdrop(width, height, rng)
    light = rng.uniform(*LIGHT) * rng.uniform(0.94, 1.06, 3)
    boxes = []
    for cut, place in zip(cut_outs, places):
        draw_shadow(picture, (place.left + place.right) / 2, place.bottom - 2, 0.3 * (place.right - place.left))
        layer = lit(resized(cut[:, ::-1] if rng.random() < 0.5 else cut, place.factor), light)
        top = place.bottom - layer.shape[0]
        lay_over(picture, layer, place.left, top)
        boxes.append(np.array(visible_box(layer)) + np.tile((place.left, top), 2))
    return Stage(picture, tuple(photos), np.clip(boxes, 0, np.tile((width, height), 2)).astype(np.float64))


def make_stages(photos: Sequence[Photo], seed: int, num_rounds: int = 1) -> Iterator[Stage]:
    """Stages of 1 to 5 photos on which each photo stands once a round; the same seed makes the same stages."""
    rng = np.random.default_rng(seed)
    for _ in range(num_rounds):
        for origin in sorted({photo.origin for photo in photos}):
            waiting = [photo for photo in photos if photo.origin == origin]
            rng.shuffle(waiting)  # type: ignore[arg-type]
            while waiting:
                number = int(rng.integers(1, MAX_PLAYERS + 1))
                chosen, waiting = waiting[:number], waiting[number:]
                yield from _compose_all(chosen, rng)


def _compose_all(photos: Sequence[Photo], rng: np.random.Generator) -> Iterator[Stage]:
    """One stage, or more where not all fit on one."""
    try:
        yield compose_stage(photos, rng)
    except ParameterError:
        yield from _compose_all(photos[: len(photos) // 2], rng)
        yield from _compose_all(photos[len(photos) // 2 :], rng)


@click.command(help=__doc__, context_settings={"max_content_width": 120})
@click.option("--photos", "folder", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--num-pictures", type=click.IntRange(1), default=100, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
def main(folder: Path, output: Path, num_pictures: int, seed: int) -> None:
    output.mkdir(parents=True, exist_ok=True)
    with (output / "boxes.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("picture", "instrument", "x1", "y1", "x2", "y2"))
        for number, stage in zip(range(num_pictures), make_stages(list_photos(folder), seed, num_rounds=1000)):
            cv2.imwrite(str(output / f"{number:04d}.jpg"), stage.picture[..., ::-1])
            for photo, box in zip(stage.photos, stage.boxes_xyxy):
                rows.writerow((f"{number:04d}.jpg", photo.label, *map(int, box)))


if __name__ == "__main__":
    main()
