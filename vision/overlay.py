"""Pictures for people to look at: boxes and labels drawn on a video frame, and several frames on one sheet.

Conventions:
    pictures are uint8 RGB `[height, width, 3]`; colours are (red, green, blue).
"""

import colorsys
import zlib
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from av_sep.errors import ParameterError
from av_sep.types import Detection
from vision.instrument_classifier import OTHER
from vision.players import check_picture

FONT = cv2.FONT_HERSHEY_SIMPLEX
SHEET_BACKGROUND = 24  # grey level between the cells


def instrument_color(instrument: str) -> tuple[int, int, int]:
    """A colour for each instrument name, the same in every run; grey for `OTHER`."""
    if instrument == OTHER:
        return (150, 150, 150)
    hue = (zlib.crc32(instrument.encode()) % 997) / 997
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)


def draw_detections(
    picture: np.ndarray, detections: Iterable[Detection], captions: Sequence[str] | None = None
) -> np.ndarray:
    """A copy of a picture with a box and a caption for each detection.

    Args:
        picture: uint8 RGB `[height, width, 3]`.
        detections: of this picture; a whole-frame detection is written into the bottom left corner.
        captions: what to write on each, in ASCII; None for instrument and confidence.

    Returns:
        uint8 RGB `[height, width, 3]`.

    Raises:
        ParameterError: for something that is no picture.
        ValueError: for another number of captions than of detections.
    """
    check_picture(picture)
    drawn = np.ascontiguousarray(picture).copy()
    height, width = drawn.shape[:2]
    thickness = max(1, round(max(height, width) / 400))
    detections = tuple(detections)
    if captions is None:
        captions = [f"{d.instrument.replace('_', ' ')} {d.confidence:.2f}" for d in detections]
    for detection, caption in zip(detections, captions, strict=True):
        color = instrument_color(detection.instrument)
        if detection.whole_frame:
            _write(drawn, f"frame: {caption}", (0, height), color, thickness)
            continue
        x1, y1, x2, y2 = (round(value) for value in detection.box_xyxy)
        cv2.rectangle(drawn, (x1, y1), (min(x2, width - 1), min(y2, height - 1)), color, thickness)
        _write(drawn, caption, (x1, y1), color, thickness)
    return drawn


def contact_sheet(pictures: Sequence[np.ndarray], num_columns: int = 4, cell_width: int = 320) -> np.ndarray:
    """Several pictures side by side on one sheet, row by row, each fitted into a cell of equal size.

    Args:
        pictures: uint8 RGB arrays `[height, width, 3]` of any sizes; at least one.
        num_columns: cells in a row; fewer pictures make a narrower sheet.
        cell_width: in pixels; a cell is as high as the first picture needs.

    Returns:
        uint8 RGB `[num_rows * cell_height, num_columns * cell_width, 3]`.
    """
    if not pictures or num_columns < 1 or cell_width < 1:
        raise ParameterError(
            "Expected at least one picture, one column and a cell width of one pixel."
            f" Received: {len(pictures)} pictures, num_columns={num_columns}, cell_width={cell_width}"
        )
    for picture in pictures:
        check_picture(picture)
    cell_height = max(1, round(cell_width * pictures[0].shape[0] / pictures[0].shape[1]))
    num_columns = min(num_columns, len(pictures))
    num_rows = -(-len(pictures) // num_columns)
    sheet = np.full((num_rows * cell_height, num_columns * cell_width, 3), SHEET_BACKGROUND, np.uint8)
    for i, picture in enumerate(pictures):
        height, width = picture.shape[:2]
        scale = min(cell_width / width, cell_height / height)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        cell = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        top = (i // num_columns) * cell_height + (cell_height - size[1]) // 2
        left = (i % num_columns) * cell_width + (cell_width - size[0]) // 2
        sheet[top : top + size[1], left : left + size[0]] = cell
    return sheet


def _write(
    picture: np.ndarray, caption: str, corner_xy: tuple[int, int], color: tuple[int, int, int], thickness: int
) -> None:
    """Write on a filled strip whose bottom left corner is wanted at `corner_xy`, moved inside the picture, in place."""
    scale = 0.45 * thickness
    (width, height), baseline = cv2.getTextSize(caption, FONT, scale, thickness)
    x = max(0, min(corner_xy[0], picture.shape[1] - width))
    bottom = min(max(corner_xy[1], height + baseline), picture.shape[0])
    cv2.rectangle(picture, (x, bottom - height - baseline), (x + width, bottom), color, cv2.FILLED)
    dark = sum(color) > 380
    ink = (0, 0, 0) if dark else (255, 255, 255)
    cv2.putText(picture, caption, (x, bottom - baseline), FONT, scale, ink, thickness, cv2.LINE_AA)
