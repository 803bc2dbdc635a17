"""Annotation of many videos, spread over processes or a Beam runner: the one-video runner, carried there."""

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from av_sep.errors import MediaError, ParameterError
from av_sep.media import MEDIA_EXTENSIONS
from pipelines.annotate import AnnotationRunner
from pipelines.batch import expand_folders
from pipelines.config import AnnotateConfig
from pipelines.workers import Outcome, Report, Workers, run_everywhere
from pipelines.look import confidences
from pipelines.storage import configure_filesystems, is_remote, open_folder


@dataclass(frozen=True)
class AnnotationTask:
    """One video to annotate.

    Attributes:
        folder: where the video is, path or URL.
        name: the video's name in it.
        output: folder for the label files, path or URL.
        config: the settings.
    """

    folder: str
    name: str
    output: str
    config: AnnotateConfig

    @property
    def location(self) -> str:
        """Path or URL of the video."""
        return f"{self.folder}/{self.name}" if is_remote(self.folder) else str(Path(self.folder) / self.name)


def annotation_tasks(
    inputs: Sequence[str], output: str, config: AnnotateConfig, workers: Workers = Workers()
) -> list[AnnotationTask]:
    """One task for each video; folders, local or remote, are searched.

    Raises:
        MediaError: for a folder that cannot be searched, or where there is no video at all.
        ParameterError: where two videos of one name would share an output.
    """
    tasks = []
    configure_filesystems(workers.runner_options, [*inputs, output])
    for given in inputs:
        if is_remote(given):
            tasks += [AnnotationTask(folder, name, output, config) for folder, name in _remote_media(given)]
        else:
            paths = expand_folders([Path(given)])
            tasks += [AnnotationTask(str(path.parent), path.name, output, config) for path in paths]
    if not tasks:
        raise MediaError(f"Expected video or sound files. Received: {', '.join(inputs)}, with none inside")
    stems = Counter(PurePosixPath(task.name).stem for task in tasks)
    if doubled := [task.location for task in tasks if stems[PurePosixPath(task.name).stem] > 1]:
        raise ParameterError(f"Inputs of one name would share an output. Received: {', '.join(doubled)}")
    return tasks


def _remote_media(url: str) -> list[tuple[str, str]]:
    folder, _, name = url.rstrip("/").rpartition("/")
    if PurePosixPath(name).suffix.lower() in MEDIA_EXTENSIONS:
        return [(folder, name)]
    names = sorted(open_folder(url).names())
    return [(url.rstrip("/"), name) for name in names if PurePosixPath(name).suffix.lower() in MEDIA_EXTENSIONS]


def annotate_many(tasks: Sequence[AnnotationTask], workers: Workers, report: Report) -> list[Outcome]:
    """Annotates every video; one that fails does not stop the others.

    Returns:
        An outcome for each task, its value as `annotate_one` describes it.

    Raises:
        ParameterError: where the runner is unknown.
        MediaError: where a worker was killed or the runner failed.
    """
    output = tasks[0].output
    exchange = f"{output.rstrip('/')}/.outcomes" if is_remote(output) else None
    return run_everywhere(annotate_one, tasks, workers, report, exchange=exchange)


def annotate_one(task: AnnotationTask) -> dict[str, Any]:
    """Annotates one video wherever this runs.

    Returns:
        JSON-safe: "input", "instruments", "label_vector" (instrument -> confidence) and "files" (kind -> location).

    Raises:
        MediaError, ParameterError: as `AnnotationRunner.run`.
    """
    with tempfile.TemporaryDirectory() as temporary:
        video = Path(task.folder) / task.name
        if is_remote(task.folder):
            video = Path(temporary) / "input" / PurePosixPath(task.name).name
            open_folder(task.folder).fetch(task.name, video)
        output = Path(temporary) / "labels" if is_remote(task.output) else Path(task.output)
        result = _runner(task.config).run(video, output, location=task.location)
        files = {kind: str(path) for kind, path in result.files.items()}
        if is_remote(task.output):
            files = {kind: _upload(path, task) for kind, path in result.files.items()}
    return {
        "input": task.location,
        "instruments": list(result.labels.instruments),
        "label_vector": confidences(result.labels),
        "files": files,
    }


def _upload(path: Path, task: AnnotationTask) -> str:
    folder = open_folder(task.output)
    if not task.config.overwrite and path.name in folder.names():
        raise ParameterError(f"The output exists already; add --overwrite to replace it. Received: {path.name}")
    folder.publish(path, path.name)
    return f"{folder.url}/{path.name}"


@lru_cache(maxsize=1)
def _runner(config: AnnotateConfig) -> AnnotationRunner:
    """Loaded once in each process: the networks take seconds."""
    return AnnotationRunner(config)
