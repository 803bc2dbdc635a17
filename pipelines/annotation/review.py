"""The page on which a person looks through what was found, corrects it with a click and downloads corrected JSON files.

Each video leaves a file of its own, `<name>.review.json`, with a few pictures in it; `write_pages` puts these and the
label files together to pages that need nothing else: no network, no server, no other file. A page's data wait as text
until their video is chosen, so a page of many videos opens at once.
"""

import base64
import html
import itertools
import json
import os
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import jinja2

from av_sep.media import replace_when_complete
from av_sep.types import Detection, VideoFrame
from pipelines.annotation.reading import spelled_out
from pipelines.look import EvenlySpread
from vision.instrument_classifier import OTHER
from vision.overlay import instrument_color

TEMPLATES = Path(__file__).parents[1] / "templates"
NUM_PICTURES = 24  # most pictures shown of a video
PICTURE_SIDE = 800  # pixels of the longer side
JPEG_QUALITY = 72
VIDEOS_PER_PAGE = 50
_DATA_MARK = "<!-- data -->"

Reader = Callable[[str], str]


class ReviewPictures:
    """Keeps a few pictures of a film, evenly spread over it, as JPEG."""

    def __init__(self) -> None:
        self._kept = EvenlySpread(NUM_PICTURES)

    def observe(self, frame: VideoFrame, detections: Sequence[Detection]) -> None:
        """Takes a picture or leaves it."""
        self._kept.offer((frame.time_seconds, _jpeg(frame) if self._kept.wants_next else ""))

    def write(self, path: Path) -> None:
        """Writes the video's part of the page."""
        pictures = [{"time_seconds": round(time, 3), "jpeg": jpeg} for time, jpeg in self._kept.items]
        path.write_text(json.dumps({"pictures": pictures}) + "\n")


def page_names(num_videos: int) -> list[str]:
    """Names of the pages for so many videos: `review.html`, and `review-2.html` and so on where there are many."""
    num_pages = -(-num_videos // VIDEOS_PER_PAGE)
    return ["review.html" if page == 1 else f"review-{page}.html" for page in range(1, num_pages + 1)]


def left_over(names: Container[str], num_pages: int) -> list[str]:
    """Those names in a folder that are pages of an earlier run, which had more of them than this one, last page first.

    Only what follows this run's pages without a gap: another file may be called `review-7.html`.
    """
    later = (f"review-{page}.html" for page in itertools.count(num_pages + 1))
    return [*itertools.takewhile(names.__contains__, later)][::-1]


def write_pages(folder: Path, stems: Sequence[str], read: Reader) -> list[Path]:
    """Writes the pages of a run; those that an earlier, larger run left behind them go.

    Args:
        folder: where they go.
        stems: names of the videos without suffix, in the order in which they are shown.
        read: gives the text of a file by its name, `<stem>.json` and `<stem>.review.json`.

    Returns:
        The pages, in order.

    Raises:
        MediaError: where a page cannot be written.
    """
    names = page_names(len(stems))
    for page, name in enumerate(names):
        first = page * VIDEOS_PER_PAGE
        head, tail = _frame(names, page).split(_DATA_MARK)
        with replace_when_complete(folder / name) as temporary:
            # Names of files need not be valid UTF-8.
            with temporary.open("w", encoding="utf-8", errors="replace") as file:
                file.write(head)
                file.writelines(_data(stems[first : first + VIDEOS_PER_PAGE], read))
                file.write(tail)
    for name in left_over(os.listdir(folder), len(names)):
        (folder / name).unlink(missing_ok=True)
    return [folder / name for name in names]


def _frame(names: Sequence[str], page: int) -> str:
    """The page without its videos."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True)
    return environment.get_template("review.html.j2").render(
        other=OTHER, pages=[{"name": name, "is_this": i == page} for i, name in enumerate(names)]
    )


def _data(stems: Iterable[str], read: Reader) -> Iterator[str]:
    """One element of inert text for each video."""
    for stem in stems:
        annotation, pictures = (json.loads(read(f"{stem}{suffix}")) for suffix in (".json", ".review.json"))
        # A person may have corrected it by hand since.
        annotation = spelled_out(annotation, Path(f"{stem}.json"))
        names = [*annotation["label_vector"], OTHER]
        content = {
            "file": f"{stem}.json",
            "annotation": annotation,
            "pictures": pictures["pictures"],
            "colors": {name: "#{:02x}{:02x}{:02x}".format(*instrument_color(name)) for name in names},
        }
        # No text in it may end the element, or begin a comment.
        text = json.dumps(content, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
        told = f'data-name="{html.escape(stem)}" data-checked="{annotation["checked"]}"'
        yield f'<script type="application/json" class="video" {told}>{text}</script>\n'


def _jpeg(frame: VideoFrame) -> str:
    picture = frame.picture
    height, width = picture.shape[:2]
    scale = PICTURE_SIDE / max(height, width)
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return base64.b64encode(data.tobytes()).decode()
