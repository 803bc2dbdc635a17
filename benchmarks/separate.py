"""Measures what a separation costs: real-time factor and peak memory of long recordings, and the time of `--help`.

    python benchmarks/separate.py --minutes 1,10,60

Every run is a process of its own on made stereo sound at 44.1 kHz with two named instruments. The real-time factor is
seconds of computing per second of sound (below 1 is faster than real time), start-up included. Peak memory is the
largest resident set of the separating process. Writes nothing outside a temporary folder, which needs about 4 GB for 60
minutes.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from av_sep.media import AudioWriter

RATE_HZ = 44100


def write_recording(path: Path, minutes: float) -> None:
    """A stereo recording of slowly changing tones and noise, written minute by minute."""
    rng = np.random.default_rng(0)
    with AudioWriter(path, RATE_HZ, 2, bit_depth=16) as writer:
        for minute in range(round(minutes)):
            times = minute * 60 + np.arange(60 * RATE_HZ) / RATE_HZ
            tones = sum(0.1 * np.sin(2 * np.pi * f * times) for f in (98 + minute % 12, 660 - minute % 12, 1320))
            writer.write((tones[:, None] + 0.01 * rng.normal(size=(len(times), 2))).astype(np.float32))


def measure(command: list[str]) -> tuple[float, float]:
    """Wall-clock seconds of a command and the peak resident memory in MB of the largest process it started."""
    probe = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", probe, *command], check=True, capture_output=True, text=True)
    return time.perf_counter() - started, int(done.stdout.split()[-1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", default="1,10,60")
    parser.add_argument("--model", default="default")
    options = parser.parse_args()
    program = [sys.executable, "-m", "pipelines"]
    seconds, _ = min(measure([*program, "--help"]) for _ in range(5))
    bare, _ = min(measure([sys.executable, "-c", "pass"]) for _ in range(5))
    print(f"av-sep --help: {seconds - bare:.2f} s more than an empty Python program ({bare:.2f} s)")
    print(f"\nmodel {options.model}, stereo 44.1 kHz, 2 instruments\n")
    print("minutes   seconds   real-time factor   peak memory MB   vs shortest")
    first = None
    with tempfile.TemporaryDirectory() as folder:
        for minutes in map(float, options.minutes.split(",")):
            recording = Path(folder) / f"{minutes:g}.wav"
            write_recording(recording, minutes)
            arguments = ["separate", recording, "--instruments", "vn,vc", "--model", options.model, "--quiet"]
            command = [*program, *map(str, arguments), "-o", str(Path(folder) / "out"), "--overwrite"]
            seconds, memory = measure(command)
            first = first or memory
            factor = seconds / (60 * minutes)
            row = f"{minutes:7g}   {seconds:7.1f}   {factor:16.3f}   {memory:14.0f}   {memory / first:11.2f}"
            print(row, flush=True)


if __name__ == "__main__":
    main()
