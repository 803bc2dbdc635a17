"""Detection only: which instruments a video shows, when and where, for annotating datasets."""

import math
import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from av_sep.errors import ParameterError
from av_sep.media import probe, replace_when_complete
from av_sep.types import AnnotationResult
from pipelines.annotation.content import Annotation, find_player_numbers
from pipelines.annotation.formats import FORMATS, SUFFIXES, WRITERS
from pipelines.annotation.overlay_video import write_overlay_video
from pipelines.annotation.provenance import VideoSource, describe_making, find_kept
from pipelines.annotation.reading import labels_of_file
from pipelines.annotation.review import ReviewPictures, write_pages
from pipelines.config import AnnotateConfig
from pipelines.joint.files import require_detector
from pipelines.look import Looker, Sighting
from pipelines.plain_settings import plain_settings
from pipelines.progress import Progress, silent
from pipelines.staging import make_folder, require_writable
from pipelines.witnesses import fuse, labels_from_sound
from vision.overlay import contact_sheet, draw_detections

WITNESSES = ("video", "both")


class AnnotationRunner:
    """Annotates videos one after the other with the same settings; the detector is loaded once, on first use.

    Args:
        config: the settings.

    Raises:
        ParameterError: for settings that are unknown or do not go together.
    """

    def __init__(self, config: AnnotateConfig):
        config = plain_settings(config)
        unknown = [name for name in config.formats if name not in FORMATS]
        if unknown or not config.formats:
            received = ", ".join(unknown) or "none"
            raise ParameterError(f"Expected formats among {', '.join(FORMATS)}. Received: {received}")
        if not (math.isfinite(config.min_confidence) and 0 <= config.min_confidence <= 1):
            raise ParameterError(f"Expected min_confidence in [0, 1]. Received: {config.min_confidence}")
        if config.review and "json" not in config.formats:
            raise ParameterError(
                f"The review page shows and corrects JSON files: expected json among the formats."
                f" Received: {', '.join(config.formats)}"
            )
        if config.labels not in WITNESSES:
            raise ParameterError(f"Expected labels by {' or '.join(WITNESSES)}. Received: {config.labels!r}")
        require_detector(config.detector)
        self.config = config
        self.looker = Looker(
            config.detector,
            frames_per_second=config.frames_per_second,
            threshold=config.threshold,
            skip_similar=config.scenes,
        )

    @cached_property
    def tagger(self):
        """What listens for instruments."""
        from audio.tagger import load_tagger

        return load_tagger()

    def run(
        self, input_path: str | Path, output_dir: str | Path, progress: Progress = silent, *,
        source: VideoSource | None = None,
    ) -> AnnotationResult:  # fmt: skip
        """Looks at one video and writes its label files, all of them or none.

        Args:
            input_path: any video that ffmpeg reads.
            output_dir: the files go to `<output_dir>/<input's stem>.json` and so on.
            progress: told how far the run is.
            source: what the files name as their input where `input_path` is but a copy of it.

        Returns:
            What was found; what an earlier run had found, where it left all the files and they were made alike.

        Raises:
            MediaError: for a video that cannot be read or a folder that cannot be written.
            ParameterError: as `find_kept`.
        """
        path, folder = Path(input_path), Path(output_dir)
        kept = self.find_kept(path, folder, source)
        if kept is not None:
            return kept
        files, source = self._files(path, folder), source or VideoSource.of_file(path)
        require_writable(folder)
        info = probe(path)
        pictures = ReviewPictures()
        sighting = self.looker.look(path, info, progress, pictures.observe if self.config.review else None)
        if self.config.labels == "both" and info.has_audio:
            heard = labels_from_sound(path, self.tagger, taxonomy=self.looker.detector.taxonomy, progress=progress)
            sighting = replace(sighting, labels=fuse(sighting.labels, heard))
        annotation = self._annotation(info, sighting, source)
        make_folder(folder)
        self._write(files, annotation, pictures, progress)
        return AnnotationResult(path, sighting.labels, annotation.detections, files, sighting.players)

    def find_kept(
        self, input_path: str | Path, output_dir: str | Path, source: VideoSource | None = None
    ) -> AnnotationResult | None:
        """What an earlier run found in this video, where nothing needs to be done; else None.

        Raises:
            ParameterError: if files exist that were made otherwise, or that a correction left unreadable.
        """
        path, folder = Path(input_path), Path(output_dir)
        files = self._files(path, folder)
        # Unlike `Path.exists` this raises nothing for a place out of reach.
        is_missing = source is None and not os.path.exists(path)
        if self.config.overwrite or is_missing or not any(os.path.exists(file) for file in files.values()):
            return None
        made = describe_making(self.config, self.looker.threshold, source or VideoSource.of_file(path))
        content = find_kept(files, made)
        if content is None:
            return None
        earlier = labels_of_file(content, files["json"])
        return AnnotationResult(path, earlier.labels, earlier.detections, files, earlier.players, is_kept=True)

    def _files(self, path: Path, folder: Path) -> dict[str, Path]:
        """Kind -> place of every file that is wanted."""
        extras = [kind for kind in ("overlay", "overlay_video", "review") if getattr(self.config, kind)]
        return {kind: folder / f"{path.stem}{SUFFIXES[kind]}" for kind in (*self.config.formats, *extras)}

    def _annotation(self, info, sighting: Sighting, source: VideoSource) -> Annotation:
        sure = tuple(d for d in sighting.detections if d.confidence >= self.config.min_confidence)
        return Annotation(
            info=info,
            location=source.location,
            sighting=sighting,
            taxonomy=self.looker.detector.taxonomy,
            detector=self.config.detector,
            made=describe_making(self.config, self.looker.threshold, source),
            detections=sure,
            player_numbers=find_player_numbers(sure, sighting.players),
            frames_per_second=self.config.frames_per_second,
        )

    def _write(
        self, files: dict[str, Path], annotation: Annotation, pictures: ReviewPictures, progress: Progress
    ) -> None:
        """Writes all files, which take their names together at the end."""
        with ExitStack() as stack:
            # The one entered last is renamed first. Should the power fail between two renames, the JSON file says
            # how the others were made, and they are missing rather than old.
            ordered = sorted(files, key=lambda kind: kind == "json")
            places = {kind: stack.enter_context(replace_when_complete(files[kind])) for kind in ordered}
            for kind, place in places.items():
                if kind in WRITERS:
                    WRITERS[kind](place, annotation)
            if "overlay" in places:
                places["overlay"].write_bytes(_sheet(annotation.sighting, self.config.min_confidence))
            if "overlay_video" in places:
                named = files["overlay_video"]
                write_overlay_video(places["overlay_video"], annotation, progress, named=named)
            if "review" in places:
                pictures.write(places["review"])
            for path in files.values():
                path.unlink(missing_ok=True)


def _sheet(sighting: Sighting, min_confidence: float) -> bytes:
    """A contact sheet as PNG."""
    drawn = [
        draw_detections(frame.picture, [d for d in found if d.confidence >= min_confidence])
        for frame, found in sighting.shown
    ]
    _, data = cv2.imencode(".png", cv2.cvtColor(contact_sheet(drawn), cv2.COLOR_RGB2BGR))
    return np.asarray(data).tobytes()


def annotate(
    input_path: str | Path, output_dir: str | Path = "labels", *, progress: Callable = silent, **settings
) -> AnnotationResult:
    """Annotates one video.

    Args:
        input_path: any video that ffmpeg reads.
        output_dir: folder for the label files.
        progress: called as `progress(stage, done_seconds, total_seconds)`.
        **settings: fields of `pipelines.config.AnnotateConfig`, e.g. `overlay=True`. With `review` the page
            `review.html` shows this video alone.

    Raises:
        MediaError: for a video that cannot be read or a folder that cannot be written.
        ParameterError: for settings that cannot be used, and for files that were made otherwise.
    """
    config = AnnotateConfig(**settings)
    result = AnnotationRunner(config).run(input_path, output_dir, progress)
    if config.review:
        folder = Path(output_dir)
        write_pages(folder, [Path(input_path).stem], lambda name: (folder / name).read_text(encoding="utf-8"))
    return result
