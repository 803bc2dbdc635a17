"""Measures what `av-sep annotate` costs: milliseconds per frame by stage, peak memory, and what `--scenes` saves.

    python benchmarks/annotate.py
    python benchmarks/annotate.py --film concert.mp4 --seconds 10,600 --hours 1,10

Three tables:

stages   a film looked at frame by frame by the embedded detector, its networks warmed up: decoding, person boxes,
         cutting out what the classifier sees, the classifier, the rest of the detector, pooling.
films    `av-sep annotate` as a process of its own on a film in which nothing moves (a still of the demo film), with and
         without --scenes: seconds and peak resident memory of the process, start-up included.
hours    a stand-in for a long film: made detections of five players and the whole frame at one frame a second, pooled
         and written as JSON, CSV and COCO: seconds, and peak memory beyond what the program itself takes.

Writes nothing outside a temporary folder.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from av_sep.instruments import URMP_13
from av_sep.media import ffmpeg_executable, probe, video_frames
from av_sep.types import Detection, MediaInfo, VideoFrame
from pipelines.annotation.content import Annotation, find_player_numbers
from pipelines.annotation.formats import WRITERS
from pipelines.annotation.provenance import VideoSource, describe_making
from pipelines.config import AnnotateConfig
from pipelines.look import MAX_FRAME_HEIGHT, Sighting
from vision import embedded_detector
from vision.labels import players_and_labels

DEMO = Path(__file__).parents[1] / "examples" / "demo" / "demo.mp4"
NUM_WARM_UP = 3  # frames; the first ones build the networks' graphs


class Stopwatch:
    """Seconds spent in functions, by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def timed(self, stage: str, function: Callable) -> Callable:
        def run(*args, **kwargs):
            started = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds[stage] += time.perf_counter() - started

        return run


def measure_stages(film: Path, frames_per_second: float) -> tuple[int, dict[str, float]]:
    """Number of frames, and seconds by stage."""
    detector, watch = embedded_detector.EmbeddedDetector(), Stopwatch()
    frames = list(_first(film, frames_per_second, NUM_WARM_UP))
    detector.detect(frames)
    detector.player_detector.look = watch.timed("person boxes", detector.player_detector.look)  # type: ignore
    detector.classifier.classify = watch.timed("classifier", detector.classifier.classify)  # type: ignore
    embedded_detector.plan_views = watch.timed("cutting out", embedded_detector.plan_views)
    detect = watch.timed("detector", detector.detect_frame)
    source = video_frames(film, frames_per_second=frames_per_second, max_height=MAX_FRAME_HEIGHT)
    take = watch.timed("decoding", lambda: next(source, None))
    detections: list[Detection] = []
    num_frames = 0
    while (frame := take()) is not None:
        detections += detect(frame)
        num_frames += 1
    watch.timed("pooling", players_and_labels)(detections, detector.taxonomy)
    seconds = dict(watch.seconds)
    inner = sum(seconds[stage] for stage in ("person boxes", "cutting out", "classifier"))
    seconds["rest of the detector"] = seconds.pop("detector") - inner
    return num_frames, seconds


def _first(film: Path, frames_per_second: float, number: int) -> Iterator[VideoFrame]:
    frames = video_frames(film, frames_per_second=frames_per_second, max_height=MAX_FRAME_HEIGHT)
    yield from (frame for _, frame in zip(range(number), frames))
    frames.close()


def write_still(film: Path, seconds: float, path: Path) -> None:
    """A film of one picture of another, for so long."""
    picture = ("-ss", "1", "-i", film, "-frames:v", "1", path.with_suffix(".png"))
    loop = ("-loop", "1", "-framerate", "5", "-t", seconds, "-i", path.with_suffix(".png"))
    encoding = ("-pix_fmt", "yuv420p", "-preset", "ultrafast", path)
    for arguments in (picture, (*loop, *encoding)):
        subprocess.run([ffmpeg_executable(), "-y", "-loglevel", "error", *map(str, arguments)], check=True)


def measure_command(command: list[str]) -> tuple[float, float]:
    """Wall-clock seconds of a command and its peak resident memory in MB."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, *command], check=True, capture_output=True, text=True)
    return time.perf_counter() - started, int(done.stdout.split()[-1]) / 1024


def made_detections(num_frames: int, num_players: int = 5) -> Iterator[Detection]:
    """Players who sit in a row, with noisy boxes and confidences, and the whole frame."""
    rng = np.random.default_rng(0)
    for frame in range(num_frames):
        for player in range(num_players):
            vector = 0.3 * rng.dirichlet(np.full(13, 0.3))
            vector[player] += 0.6
            x1, y1, x2, y2 = np.array([150.0 * player, 100, 150 * player + 120, 400]) + rng.normal(size=4)
            box, confidences = (float(x1), float(y1), float(x2), float(y2)), tuple(vector.tolist())
            name, surest = URMP_13.names[player], float(vector.max())
            yield Detection(float(frame), box, name, surest, confidences, float(rng.random()))
        vector = rng.random(13)
        whole = (0.0, 0.0, 900.0, 500.0)
        yield Detection(float(frame), whole, "tuba", 0.5, tuple(vector.tolist()), whole_frame=True)


def measure_hours(hours: float, folder: Path) -> None:
    """Prints a line of the table of hours; to be called in a process of its own."""
    before = _peak_mb()
    num_frames = round(3600 * hours)
    detections = tuple(made_detections(num_frames))
    held, started = _peak_mb(), time.perf_counter()
    players, labels = players_and_labels(detections)
    numbers = find_player_numbers(detections, players)
    pooled, pooling = _peak_mb(), time.perf_counter() - started
    times = tuple(map(float, range(num_frames)))
    sighting = Sighting(labels, detections, (), num_frames, (900, 500), players, times)
    info = MediaInfo(Path("long.mp4"), 3600 * hours)
    made = describe_making(AnnotateConfig(), labels.threshold, VideoSource("long.mp4"))
    annotation = Annotation(info, "long.mp4", sighting, URMP_13, "made", made, detections, numbers, 1.0)
    started = time.perf_counter()
    for kind in ("json", "csv", "coco"):
        WRITERS[kind](folder / kind, annotation)
    writing, peaks = time.perf_counter() - started, [peak - before for peak in (held, pooled, _peak_mb())]
    sizes = " + ".join(f"{(folder / kind).stat().st_size / 1e6:.0f}" for kind in ("json", "csv", "coco"))
    memory = "   ".join(f"{peak:13.0f}" for peak in peaks)
    print(f"{hours:5g}   {num_frames:6d}   {memory}   {pooling:9.1f}   {writing:9.1f}   {sizes}", flush=True)


def _peak_mb() -> float:
    # Of this program alone: getrusage's peak is inherited from whoever started it.
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def print_stages(film: Path, frames_per_second: float) -> None:
    info = probe(film)
    num_frames, seconds = measure_stages(film, frames_per_second)
    print(f"{film.name}, {info.width} x {info.height}, {num_frames} frames at {frames_per_second:g} per second\n")
    print("stage                   ms per frame")
    for stage, spent in sorted(seconds.items(), key=lambda item: -item[1]):
        print(f"{stage:22}   {1000 * spent / num_frames:11.1f}")
    print(f"{'together':22}   {1000 * sum(seconds.values()) / num_frames:11.1f}", flush=True)


def print_films(film: Path, lengths: list[float], folder: Path) -> None:
    print("\nseconds of still film   --scenes   seconds   peak memory MB")
    for length in lengths:
        path = folder / f"{length:g}.mp4"
        write_still(film, length, path)
        for scenes in (False, True):
            options = ["-o", str(folder / "out"), "--overwrite", *(["--scenes"] if scenes else [])]
            seconds, memory = measure_command([sys.executable, "-m", "pipelines", "annotate", str(path), *options])
            print(f"{length:21g}   {'yes' if scenes else 'no':>8}   {seconds:7.1f}   {memory:14.0f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--film", type=Path, default=DEMO)
    parser.add_argument("--fps", type=float, default=2.0)
    parser.add_argument("--seconds", default="10,300", help="Lengths of the still films.")
    parser.add_argument("--hours", default="1,10", help="Lengths of the made detections (Linux only).")
    parser.add_argument("--one-hour-line", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.one_hour_line is not None:
            measure_hours(options.one_hour_line, Path(folder))
            return
        print_stages(options.film, options.fps)
        print_films(options.film, list(map(float, options.seconds.split(","))), Path(folder))
    columns = ("detections MB", " + pooling MB", " + writing MB", "pooling s", "writing s", "files MB")
    print("\n" + "   ".join(("hours", "frames", *columns)), flush=True)
    for hours in options.hours.split(","):
        subprocess.run([sys.executable, __file__, "--one-hour-line", hours], check=True)


if __name__ == "__main__":
    main()
