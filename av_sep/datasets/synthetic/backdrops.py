"""Empty stages: a wall behind, a floor in front, light upon both.

Conventions:
    pictures are float32 RGB `[height, width, 3]`, 0..255, until the last step; places are fractions of the height and
    width, so that a stage looks alike at any size.
"""

import cv2
import numpy as np

FLOOR_TOP = 0.62


def draw_backdrop(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """A stage without players, different for each seed: uint8 RGB `[height, width, 3]`."""
    y, x = np.mgrid[:height, :width].astype(np.float32) / height
    walls = (_curtain, _plain_wall, _panels, _hall)
    picture = walls[int(rng.integers(len(walls)))](x, y, rng)
    floor = _floor(x, y, rng)
    edge = FLOOR_TOP + rng.uniform(-0.06, 0.06)
    picture = np.where((y > edge)[..., None], floor, picture)
    picture *= (1 - 0.4 * np.exp(-(((y - edge) / 0.03) ** 2)))[..., None]
    picture *= _light(x, y, rng)[..., None] * rng.uniform(0.92, 1.08, 3).astype(np.float32)
    picture = cv2.GaussianBlur(picture.astype(np.float32), (0, 0), rng.uniform(0.4, 2.2) * height / 360)
    picture += rng.normal(0.0, rng.uniform(0.5, 4.0), (height, width, 1)).astype(np.float32)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def draw_shadow(picture: np.ndarray, x: float, y: float, radius: float) -> None:
    """Darken a flat ellipse, where someone stands, in uint8 RGB `[height, width, 3]`, in place; pixels."""
    half_height = max(1.0, 0.16 * radius)
    left, right = (int(np.clip(x + side * 2 * radius, 0, picture.shape[1])) for side in (-1, 1))
    top, bottom = (int(np.clip(y + side * 2 * half_height, 0, picture.shape[0])) for side in (-1, 1))
    if left >= right or top >= bottom:
        return
    rows, columns = np.mgrid[top:bottom, left:right]
    distance = ((columns - x) / radius) ** 2 + ((rows - y) / half_height) ** 2
    part = picture[top:bottom, left:right]
    part[:] = np.rint(part * (1 - 0.5 * np.exp(-distance))[..., None])


def _colour(rng: np.random.Generator, low: float, high: float) -> np.ndarray:
    """One of many colours of a brightness between `low` and `high` (0..255), muted as stages are."""
    hue_degrees, saturation = rng.uniform(0, 360), rng.uniform(0.1, 0.75)
    value = rng.uniform(low, high)
    pixel = np.array([[[hue_degrees, saturation, value / 255]]], np.float32)
    return cv2.cvtColor(pixel, cv2.COLOR_HSV2RGB)[0, 0] * 255


def _curtain(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    wide, narrow = rng.uniform(30, 60), rng.uniform(90, 150)
    folds = 0.62 + 0.25 * np.sin(wide * x + 1.3 * np.sin(7 * x)) + 0.1 * np.sin(narrow * x + np.sin(11 * x))
    return (folds * (0.5 + 0.5 * y / FLOOR_TOP))[..., None] * _colour(rng, 70, 170)


def _plain_wall(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    tilt = rng.uniform(-0.15, 0.15)
    shade = 1 + tilt * (x - x.mean()) - 0.1 * y
    return shade[..., None] * _colour(rng, 90, 225)


def _panels(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Wooden panels, each a little brighter or darker than the next, with dark joints."""
    across, down = rng.uniform(0.12, 0.35), rng.uniform(0.2, 0.5)
    column, row = np.floor(x / across), np.floor(y / down)
    shade = 0.9 + 0.1 * np.sin(12.9898 * column + 78.233 * row)
    joint = (np.minimum(x / across - column, 1 - x / across + column) < 0.02) | (y / down - row < 0.02)
    grain = 1 + 0.04 * np.sin(90 * x + 3 * np.sin(9 * y + 2 * column))
    wood = np.array([176.0, 124.0, 78.0], np.float32) * rng.uniform(0.5, 1.1)
    return (shade * grain * np.where(joint, 0.65, 1.0))[..., None] * wood


def _hall(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A dim hall: from one colour above to another below, with far lamps out of focus."""
    depth = (y / FLOOR_TOP)[..., None]
    picture = (1 - depth) * _colour(rng, 15, 80) + depth * _colour(rng, 40, 130)
    for _ in range(int(rng.integers(0, 9))):
        lamp_x, lamp_y = rng.uniform(0, x.max()), rng.uniform(0, 0.3)
        glow = np.exp(-(((x - lamp_x) ** 2 + (y - lamp_y) ** 2) / rng.uniform(0.015, 0.05) ** 2))
        picture = picture + glow[..., None] * np.array([150.0, 120.0, 70.0]) * rng.uniform(0.4, 1.0)
    return picture


def _floor(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Boards that run towards the viewer, or a plain floor."""
    depth = np.clip((y - FLOOR_TOP) / (1 - FLOOR_TOP), 0, 1)
    if rng.random() < 0.4:
        return (0.7 + 0.3 * depth)[..., None] * _colour(rng, 50, 140)
    plank = (x - x.max() / 2) / (0.55 + 0.45 * depth) / rng.uniform(0.05, 0.12)
    boards = 0.88 + 0.12 * np.sin(12.9898 * np.floor(plank)) - 0.25 * (np.abs(plank - np.round(plank)) < 0.03)
    wood = np.array([158.0, 112.0, 72.0], np.float32) * rng.uniform(0.5, 1.1)
    return (boards * (0.65 + 0.35 * depth))[..., None] * wood


def _light(x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A broad light from somewhere above, and darker corners: about 1 in the middle."""
    middle = x.max() * rng.uniform(0.25, 0.75)
    spot = np.exp(-(((x - middle) / rng.uniform(0.6, 1.4)) ** 2) - ((y - 0.55) / rng.uniform(0.5, 1.0)) ** 2)
    strength = rng.uniform(0.15, 0.6)
    return rng.uniform(0.85, 1.1) * (1 - strength + strength * spot)
