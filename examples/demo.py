"""Separate the demo performance and score every stem against the truth.

    python examples/demo.py

The film in examples/demo shows a violin, a cello and a trumpet; their true stems lie beside it. Nothing but the film is
given to the separator: the instruments are read off its pictures. Each score is printed beside the mixture's own, which
is what one gets by doing nothing.

Cost: about a minute on two cores.
"""

import json
import sys
from pathlib import Path

import click
import numpy as np

import av_sep
from audio.metrics import sdr, si_sdr
from av_sep.errors import MediaError, ParameterError
from av_sep.instruments import URMP_13
from av_sep.media import read_audio
from av_sep.types import SeparationResult
from pipelines.progress import TerminalProgress
from pipelines.quiet import silence_native_libraries

DEMO = Path(__file__).parent / "demo"


@click.command()
@click.option("--output", type=click.Path(path_type=Path), default=Path("out"), show_default=True)
@click.option("--instruments", default=None, help="Comma-separated, instead of looking at the pictures: 'vn,vc,tpt'.")
@click.option("--model", default="default", show_default=True, help="A packaged model, or the path of a .keras file.")
def main(output: Path, instruments: str | None, model: str) -> None:
    """Separate examples/demo/demo.mp4 and print the scores of its stems."""
    silence_native_libraries()
    demo = json.loads((DEMO / "demo.json").read_text())
    click.echo(f"{demo['title']}\nSeparating {DEMO / demo['video']} ...")
    names = URMP_13.parse_list(instruments) if instruments else None
    try:
        with TerminalProgress(demo["video"], shown=sys.stderr.isatty()) as bar:
            settings = {"instruments": names, "model": model, "overwrite": True}
            result = av_sep.separate(DEMO / demo["video"], output, progress=bar, **settings)
    except (ParameterError, MediaError) as error:
        raise click.ClickException(str(error)) from error
    references = {name: read_audio(DEMO / path)[0] for name, path in demo["stems"].items()}
    mixture, _ = read_audio(DEMO / demo["video"])
    click.echo("\n".join([*describe(result), "", *score_table(result, references, mixture)]))


def describe(result: SeparationResult) -> list[str]:
    """What was found and where it was written, line by line."""
    labels = result.labels
    confidences = dict(zip(labels.taxonomy, labels.label_vector))
    found = ", ".join(f"{name.replace('_', ' ')} ({confidences[name]:.2f})" for name in labels.instruments)
    lines = ["", f"Instruments, {labels.origin}: {found or 'none'}"]
    lines += [f"  {path}" for path in result.stems.values()]
    return [*lines, f"Page with pictures and players: {result.report}"]


def score_table(result: SeparationResult, references: dict[str, np.ndarray], mixture: np.ndarray) -> list[str]:
    """A line for each stem: SDR and SI-SDR in dB of the mixture and of the estimate, higher is better.

    Args:
        result: what the separator wrote.
        references: true stems by instrument, float `[time, channels]`.
        mixture: the film's sound, float `[time, channels]`.
    """
    lines = [
        "                      SDR (dB)                    SI-SDR (dB)",
        "stem          mixture   estimate   gain    mixture   estimate   gain",
    ]
    for name, reference in references.items():
        if name not in result.stems:
            lines.append(f"{name:<12}  missed: no such stem was written")
            continue
        estimate, _ = read_audio(result.stems[name])
        scores = []
        for metric in (sdr, si_sdr):
            before, after = metric(reference, mixture), metric(reference, estimate)
            scores.append(f"{before:7.1f}   {after:8.1f}  {after - before:+5.1f}")
        lines.append(f"{name:<12}  {'    '.join(scores)}")
    lines += [f"{name:<12}  not on the stage" for name in result.stems if name not in references]
    return lines


if __name__ == "__main__":
    main()
