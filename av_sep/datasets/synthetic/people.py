"""People: drawn from the front, standing or seated, in many looks.

Lengths and points are those of `canvas`. The player's right hand is at the viewer's left.
"""

from dataclasses import dataclass

import numpy as np

from av_sep.datasets.synthetic.canvas import Canvas, Colour, Point, brighter

_STANDING_NECK_Y, _SEATED_NECK_Y = 0.83, 0.61
_UPPER_ARM, _FOREARM = 0.165, 0.15
_SKINS = ((255, 224, 196), (240, 200, 165), (224, 172, 130), (190, 135, 95), (141, 92, 60), (96, 62, 42))
_HAIRS = ((24, 20, 18), (60, 40, 28), (110, 72, 40), (176, 130, 70), (220, 190, 130), (150, 150, 150), (140, 60, 30))
_CONCERT_BLACK = ((22, 22, 26), (34, 34, 42), (28, 26, 40))
_HAIR_STYLES = ("short", "short", "long", "bob", "bun", "bald")


@dataclass(frozen=True)
class Figure:
    """A person's looks.

    Attributes:
        skin: colour, as the next three.
        hair: of the head.
        top: jacket, shirt or dress.
        legs: trousers or skirt.
        hair_style: "short", "long", "bob", "bun" or "bald".
        shoulder: half the shoulders' width.
        seated: on a chair, rather than standing.
        skirt: rather than trousers.
        open_collar: a bright shirt and a tie show under the jacket.
        glasses: on the nose.
        knee: how far each knee is from the middle when seated.
        tie: colour.
    """

    skin: Colour
    hair: Colour
    top: Colour
    legs: Colour
    hair_style: str
    shoulder: float
    seated: bool
    skirt: bool
    open_collar: bool
    glasses: bool
    knee: float
    tie: Colour

    @property
    def neck_y(self) -> float:
        """Where the neck begins."""
        return _SEATED_NECK_Y if self.seated else _STANDING_NECK_Y

    @property
    def mouth(self) -> Point:
        """Where a wind instrument begins."""
        return 0.0, self.neck_y + 0.067


def random_figure(rng: np.random.Generator, *, seated: bool, knee: float) -> Figure:
    """Somebody."""
    in_black = rng.random() < 0.6
    top = _pick(_CONCERT_BLACK, rng) if in_black else _any_colour(rng)
    return Figure(
        skin=_pick(_SKINS, rng),
        hair=_pick(_HAIRS, rng),
        top=top,
        legs=brighter(top, 0.9) if in_black else _pick(_CONCERT_BLACK, rng),
        hair_style=_HAIR_STYLES[int(rng.integers(len(_HAIR_STYLES)))],
        shoulder=float(rng.uniform(0.098, 0.125)),
        seated=seated,
        skirt=bool(rng.random() < 0.35),
        open_collar=bool(rng.random() < 0.55),
        glasses=bool(rng.random() < 0.25),
        knee=knee,
        tie=_any_colour(rng),
    )


def draw_body(canvas: Canvas, figure: Figure) -> None:
    """Everything but the arms."""
    neck = figure.neck_y
    if figure.hair_style == "long":
        canvas.ellipse((0, neck + 0.06), (0.078, 0.12), brighter(figure.hair, 0.8))
    if figure.seated:
        _draw_chair(canvas)
        _draw_torso(canvas, figure)
        _draw_seated_legs(canvas, figure)
    else:
        _draw_standing_legs(canvas, figure)
        _draw_torso(canvas, figure)
    canvas.tube([(0, neck - 0.03), (0, neck + 0.05)], (0.062, 0.05), brighter(figure.skin, 0.85))
    _draw_head(canvas, figure)


def draw_arm(canvas: Canvas, figure: Figure, side: int, hand: Point) -> None:
    """An arm to where its hand is; `side` is -1 for the right arm, at the viewer's left, and 1 for the left."""
    shoulder = side * (figure.shoulder - 0.026), figure.neck_y - 0.052
    elbow, wrist = _elbow_and_wrist(shoulder, hand, side)
    line = [shoulder, elbow, wrist]
    for widths, colour in (((0.078, 0.062, 0.05), 0.6), ((0.066, 0.052, 0.04), 1.12)):
        canvas.tube(line[:2], widths[:2], brighter(figure.top, colour))
        canvas.tube(line[1:], widths[1:], brighter(figure.top, colour))


def draw_hand(canvas: Canvas, figure: Figure, hand: Point) -> None:
    """A hand, with a hint of fingers."""
    canvas.ellipse(hand, (0.025, 0.021), brighter(figure.skin, 0.75))
    canvas.ellipse((hand[0], hand[1] + 0.002), (0.022, 0.018), figure.skin)
    for offset in (-0.008, 0.0, 0.008):
        finger = [(hand[0] + offset, hand[1] - 0.012), (hand[0] + offset, hand[1] + 0.008)]
        canvas.tube(finger, (0.002,), brighter(figure.skin, 0.75))


def _elbow_and_wrist(shoulder: Point, hand: Point, side: int) -> tuple[Point, Point]:
    """Joints of an arm of fixed bones; of the two ways to bend, the one with the elbow lower and further out."""
    start, way = np.array(shoulder), np.array(hand) - shoulder
    distance = float(np.linalg.norm(way))
    reach = min(distance, 0.999 * (_UPPER_ARM + _FOREARM))
    direction = way / max(distance, 1e-9)
    reach = max(reach, _UPPER_ARM - _FOREARM + 0.01)
    along = (_UPPER_ARM**2 - _FOREARM**2 + reach**2) / (2 * reach)
    bend = np.sqrt(max(0.0, _UPPER_ARM**2 - along**2)) * np.array([-direction[1], direction[0]])
    elbow = min((start + along * direction + sign * bend for sign in (-1, 1)), key=lambda e: e[1] - 0.6 * side * e[0])
    return (float(elbow[0]), float(elbow[1])), hand


def _draw_torso(canvas: Canvas, figure: Figure) -> None:
    neck, half = figure.neck_y, figure.shoulder
    right_side = [(0.03, neck), (half - 0.02, neck - 0.018), (half, neck - 0.05), (0.83 * half, neck - 0.2)]
    right_side += [(0.86 * half, neck - 0.36)]
    outline = right_side + [(-x, y) for x, y in reversed(right_side)]
    canvas.polygon(outline, figure.top)
    if figure.open_collar:
        canvas.polygon([(-0.035, neck), (0.035, neck), (0, neck - 0.15)], (238, 238, 240))
        canvas.polygon([(-0.008, neck - 0.01), (0.008, neck - 0.01), (0, neck - 0.14)], figure.tie)
    for side in (-1, 1):
        edge = [(side * 0.6 * half, neck - 0.14), (side * 0.66 * half, neck - 0.35)]
        canvas.tube(edge, (0.003, 0.006), brighter(figure.top, 0.7))


def _draw_standing_legs(canvas: Canvas, figure: Figure) -> None:
    for side in (-1, 1):
        canvas.ellipse((side * 0.085, 0.012), (0.042, 0.018), (18, 16, 16))
        colour = figure.skin if figure.skirt else figure.legs
        canvas.tube([(side * 0.05, 0.48), (side * 0.062, 0.26), (side * 0.075, 0.03)], (0.1, 0.075, 0.05), colour)
    if figure.skirt:
        canvas.polygon([(-0.09, 0.52), (0.09, 0.52), (0.14, 0.2), (-0.14, 0.2)], figure.legs)
    else:
        canvas.tube([(0, 0.45), (0, 0.37)], (0.004, 0.005), brighter(figure.legs, 0.5))


def _draw_seated_legs(canvas: Canvas, figure: Figure) -> None:
    for side in (-1, 1):
        knee, foot = (side * figure.knee, 0.27), (side * (figure.knee + 0.005), 0.03)
        canvas.ellipse((foot[0], 0.012), (0.042, 0.018), (18, 16, 16))
        canvas.tube([knee, foot], (0.085, 0.05), brighter(figure.legs, 0.85))
        canvas.tube([(side * 0.05, 0.27), knee], (0.11, 0.1), brighter(figure.legs, 1.15))


def _draw_chair(canvas: Canvas) -> None:
    canvas.polygon([(-0.1, 0.5), (0.1, 0.5), (0.11, 0.24), (-0.11, 0.24)], (46, 34, 26))
    canvas.polygon([(-0.13, 0.25), (0.13, 0.25), (0.14, 0.215), (-0.14, 0.215)], (60, 44, 32))
    for side in (-1, 1):
        canvas.tube([(side * 0.125, 0.22), (side * 0.135, 0.01)], (0.018,), (40, 30, 24))


def _draw_head(canvas: Canvas, figure: Figure) -> None:
    y = figure.neck_y + 0.1
    for side in (-1, 1):
        canvas.ellipse((side * 0.052, y), (0.01, 0.017), brighter(figure.skin, 0.85))
    if figure.hair_style == "bun":
        canvas.ellipse((0, y + 0.085), (0.028, 0.024), figure.hair)
    if figure.hair_style == "bob":
        canvas.ellipse((0, y + 0.0), (0.068, 0.07), brighter(figure.hair, 0.8))
    if figure.hair_style != "bald":
        canvas.ellipse((0, y + 0.018), (0.058, 0.066), figure.hair)
    canvas.ellipse((0, y), (0.05, 0.066), figure.skin)
    if figure.hair_style != "bald":
        fringe = [(-0.051, y + 0.02), (-0.035, y + 0.038), (0.0, y + 0.044), (0.035, y + 0.036), (0.051, y + 0.02)]
        canvas.polygon([*fringe, (0.042, y + 0.06), (0, y + 0.083), (-0.042, y + 0.06)], figure.hair)
    _draw_face(canvas, figure, y)


def _draw_face(canvas: Canvas, figure: Figure, y: float) -> None:
    dark = brighter(figure.skin, 0.65)
    for side in (-1, 1):
        canvas.ellipse((side * 0.019, y + 0.006), (0.008, 0.0045), (245, 245, 245))
        canvas.ellipse((side * 0.019, y + 0.006), (0.0042, 0.0045), (30, 24, 20))
        canvas.tube([(side * 0.01, y + 0.018), (side * 0.029, y + 0.019)], (0.005,), brighter(figure.hair, 0.8))
        if figure.glasses:
            canvas.ring((side * 0.02, y + 0.005), (0.014, 0.011), 0.003, (20, 20, 20))
    canvas.tube([(0.002, y + 0.005), (0.004, y - 0.014), (-0.003, y - 0.016)], (0.004,), dark)
    canvas.tube([(-0.014, y - 0.035), (0.014, y - 0.035)], (0.007,), (170, 80, 78))


def _pick(colours: tuple[Colour, ...], rng: np.random.Generator) -> Colour:
    return colours[int(rng.integers(len(colours)))]


def _any_colour(rng: np.random.Generator) -> Colour:
    """Of cloth: nothing glaring."""
    grey = rng.uniform(50, 190)
    red, green, blue = (int(value) for value in np.clip(grey + rng.uniform(-55, 55, 3), 0, 255))
    return red, green, blue
