"""Annotation of many videos, one after the other or spread over processes or a Beam runner, and their review page."""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path, PurePosixPath
from typing import Any

from av_sep.errors import MediaError, ParameterError, shown
from av_sep.media import MEDIA_EXTENSIONS, VIDEO_EXTENSIONS
from pipelines.annotate import AnnotationRunner
from pipelines.annotation.formats import FORMATS, SUFFIXES
from pipelines.annotation.provenance import VideoSource
from pipelines.annotation.review import left_over, write_pages
from pipelines.batch import expand_folders
from pipelines.config import AnnotateConfig
from pipelines.detector_files import detector_states
from pipelines.fingerprint import fingerprint
from pipelines.look import confidences
from pipelines.progress import Progress, silent
from pipelines.storage import configure_filesystems, is_remote, open_folder
from pipelines.workers import LOCAL, Outcome, Report, Workers, run_everywhere

# Where a worker keeps copies of what is remote, in a temporary folder.
_INPUT, _LABELS = "input", "labels"


@dataclass(frozen=True)
class AnnotationTask:
    """One video to annotate.

    Attributes:
        folder: where the video is, path or URL.
        name: the video's name in it.
        output: folder for the label files, path or URL.
        config: the settings.
        num_bytes: of a remote video, where known.
    """

    folder: str
    name: str
    output: str
    config: AnnotateConfig
    num_bytes: int | None = None

    @property
    def location(self) -> str:
        """Path or URL of the video."""
        return f"{self.folder}/{self.name}" if is_remote(self.folder) else str(Path(self.folder) / self.name)

    @property
    def stem(self) -> str:
        """The video's name without folder and suffix, which its label files share."""
        return PurePosixPath(self.name).stem


def annotation_tasks(
    inputs: Sequence[str], output: str, config: AnnotateConfig, workers: Workers = Workers()
) -> list[AnnotationTask]:
    """One task for each video; folders, local or remote, are searched for videos.

    Raises:
        MediaError: for a folder that cannot be searched, or where there is no video at all.
        ParameterError: for settings that cannot be used, and where two videos of one name would share an output.
    """
    if not output:
        raise ParameterError("Expected an output folder. Received: an empty name")
    # Said once, before any work, rather than for every video.
    AnnotationRunner(config)
    tasks = []
    configure_filesystems(workers.runner_options, [*inputs, output])
    for given in inputs:
        if is_remote(given):
            found = _remote_videos(given)
            tasks += [AnnotationTask(folder, name, output, config, num_bytes) for folder, name, num_bytes in found]
        else:
            paths = expand_folders([Path(given)])
            # Unlike `Path.is_dir` this raises nothing for a place out of reach.
            if os.path.isdir(given):
                paths = [path for path in paths if _is_input(path.name)]
            tasks += [AnnotationTask(str(path.parent), path.name, output, config) for path in paths]
    tasks = list({task.location: task for task in tasks}.values())
    if not tasks:
        raise MediaError(f"Expected video files. Received: {', '.join(inputs)}, with none inside")
    stems = Counter(task.stem for task in tasks)
    if doubled := [task.location for task in tasks if stems[task.stem] > 1]:
        raise ParameterError(f"Inputs of one name would share an output. Received: {', '.join(doubled)}")
    return tasks


def _remote_videos(url: str) -> list[tuple[str, str, int | None]]:
    """Folder, name and size of the video or of the videos in the folder."""
    folder, _, name = url.rstrip("/").rpartition("/")
    if PurePosixPath(name).suffix.lower() in MEDIA_EXTENSIONS:
        # The size tells whether it is still the same video. Where there is none, fetching it will say so.
        return [(folder, name, open_folder(folder).names(name).get(name))]
    sizes = sorted(open_folder(url).names().items())
    return [
        (url.rstrip("/"), name, size)
        for name, size in sizes
        if _is_input(name)
    ]


def _is_input(name: str) -> bool:
    """Whether a file of a folder is a video to annotate, and not one that an earlier run drew on."""
    return PurePosixPath(name).suffix.lower() in VIDEO_EXTENSIONS and not name.endswith(SUFFIXES["overlay_video"])


def annotate_many(
    tasks: Sequence[AnnotationTask],
    workers: Workers,
    report: Report,
    progress_of: Callable[[AnnotationTask], Progress] = lambda task: silent,
) -> list[Outcome]:
    """Annotates every video; one that fails does not stop the others.

    Args:
        tasks: one for each video.
        workers: who does the work.
        report: called as `report(done, total)`.
        progress_of: gives what is told of the progress within a video, where this process does the work itself.

    Returns:
        An outcome for each task, its value as `annotate_one` describes it.

    Raises:
        ParameterError: where the runner is unknown.
        MediaError: where a worker was killed or the runner failed.
    """
    output = tasks[0].output
    exchange = f"{output.rstrip('/')}/.outcomes" if is_remote(output) else None
    run = annotate_one
    if workers.runner == LOCAL and workers.num_processes == 1:
        run = partial(_annotate_here, progress_of=progress_of)  # type: ignore[assignment]
    return run_everywhere(run, tasks, workers, report, exchange=exchange)


def write_review(tasks: Sequence[AnnotationTask], outcomes: Sequence[Outcome]) -> list[str]:
    """Writes the review pages of all videos that went well.

    Returns:
        Paths or URLs of the pages, none where no video went well.

    Raises:
        MediaError: where a page cannot be written.
    """
    stems = [tasks[outcome.index].stem for outcome in outcomes if outcome.error is None]
    output = open_folder(tasks[0].output)

    def read(name: str) -> str:
        return output.read(name).decode()

    if not is_remote(tasks[0].output):
        return [str(page) for page in write_pages(Path(tasks[0].output), stems, read)] if stems else []
    with tempfile.TemporaryDirectory() as temporary:
        pages = write_pages(Path(temporary), stems, read)
        for page in pages:
            output.publish(page, page.name)
    for name in left_over(output.names("review-"), len(pages)):
        output.delete(name)
    return [f"{output.url}/{page.name}" for page in pages]


def annotate_one(task: AnnotationTask, progress: Progress = silent) -> dict[str, Any]:
    """Annotates one video wherever this runs.

    Returns:
        JSON-safe: "input", "instruments", "label_vector" (instrument -> confidence), "files" (kind -> location),
        "kept", whether an earlier run had done it, and "remade", kinds made anew of its JSON file.

    Raises:
        MediaError, ParameterError: as `AnnotationRunner.run`.
    """
    runner = _runner(task.config, fingerprint(detector_states(task.config.detector)))
    with tempfile.TemporaryDirectory() as temporary, _naming_the_urls(task, temporary):
        source = VideoSource(task.location, task.num_bytes) if is_remote(task.folder) else None
        output = Path(task.output)
        if is_remote(task.output):
            output = Path(temporary) / _LABELS
            _fetch_earlier(task, output)
        video = Path(task.folder) / task.name
        if is_remote(task.folder):
            video = Path(temporary) / _INPUT / PurePosixPath(task.name).name
        result = runner.keep_earlier(video, output, source)
        if result is None:
            if is_remote(task.folder):
                open_folder(task.folder).fetch(task.name, video)
            result = runner.run(video, output, progress, source=source)
        files = {kind: str(path) for kind, path in result.files.items()}
        if is_remote(task.output):
            if not result.is_kept:
                _upload(result.files, task)
            for kind in result.remade:
                open_folder(task.output).publish(result.files[kind], result.files[kind].name)
            files = {kind: f"{task.output.rstrip('/')}/{path.name}" for kind, path in result.files.items()}
    return {
        "input": task.location,
        "instruments": list(result.labels.instruments),
        "label_vector": confidences(result.labels),
        "files": files,
        "kept": result.is_kept,
        "remade": list(result.remade),
    }


@contextmanager
def _naming_the_urls(task: AnnotationTask, temporary: str) -> Iterator[None]:
    """Errors about copies of this machine, which nobody else has ever seen, name what they are copies of."""
    video = os.path.join(temporary, _INPUT, PurePosixPath(task.name).name)
    try:
        yield
    except (MediaError, ParameterError) as error:
        text = str(error).replace(shown(video), shown(task.location))
        text = text.replace(os.path.join(temporary, _LABELS), shown(task.output.rstrip("/")))
        raise type(error)(text) from error


def _annotate_here(task: AnnotationTask, progress_of: Callable[[AnnotationTask], Progress]) -> dict[str, Any]:
    return annotate_one(task, progress_of(task))


def _fetch_earlier(task: AnnotationTask, folder: Path) -> None:
    """Brings the label files of an earlier run, and empty files in place of pictures: only that they exist counts.

    Where all is made anew, what a person has corrected is brought alone.
    """
    output = open_folder(task.output)
    folder.mkdir(parents=True)
    kinds = ("json",) if task.config.overwrite else FORMATS
    wanted = {f"{task.stem}{SUFFIXES[kind]}" for kind in kinds}
    for name in output.names(f"{task.stem}."):
        if name in wanted:
            output.fetch(name, folder / name)
        elif "/" not in name:
            (folder / name).touch()


def _upload(files: Mapping[str, Path], task: AnnotationTask) -> None:
    """Puts new label files in the place of older ones.

    The JSON file says how the others were made. Whenever this is stopped, none of them is older than it: all older ones
    go before it comes, and it comes first, so that a run which goes on only adds those that are missing. What a person
    corrected has a name of its own before anything goes.
    """
    folder = open_folder(task.output)
    new = {kind: path for kind, path in files.items() if kind != "checked"}
    if "checked" in files:
        folder.publish(files["checked"], files["checked"].name)
    ordered = sorted(new.values(), key=lambda path: path != new.get("json"))
    for path in reversed(ordered):
        folder.delete(path.name)
    for path in ordered:
        folder.publish(path, path.name)


@lru_cache(maxsize=1)
def _runner(config: AnnotateConfig, detector: str) -> AnnotationRunner:
    """Loaded once in each process, since networks take seconds, and again where a file of the detector has changed."""
    return AnnotationRunner(config)
