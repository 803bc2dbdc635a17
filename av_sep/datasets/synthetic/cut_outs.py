"""Players cut out of photographs.

A file with transparency is taken as it is. Of a photograph on an even ground the ground is taken away. Of any other,
GrabCut (Rother, Kolmogorov, Blake 2004) finds what stands in the middle, on a small copy. Where what it finds cannot be
a player, too little or nearly all of the photograph, the whole photograph is hung up with soft edges.

Conventions: layers are those of `layers`; masks are uint8 `[height, width]`, 255 for the player.
"""

import functools
from pathlib import Path

import cv2
import numpy as np

from av_sep.datasets.synthetic.layers import premultiplied, trimmed
from av_sep.errors import MediaError, shown

IMAGE_EXTENSIONS = frozenset(".png .jpg .jpeg .webp .bmp .tif .tiff".split())
# Players on a film of 360 lines need no more; a film of 1080 lines shows them a little soft.
_MAX_PIXELS = 480
_GRABCUT_PIXELS = 160
_GRABCUT_ROUNDS = 3
_GRABCUT_MARGIN = 0.04
# Shares of the photograph that a player may fill.
_PLAYER_SHARE = (0.06, 0.85)
# The border of a photograph on an even ground is mostly within so much of its median, 0..255, in each colour.
_EVEN_GROUND = 14
_EVEN_SHARE = 0.85


@functools.lru_cache(maxsize=256)
def cut_out(path: Path) -> np.ndarray:
    """The player of a picture file as a layer without margins, read-only; kept, as films share players.

    Raises:
        MediaError: for a file that is no picture, or shows nothing.
    """
    picture = _read(path)
    factor = min(1.0, _MAX_PIXELS / max(picture.shape[:2]))
    if factor < 1:
        size = max(1, round(picture.shape[1] * factor)), max(1, round(picture.shape[0] * factor))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    colours = np.ascontiguousarray(picture[..., :3])
    opacity = picture[..., 3] if picture.shape[2] == 4 and picture[..., 3].min() < 250 else player_opacity(colours)
    if not (opacity >= 128).any():
        raise MediaError(f"Expected a picture of a player, this one is all transparent. Received: {shown(path)}")
    (layer,) = trimmed([premultiplied(colours, opacity)])
    layer.setflags(write=False)
    return layer


def player_opacity(picture: np.ndarray) -> np.ndarray:
    """Where the player is in a photograph without transparency, uint8 RGB `[height, width, 3]`: uint8 opacity
    `[height, width]`."""
    for find in (_off_even_ground, _grabbed):
        mask = find(picture)
        if mask is not None and _PLAYER_SHARE[0] <= np.mean(mask > 0) <= _PLAYER_SHARE[1]:
            return _softened(mask)
    return _framed(picture.shape[0], picture.shape[1])


def _read(path: Path) -> np.ndarray:
    """uint8 RGB or RGBA `[height, width, 3 or 4]`."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise MediaError(f"Cannot read this picture ({error.strerror}). Received: {shown(path)}") from error
    picture = _decoded(data, cv2.IMREAD_UNCHANGED)
    if picture is not None and (picture.ndim == 2 or picture.shape[2] == 3):
        # Only so are photographs turned as their EXIF data ask; it would take away an opacity.
        picture = _decoded(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if picture is None:
        raise MediaError(f"Expected a picture that can be read. Received: {shown(path)}")
    if picture.dtype != np.uint8:
        picture = cv2.convertScaleAbs(picture, alpha=255 / max(1.0, float(picture.max())))
    return cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def _decoded(data: np.ndarray, mode: int) -> np.ndarray | None:
    try:
        return cv2.imdecode(data, mode) if len(data) else None
    except cv2.error:
        return None


def _off_even_ground(picture: np.ndarray) -> np.ndarray | None:
    """What differs from the ground, if the border is all of one colour."""
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]]).astype(int)
    ground = np.median(border, axis=0)
    if np.mean(np.abs(border - ground).max(axis=1) <= _EVEN_GROUND) < _EVEN_SHARE:
        return None
    differs = (np.abs(picture - ground).max(axis=2) > 2 * _EVEN_GROUND).astype(np.uint8) * 255
    return cv2.morphologyEx(differs, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))


def _grabbed(picture: np.ndarray) -> np.ndarray | None:
    """GrabCut's foreground, without crumbs."""
    height, width = picture.shape[:2]
    factor = min(1.0, _GRABCUT_PIXELS / max(height, width))
    rows, columns = round(height * factor), round(width * factor)
    margin = max(1, round(_GRABCUT_MARGIN * max(rows, columns)))
    if min(rows, columns) < 4 * margin:
        return None
    small = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA)
    # Open below: most players are cut off by their photograph's lower edge.
    rectangle = margin, margin, columns - 2 * margin, rows - margin
    mask = np.zeros((rows, columns), np.uint8)
    # GrabCut starts from random clusters.
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(small, mask, rectangle, *models, _GRABCUT_ROUNDS, cv2.GC_INIT_WITH_RECT)
    found = np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8)
    found = _without_crumbs(cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)))
    smooth = cv2.resize(found * 255, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.where(smooth >= 128, 255, 0).astype(np.uint8)


def _without_crumbs(mask: np.ndarray) -> np.ndarray:
    """Only those connected parts that are at least a tenth as large as the largest."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count <= 1:
        return mask
    areas = stats[1:, cv2.CC_STAT_AREA]
    keep = 1 + np.flatnonzero(areas >= 0.1 * areas.max())
    return np.isin(labels, keep).astype(np.uint8)


def _softened(mask: np.ndarray) -> np.ndarray:
    """A little inside the edge and soft, so that no rim of the old ground is left."""
    soft = cv2.GaussianBlur(mask, (0, 0), 1.0).astype(np.float32)
    return np.clip((soft - 90) / 150 * 255, 0, 255).astype(np.uint8)


def _framed(height: int, width: int) -> np.ndarray:
    """Solid, fading out over the outermost twentieth."""
    fade = max(1.0, 0.05 * min(height, width))
    rows = np.minimum(np.arange(height) + 1, np.arange(height)[::-1] + 1) / fade
    columns = np.minimum(np.arange(width) + 1, np.arange(width)[::-1] + 1) / fade
    return np.rint(255 * np.clip(np.minimum(rows[:, None], columns[None, :]), 0, 1)).astype(np.uint8)
