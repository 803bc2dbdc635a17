"""Detection only: which instruments a video shows, when and where, for annotating datasets."""

from collections.abc import Callable
from pathlib import Path

import cv2

from av_sep.errors import ParameterError
from av_sep.media import probe, replace_when_complete
from av_sep.types import AnnotationResult
from pipelines.annotation_formats import FORMATS, SUFFIXES, write_coco, write_csv, write_json
from pipelines.config import AnnotateConfig
from pipelines.look import Looker, Sighting
from pipelines.progress import Progress, silent
from pipelines.staging import make_folder, require_free
from vision.overlay import contact_sheet, draw_detections


class AnnotationRunner:
    """Annotates videos one after the other with the same settings; the detector is loaded once, on first use.

    Args:
        config: the settings.

    Raises:
        ParameterError: for settings that are unknown.
    """

    def __init__(self, config: AnnotateConfig):
        unknown = [name for name in config.formats if name not in FORMATS]
        if unknown or not config.formats:
            received = ", ".join(unknown) or "none"
            raise ParameterError(f"Expected formats among {', '.join(FORMATS)}. Received: {received}")
        self.config = config
        self.looker = Looker(
            config.detector, frames_per_second=config.frames_per_second, threshold=config.threshold
        )

    def run(
        self, input_path: str | Path, output_dir: str | Path, progress: Progress = silent, *,
        location: str | None = None,
    ) -> AnnotationResult:  # fmt: skip
        """Looks at one video and writes its label files.

        Args:
            input_path: any video that ffmpeg reads.
            output_dir: the files go to `<output_dir>/<input's stem>.json` and so on.
            progress: told how far the run is.
            location: what the files name as their input where `input_path` is but a copy of it.

        Raises:
            MediaError: for a video that cannot be read or a folder that cannot be written.
            ParameterError: if a file exists already.
        """
        path, folder = Path(input_path), Path(output_dir)
        wanted = [*self.config.formats, *(["overlay"] if self.config.overlay else [])]
        files = {kind: folder / f"{path.stem}{SUFFIXES[kind]}" for kind in wanted}
        for file in files.values():
            require_free(file, overwrite=self.config.overwrite)
        info = probe(path)
        sighting = self.looker.look(path, info, progress)
        make_folder(folder)
        self._write(files, info, sighting, location or str(path))
        return AnnotationResult(path, sighting.labels, sighting.detections, files)

    def _write(self, files: dict[str, Path], info, sighting: Sighting, location: str) -> None:
        if "json" in files:
            write_json(files["json"], info, sighting, self.config.detector, location)
        if "csv" in files:
            write_csv(files["csv"], sighting)
        if "coco" in files:
            write_coco(files["coco"], info, sighting, self.looker.detector.taxonomy)
        if "overlay" in files:
            sheet = contact_sheet([draw_detections(frame.picture, found) for frame, found in sighting.shown])
            _, data = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
            with replace_when_complete(files["overlay"]) as temporary:
                temporary.write_bytes(data.tobytes())


def annotate(
    input_path: str | Path, output_dir: str | Path = "labels", *, progress: Callable = silent, **settings
) -> AnnotationResult:
    """Annotates one video.

    Args:
        input_path: any video that ffmpeg reads.
        output_dir: folder for the label files.
        progress: called as `progress(stage, done_seconds, total_seconds)`.
        **settings: fields of `pipelines.config.AnnotateConfig`, e.g. `overlay=True`.

    Raises:
        MediaError: for a video that cannot be read or a folder that cannot be written.
        ParameterError: for settings that cannot be used.
    """
    return AnnotationRunner(AnnotateConfig(**settings)).run(input_path, output_dir, progress)
