"""The film of a made ensemble: players side by side on a stage, moving with their notes, each with a known box.

Conventions:
    players are numbered from 1, left to right; pixels count from the top left corner of the film; times are seconds.
    A box is tight around what is painted of its player, also where a neighbour stands before him, and ends before
    `x2` and `y2`. Everything drawn by chance comes from the generator that is passed in.
"""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

from av_sep.datasets.melodies import Note
from av_sep.datasets.synthetic.backdrops import draw_backdrop, draw_shadow
from av_sep.datasets.synthetic.film_file import FilmFile
from av_sep.datasets.synthetic.layers import PlayerPicture, lay_over, leaning, lit, resized, visible_box
from av_sep.datasets.synthetic.motion import Motion, motion
from av_sep.datasets.synthetic.pictures import PictureSet, open_pictures
from av_sep.datasets.synthetic.places import Place, place_players
from av_sep.errors import ParameterError
from av_sep.media import replace_when_complete

# Boxes are written for the instants 0, 0.5, 1, ... seconds.
BOX_INTERVAL_SECONDS = 0.5
MAX_PLAYERS = 16
# The eye takes this for motion, and it halves the work.
_MAX_PICTURES_PER_SECOND = 15.0
# A pose is one of so many leans and strokes, so that each is painted once.
_NUM_LEANS = 11
# How bright players are in the light of a stage.
_LIGHT = (0.72, 1.1)


@dataclass(frozen=True)
class StagePlayer:
    """Who plays what: an instrument of URMP_13 by its long name, and the notes, in seconds of the film."""

    instrument: str
    notes: Sequence[Note]


@dataclass(frozen=True)
class PlayerBox:
    """Where a player is in the video frame shown at `time_seconds`, pixels."""

    time_seconds: float
    player: int
    instrument: str
    x1: int
    y1: int
    x2: int
    y2: int


def write_film(
    path: Path,
    players: Sequence[StagePlayer],
    sound: Path,
    *,
    seconds: float,
    rng: np.random.Generator,
    pictures: PictureSet | None = None,
    width: int = 640,
    height: int = 360,
    fps: float = 25.0,
) -> list[PlayerBox]:
    """Write the film of an ensemble as mp4 (H.264, AAC), with the same bytes for the same arguments and seed.

    Args:
        path: the film; its folder must exist.
        players: from left to right.
        sound: any file with sound; cut, or filled with silence, to `seconds`.
        seconds: length of the film.
        rng: source of all chance.
        pictures: of the players; None for drawn ones.
        width: pixels, even.
        height: likewise.
        fps: video frames per second.

    Returns:
        The players' boxes every `BOX_INTERVAL_SECONDS`, ordered by time and player; a player of whom nothing lies
        inside the picture has none.

    Raises:
        ParameterError: for an unknown instrument, no players or more than fit, and a size, rate or length that cannot
        be. MediaError: for sound or pictures that cannot be read and a film that cannot be written.
    """
    num_repeats = max(1, math.ceil(fps / _MAX_PICTURES_PER_SECOND)) if math.isfinite(fps) else 1
    film = FilmFile(path, sound, seconds=seconds, width=width, height=height, fps=fps, num_repeats=num_repeats)
    stage = _set_stage(players, rng, pictures, width, height)
    moves = [motion(player.notes, film.num_pictures, film.pictures_per_second) for player in players]
    performers = [_Performer(*cast, stage.light) for cast in zip(players, stage.pictures, stage.places, moves)]
    boxes: list[PlayerBox] = []
    with film:
        for index, picture in enumerate(_film_pictures(stage.backdrop, performers, film.num_pictures)):
            film.write(picture)
            for time_seconds in _box_times(index, film.pictures_per_second, seconds):
                boxes += _boxes(performers, index, time_seconds, width, height)
    return boxes


def write_boxes(path: Path, boxes: Sequence[PlayerBox]) -> None:
    """Write boxes as CSV: a line of names, then one line per box.

    Raises:
        MediaError: where the file cannot be written.
    """
    with replace_when_complete(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(field.name for field in fields(PlayerBox))
        rows.writerows(astuple(box) for box in boxes)


class _Performer:
    """A player on the stage, in the poses he takes."""

    def __init__(
        self, player: StagePlayer, picture: PlayerPicture, place: Place, moves: Motion, light: np.ndarray
    ):
        self.instrument = player.instrument
        self._strokes = [lit(resized(layer, place.factor), light) for layer in picture.strokes]
        self._place = place
        self._margin = math.ceil(place.lean_pixels)
        self._leans = np.rint((moves.sway + 1) / 2 * (_NUM_LEANS - 1)).astype(int)
        self._stroke_index = np.rint((moves.stroke + 1) / 2 * (len(self._strokes) - 1)).astype(int)
        self._layers: dict[tuple[int, int], np.ndarray] = {}

    def pose(self, index: int) -> tuple[int, int]:
        """Lean and stroke in picture `index`; the same numbers look the same."""
        return int(self._leans[index]), int(self._stroke_index[index])

    def layer(self, index: int) -> tuple[np.ndarray, int, int]:
        """What to lay over picture `index`, and its left and top."""
        lean, stroke = pose = self.pose(index)
        if pose not in self._layers:
            lean_pixels = self._place.lean_pixels * (2 * lean / (_NUM_LEANS - 1) - 1)
            self._layers[pose] = leaning(self._strokes[stroke], lean_pixels, self._margin)
        layer = self._layers[pose]
        return layer, self._place.left - self._margin, self._place.bottom - layer.shape[0]


@dataclass(frozen=True, eq=False)
class _Stage:
    """Everything that does not move: the empty stage, the players' pictures and places, and the colour of the light."""

    backdrop: np.ndarray
    pictures: list[PlayerPicture]
    places: list[Place]
    light: np.ndarray


def _set_stage(
    players: Sequence[StagePlayer], rng: np.random.Generator, pictures: PictureSet | None, width: int, height: int
) -> _Stage:
    # Whether so many fit is known only once they are drawn, which takes a tenth of a second for each.
    if not 1 <= len(players) <= MAX_PLAYERS:
        raise ParameterError(f"Expected 1 to {MAX_PLAYERS} players. Received: {len(players)}")
    backdrop_rng, picture_rng, place_rng = (np.random.default_rng(seed) for seed in rng.integers(2**63, size=3))
    backdrop = draw_backdrop(width, height, backdrop_rng)
    light = backdrop_rng.uniform(*_LIGHT) * backdrop_rng.uniform(0.94, 1.06, 3)
    chosen = (pictures or open_pictures(None)).choose([player.instrument for player in players], picture_rng)
    sizes = [(picture.strokes[0].shape[1], picture.strokes[0].shape[0], picture.height) for picture in chosen]
    places = place_players(sizes, width, height, place_rng)
    for place in places:
        draw_shadow(backdrop, (place.left + place.right) / 2, place.bottom - 2, 0.3 * (place.right - place.left))
    return _Stage(backdrop, chosen, places, light)


def _film_pictures(backdrop: np.ndarray, performers: Sequence[_Performer], num_pictures: int) -> Iterator[np.ndarray]:
    """The film's pictures; one that looks like the last is the last."""
    shown, picture = None, backdrop
    for index in range(num_pictures):
        poses = [performer.pose(index) for performer in performers]
        if poses != shown:
            picture, shown = backdrop.copy(), poses
            for performer in performers:
                lay_over(picture, *performer.layer(index))
        yield picture


def _box_times(index: int, pictures_per_second: float, seconds: float) -> Iterator[float]:
    """The instants of `BOX_INTERVAL_SECONDS` within the film at which picture `index` is shown."""
    # The small number keeps an instant that falls on a picture's start from belonging to the one before.
    first = math.ceil(index / pictures_per_second / BOX_INTERVAL_SECONDS - 1e-6)
    end = math.ceil(min((index + 1) / pictures_per_second, seconds) / BOX_INTERVAL_SECONDS - 1e-6)
    yield from (number * BOX_INTERVAL_SECONDS for number in range(first, end))


def _boxes(
    performers: Sequence[_Performer], index: int, time_seconds: float, width: int, height: int
) -> Iterator[PlayerBox]:
    for number, performer in enumerate(performers, 1):
        layer, left, top = performer.layer(index)
        inside = layer[max(0, -top) : max(0, height - top), max(0, -left) : max(0, width - left)]
        box = visible_box(inside)
        if box is not None:
            left, top = max(0, left), max(0, top)
            corners = box[0] + left, box[1] + top, box[2] + left, box[3] + top
            yield PlayerBox(time_seconds, number, performer.instrument, *corners)
