r"""Render a bank of solo lines, minutes of one instrument alone, for training and scoring a separator.

    python benchmarks/make_solo_bank.py --data AUDIO_FOLDER --output BANK \
        --soundfont FluidR3=/path/FluidR3_GM.sf2 --soundfont TimGM6mb=/path/TimGM6mb.sf2

`AUDIO_FOLDER` holds `notes/<library>/<instrument>/*.ogg` and, where there are any, real performances as
`solos/<collection>/<instrument>/*.ogg`. The bank holds `train/<instrument>/<source>.npy` and
`heldout/<instrument>/<source>.npy`, int16 `[time]`, and `bank.json`, which lists them. Training and
held-out material differ by whole sources, so that a score on the latter says how the separator takes to players, rooms
and microphones it has never heard.

Cost: about 5 minutes with two processes for 26 minutes of sound for each of 13 instruments.
"""

import json
import multiprocessing
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import soxr

from av_sep.datasets.instrument_ranges import VOICES, full_range, voices
from av_sep.datasets.melodies import random_line
from av_sep.datasets.note_samples import NoteSample, SampleSet, index_note_samples, load_sample_set
from av_sep.datasets.solo_bank import save_line
from av_sep.datasets.solo_lines import join_lines, real_solos, render_samples, shorten_pauses
from av_sep.datasets.soundfonts import render_soundfont
from av_sep.instruments import URMP_13

HELD_OUT = "TimGM6mb,iowa,dsmolken.double-bass,EthanWiner.Soundfonts,karoryfer.weresax,Ixox.Flute"
_LINE_SECONDS = (12.0, 26.0)
_LINES_PER_SOUNDFONT_RUN = 10
_MAX_SOLO_SECONDS = 900.0
_ARTICULATION_SHARES = {"ordinary": 0.92, "pizzicato": 0.05, "muted": 0.03}
_MIN_NOTES = 6
_PHRASE_SHARE = 0.2


@dataclass(frozen=True)
class Job:
    """One file of the bank.

    Attributes:
        kind: "samples", "soundfont" or "solos".
        instrument: long name.
        source: library, soundfont or collection.
        split: "train" or "heldout".
        seconds: how much to render.
        samples: index entries, for kind "samples".
        path: soundfont or folder, for the others.
    """

    kind: str
    instrument: str
    source: str
    split: str
    seconds: float
    samples: tuple[NoteSample, ...] = ()
    path: str = ""


def _seconds_of(lines: list[np.ndarray], sample_rate_hz: int) -> float:
    return sum(len(line) for line in lines) / sample_rate_hz


def _articulations(sample_set: SampleSet) -> tuple[list[SampleSet], np.ndarray]:
    """The set by articulation, and how often each is played (shares, 0 for sets too small)."""
    subsets = [sample_set.with_articulation(name) for name in _ARTICULATION_SHARES]
    sizes = np.array([len(subset.notes) for subset in subsets])
    shares = np.array(list(_ARTICULATION_SHARES.values())) * (sizes >= _MIN_NOTES)
    if not shares.any():
        shares = (sizes == sizes.max()).astype(float)
    return subsets, shares / shares.sum()


def phrase_lines(
    sample_set: SampleSet, seconds: float, sample_rate_hz: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """The library's own phrases in random order, each once, until there are enough; float32 `[time]` each."""
    lines: list[np.ndarray] = []
    for i in rng.permutation(len(sample_set.phrases)):
        if _seconds_of(lines, sample_rate_hz) >= seconds:
            break
        phrase = soxr.resample(sample_set.phrases[i], sample_set.sample_rate_hz, sample_rate_hz)
        lines.append(shorten_pauses(phrase, sample_rate_hz))
    return lines


def sampled_lines(job: Job, sample_rate_hz: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Enough lines of one sample library, float32 `[time]` each."""
    sample_set = load_sample_set(job.samples)
    subsets, shares = _articulations(sample_set)
    lowest, highest = full_range(job.instrument)
    lines = phrase_lines(sample_set, job.seconds * _PHRASE_SHARE, sample_rate_hz, rng)
    while _seconds_of(lines, sample_rate_hz) < job.seconds:
        subset = subsets[int(rng.choice(len(subsets), p=shares))]
        bottom, top = subset.pitch_range()
        low, high = max(lowest, bottom), min(highest, top)
        members = voices(job.instrument)
        usual = members[int(rng.integers(len(members)))].usual
        notes = random_line(rng.uniform(*_LINE_SECONDS), low, high, usual, rng)
        lines.append(shorten_pauses(render_samples(notes, subset, sample_rate_hz, rng), sample_rate_hz))
    return [lines[i] for i in rng.permutation(len(lines))]


def soundfont_lines(job: Job, sample_rate_hz: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Enough lines of one soundfont, float32 `[time]` each."""
    members = voices(job.instrument)
    lines: list[np.ndarray] = []
    while _seconds_of(lines, sample_rate_hz) < job.seconds:
        scores = []
        for _ in range(_LINES_PER_SOUNDFONT_RUN):
            voice = members[int(rng.integers(len(members)))]
            notes = random_line(rng.uniform(*_LINE_SECONDS), *voice.full, voice.usual, rng)
            scores.append((voice.program, notes))
        rendered = render_soundfont(scores, job.path, sample_rate_hz, rng)
        lines.extend(shorten_pauses(line, sample_rate_hz) for line in rendered)
    return lines


def render_job(job: Job, output: Path, sample_rate_hz: int, seed: int) -> dict[str, object]:
    """Render one file of the bank and return its entry in bank.json."""
    started = time.time()
    rng = np.random.default_rng([seed, zlib.crc32(f"{job.source}/{job.instrument}".encode())])
    if job.kind == "samples":
        lines = sampled_lines(job, sample_rate_hz, rng)
    elif job.kind == "soundfont":
        lines = soundfont_lines(job, sample_rate_hz, rng)
    else:
        lines = real_solos(job.path, sample_rate_hz, job.seconds)
    waveform = join_lines(lines, sample_rate_hz, rng)[: int(job.seconds * sample_rate_hz)]
    entry = save_line(output, job.split, job.instrument, job.source, waveform, sample_rate_hz)
    seconds, taken = entry["seconds"], time.time() - started
    click.echo(f"{job.split:8s}{job.instrument:12s}{job.source:28s}{seconds:7.1f} s in {taken:5.1f} s")
    return entry


def sample_jobs(notes_folder: Path, minutes: float, held_out: set[str]) -> list[Job]:
    """One job for each library and instrument; training minutes are shared by the size of the libraries."""
    groups: dict[tuple[str, str], list[NoteSample]] = {}
    for sample in index_note_samples(notes_folder, URMP_13.names):
        groups.setdefault((sample.instrument, sample.library), []).append(sample)
    jobs = []
    for (instrument, library), samples in groups.items():
        if library in held_out:
            jobs.append(Job("samples", instrument, library, "heldout", minutes * 10.0, tuple(samples)))
            continue
        rivals = [name for other, name in groups if other == instrument and name not in held_out]
        num_bytes = {name: sum(sample.path.stat().st_size for sample in groups[instrument, name]) for name in rivals}
        seconds = 60.0 * minutes * num_bytes[library] / sum(num_bytes.values())
        jobs.append(Job("samples", instrument, library, "train", seconds, tuple(samples)))
    return jobs


def soundfont_jobs(soundfonts: dict[str, str], minutes: float, held_out: set[str]) -> list[Job]:
    """One job for each soundfont and instrument: half as many minutes as from samples, a sixth where held out."""
    jobs = []
    for source, path in soundfonts.items():
        split, seconds = ("heldout", minutes * 10.0) if source in held_out else ("train", minutes * 30.0)
        jobs.extend(Job("soundfont", instrument, source, split, seconds, path=path) for instrument in VOICES)
    return jobs


def solo_jobs(solos_folder: Path, held_out: set[str]) -> list[Job]:
    """One job for each collection and instrument of real solos."""
    jobs = []
    for folder in sorted(path for path in solos_folder.glob("*/*") if path.name in URMP_13.names):
        source = folder.parent.name
        split = "heldout" if source in held_out else "train"
        jobs.append(Job("solos", folder.name, source, split, _MAX_SOLO_SECONDS, path=str(folder)))
    return jobs


def _render(arguments: tuple[Job, Path, int, int]) -> dict[str, object]:
    return render_job(*arguments)


def _named_paths(pairs: tuple[str, ...]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise click.UsageError(f"--soundfont expects NAME=PATH. Received: {pair}")
    return dict(pair.split("=", 1) for pair in pairs)


@click.command()
@click.option("--data", required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--output", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--minutes-per-instrument", default=12.0, show_default=True, help="Training minutes from samples.")
@click.option("--seed", default=0, show_default=True)
@click.option("--sample-rate", default=16000, show_default=True, help="Hz.")
@click.option("--soundfont", multiple=True, metavar="NAME=PATH", help="May be repeated.")
@click.option("--held-out", default=HELD_OUT, show_default=True, help="Comma-separated sources kept out of training.")
@click.option("--instruments", default="", help="Comma-separated; all by default.")
@click.option("--processes", default=2, show_default=True)
def main(
    data: Path, output: Path, minutes_per_instrument: float, seed: int, sample_rate: int, soundfont: tuple[str, ...],
    held_out: str, instruments: str, processes: int,
) -> None:  # fmt: skip
    """Render the bank."""
    held = set(held_out.split(","))
    jobs = sample_jobs(data / "notes", minutes_per_instrument, held) + solo_jobs(data / "solos", held)
    jobs += soundfont_jobs(_named_paths(soundfont), minutes_per_instrument, held)
    if instruments:
        jobs = [job for job in jobs if job.instrument in URMP_13.parse_list(instruments)]
    jobs.sort(key=lambda job: -job.seconds)
    with multiprocessing.Pool(processes) as pool:
        entries = pool.map(_render, [(job, output, sample_rate, seed) for job in jobs], chunksize=1)
    entries.sort(key=lambda entry: (entry["split"], URMP_13.index(str(entry["instrument"])), entry["source"]))
    content = {"sample_rate_hz": sample_rate, "seed": seed, "files": entries}
    (output / "bank.json").write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
