"""Pictures of players by instrument, from a folder or drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from av_sep.datasets.synthetic.cut_outs import IMAGE_EXTENSIONS, cut_out
from av_sep.datasets.synthetic.drawn_players import draw_player
from av_sep.datasets.synthetic.layers import PlayerPicture, trimmed
from av_sep.errors import MediaError, ParameterError, shown
from av_sep.instruments import URMP_13

# A photograph does not say how large its player is. A whole person is high and narrow; what is not is a half figure.
_PHOTO_HEIGHT = (0.85, 1.05)
_MAX_PHOTO_WIDTH = 0.75
# The hands are about the middle of a photograph; a bow's stroke moves them by this part of its width.
_STROKES = np.linspace(-1.0, 1.0, 7)
_STROKE_REACH = 0.035
_HANDS_HEIGHT, _HANDS_WIDTH = 0.16, 0.3


@dataclass(frozen=True)
class PictureSet:
    """Where players' pictures come from; nothing is read before it is asked for.

    Attributes:
        files: instrument -> its picture files, sorted; an instrument without any is drawn.
    """

    files: Mapping[str, Sequence[Path]] = field(default_factory=dict)

    def choose(self, instruments: Sequence[str], rng: np.random.Generator) -> list[PlayerPicture]:
        """One picture per player, no file twice while there are others.

        Args:
            instruments: of the players, long names of URMP_13.
            rng: source of all chance.

        Raises:
            ParameterError: for an unknown instrument. MediaError: for a picture file that cannot be used.
        """
        waiting: dict[str, list[Path]] = {}
        result = []
        for instrument in instruments:
            URMP_13.index(instrument)
            player_rng = np.random.default_rng(rng.integers(2**63))
            if not self.files.get(instrument):
                result.append(draw_player(instrument, player_rng))
                continue
            if not waiting.get(instrument):
                waiting[instrument] = list(self.files[instrument])
                player_rng.shuffle(waiting[instrument])
            result.append(photo_player(waiting[instrument].pop(), player_rng))
        return result


def open_pictures(folder: Path | None) -> PictureSet:
    """Pictures of players by instrument.

    Args:
        folder: `<folder>/<instrument>/*.png` (or jpg, ...) by any spelling that `URMP_13.parse` knows; other folders
            are passed over, and instruments without pictures are drawn. None to draw all.

    Raises:
        MediaError: for a folder that cannot be searched or holds no pictures of any instrument.
    """
    if folder is None:
        return PictureSet()
    files: dict[str, list[Path]] = {}
    try:
        for subfolder in sorted(path for path in folder.iterdir() if path.is_dir()):
            instrument = _instrument(subfolder.name)
            if instrument is not None:
                files.setdefault(instrument, []).extend(_picture_files(subfolder))
    except OSError as error:
        raise MediaError(f"Cannot search this folder ({error.strerror}). Received: {shown(folder)}") from error
    if not any(files.values()):
        raise MediaError(f"Expected folders of pictures named by instruments. Received: {shown(folder)}")
    return PictureSet({instrument: tuple(paths) for instrument, paths in files.items()})


def photo_player(path: Path, rng: np.random.Generator) -> PlayerPicture:
    """A player cut out of a picture file, with the hands where they are and a little to either side.

    Raises:
        MediaError: for a file that is no picture, or shows nothing.
    """
    layer = cut_out(path)
    height = min(float(rng.uniform(*_PHOTO_HEIGHT)), _MAX_PHOTO_WIDTH * layer.shape[0] / layer.shape[1])
    return PlayerPicture(trimmed([_hands_moved(layer, float(stroke)) for stroke in _STROKES]), height)


def _hands_moved(layer: np.ndarray, stroke: float) -> np.ndarray:
    """The middle of a layer shifted aside, falling off smoothly, so that it bends like rubber."""
    height, width = layer.shape[:2]
    margin = round(_STROKE_REACH * width) + 1
    wide = cv2.copyMakeBorder(layer, 0, 0, margin, margin, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
    y, x = np.mgrid[:height, : width + 2 * margin].astype(np.float32)
    across = (x - margin - width / 2) / (_HANDS_WIDTH * width)
    down = (y - 0.45 * height) / (_HANDS_HEIGHT * height)
    shift = np.float32(stroke * _STROKE_REACH * width) * np.exp(-0.5 * (across**2 + down**2))
    return cv2.remap(wide, x - shift, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def _instrument(name: str) -> str | None:
    try:
        return URMP_13.parse(name)
    except ParameterError:
        return None


def _picture_files(folder: Path) -> list[Path]:
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_EXTENSIONS and not path.name.startswith(".") and path.is_file()
    )
