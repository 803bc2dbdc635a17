"""Writes sounds to compare by ear: mixtures, their stems, and what each model makes of them, with a page to play them.

    python benchmarks/listening_examples.py scores/data/real_solos listening --models wiener,nmf,default --tracks 6

`TRACKS` holds `<track>/<instrument>.flac`, as `benchmarks/scoreboard.py` makes them. Labels are true. All sounds of a
track share one gain, so that they compare. `listening/index.html` plays them side by side.
"""

from pathlib import Path

import click
import numpy as np
from jinja2 import Template

from audio.metrics import si_sdr
from audio.models import load_model, make_separator, resolve_name
from av_sep.instruments import URMP_13
from av_sep.media import AudioWriter, read_audio

PEAK = 0.7
PAGE = Template(
    """<!doctype html><meta charset="utf-8"><title>Listening examples</title>
<style>body{font:15px sans-serif;margin:2em auto;max-width:70em}td,th{padding:.3em .8em;text-align:left}
audio{width:15em;height:2.2em}</style><h1>Listening examples</h1>
<p>SI-SDR in dB beside each estimate, and what it gains over the mixture. One gain for all sounds of a track.</p>
{% for track in tracks %}<h2>{{ track.name }}</h2>
<p>mixture <audio controls preload="none" src="{{ track.mixture }}"></audio></p>
<table><tr><th></th>{% for system in systems %}<th>{{ system }}</th>{% endfor %}</tr>
{% for row in track.rows %}<tr><th>{{ row.instrument }}</th>{% for cell in row.cells %}
<td><audio controls preload="none" src="{{ cell.file }}"></audio><br>{{ cell.score }}</td>{% endfor %}</tr>
{% endfor %}</table>{% endfor %}""",
    autoescape=True,
)


def read_track(folder: Path) -> tuple[list[str], np.ndarray, int]:
    """Names in the taxonomy's order, references `[num_sources, time, 1]` and their rate in Hz."""
    paths = sorted(folder.glob("*.flac"), key=lambda path: URMP_13.index(path.stem))
    sounds = [read_audio(path) for path in paths]
    references = np.stack([waveform.mean(axis=1, keepdims=True) for waveform, _ in sounds])
    return [path.stem for path in paths], references.astype(np.float32), sounds[0][1]


def write(path: Path, waveform: np.ndarray, rate_hz: int) -> str:
    """Writes a sound and returns its file name."""
    with AudioWriter(path, rate_hz, waveform.shape[1], file_format="flac", bit_depth=24) as writer:
        writer.write(waveform)
    return path.name


def make_track(folder: Path, output: Path, separators: dict) -> dict:
    """Writes the sounds of a track; what the page tells of it."""
    names, references, rate_hz = read_track(folder)
    mixture = references.sum(axis=0)
    gain = PEAK / max(np.abs(mixture).max(), np.abs(references).max(), 1e-9)
    rows = [{"instrument": name, "cells": []} for name in names]
    for name, reference, row in zip(names, references, rows):
        file = write(output / f"{folder.name}_{name}_reference.flac", gain * reference, rate_hz)
        row["cells"].append({"file": file, "score": ""})
    for system, separator in separators.items():
        labels = np.array([name in names for name in separator.source_names], np.float32)
        estimates = separator.separate(mixture, labels, rate_hz)
        for name, reference, row in zip(names, references, rows):
            estimate = estimates[separator.source_names.index(name)]
            score = si_sdr(reference, estimate)
            file = write(output / f"{folder.name}_{name}_{system}.flac", gain * estimate, rate_hz)
            row["cells"].append({"file": file, "score": f"{score:.1f} ({score - si_sdr(reference, mixture):+.1f})"})
    return {
        "name": f"{folder.name}: {', '.join(names)}",
        "mixture": write(output / f"{folder.name}_mixture.flac", gain * mixture, rate_hz),
        "rows": rows,
    }


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.argument("tracks", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--models", default="wiener,nmf,default", show_default=True)
@click.option("--tracks", "count", default=6, show_default=True, help="How many, evenly among all.")
def main(tracks: Path, output: Path, models: str, count: int) -> None:
    folders = sorted(path for path in tracks.iterdir() if path.is_dir())
    chosen = [folders[i] for i in np.linspace(0, len(folders) - 1, min(count, len(folders))).astype(int)]
    separators = {resolve_name(name): make_separator(load_model(name)) for name in models.split(",")}
    output.mkdir(parents=True, exist_ok=True)
    told = [make_track(folder, output, separators) for folder in chosen]
    page = PAGE.render(tracks=told, systems=["reference", *separators])
    (output / "index.html").write_text(page, encoding="utf-8")
    click.echo(f"{output / 'index.html'}: {len(told)} tracks, {len(separators)} models")


if __name__ == "__main__":
    main()
