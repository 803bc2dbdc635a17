"""Detection only: which instruments a video shows, when and where, for annotating datasets."""

import json
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
from pipelines.annotation.companions import annotation_of_file, bring_up_to_date
from pipelines.annotation.content import Annotation, find_player_numbers
from pipelines.annotation.formats import COMPANIONS, FORMATS, SUFFIXES, WRITERS
from pipelines.annotation.overlay_video import write_overlay_video
from pipelines.annotation.provenance import VideoSource, describe_making, find_kept, set_corrected_aside
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
            ParameterError: as `keep_earlier`.
        """
        path, folder = Path(input_path), Path(output_dir)
        kept = self.keep_earlier(path, folder, source)
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
        aside = self._write(files, annotation, pictures, progress)
        if aside is not None:
            files = {**files, "checked": aside}
        return AnnotationResult(path, sighting.labels, annotation.detections, files, sighting.players)

    def keep_earlier(
        self, input_path: str | Path, output_dir: str | Path, source: VideoSource | None = None
    ) -> AnnotationResult | None:
        """What an earlier run found in this video, where nobody needs to look again; else None.

        Files that do not say what the JSON file says, which a person may have corrected, are made anew.

        Raises:
            MediaError: where one of them cannot be written.
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
        earlier = annotation_of_file(content, files["json"], path)
        remade, seen = bring_up_to_date(files, earlier), earlier.sighting
        return AnnotationResult(path, seen.labels, seen.detections, files, seen.players, is_kept=True, remade=remade)

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
    ) -> Path | None:
        """Writes all files, which take their names together at the end; gives the place of one set aside for that."""
        with ExitStack() as stack:
            # The one entered last is renamed first. Should the power fail between two renames, the JSON file says
            # how the others were made, and they are missing rather than old.
            ordered = sorted(files, key=lambda kind: kind == "json")
            places = {kind: stack.enter_context(replace_when_complete(files[kind])) for kind in ordered}
            said = annotation
            if "json" in places:
                WRITERS["json"](places["json"], annotation)
                content = json.loads(places["json"].read_text(encoding="utf-8"))
                said = annotation_of_file(content, files["json"], annotation.info.path)
            for kind in (kind for kind in places if kind in COMPANIONS):
                WRITERS[kind](places[kind], said)
            if "overlay" in places:
                places["overlay"].write_bytes(_sheet(annotation.sighting, self.config.min_confidence))
            if "overlay_video" in places:
                named = files["overlay_video"]
                write_overlay_video(places["overlay_video"], annotation, progress, named=named)
            if "review" in places:
                pictures.write(places["review"])
            aside = set_corrected_aside(files["json"]) if "json" in files else None
            for path in files.values():
                path.unlink(missing_ok=True)
        return aside


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
