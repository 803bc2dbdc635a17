"""Add chamber pieces to a bank of solo lines, so that training hears players who play together.

    av-sep prepare synthetic -o PIECES --sample-rate 22050 --channels 1 --no-video …
    python benchmarks/add_ensembles.py BANK PIECES [PIECES …]

The pieces stand one after the other on one time axis; each instrument's line `train/<instrument>/ensembles.npy` holds
its parts and is exactly silent where it has none. See `MixingConfig.related_probability`. A bank takes pieces once, all
in one call, because others could not join their time axis.
"""

import json
from pathlib import Path

import click
import numpy as np

from av_sep.datasets.note_samples import read_mono
from av_sep.datasets.solo_bank import ENSEMBLES, save_line
from av_sep.datasets.urmp import open_urmp


@click.command()
@click.argument("bank", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("pieces", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(bank: Path, pieces: tuple[Path, ...]) -> None:
    """Add ensembles in URMP's layout to the training side of BANK."""
    _require_none(bank)
    content = json.loads((bank / "bank.json").read_text())
    rate_hz = content["sample_rate_hz"]
    parts: list[tuple[str, int, np.ndarray]] = []
    num_samples = 0
    for track in (track for folder in pieces for track in open_urmp(folder).tracks):
        sounds = [(part.instrument, read_mono(part.sound.path, rate_hz)) for part in track.parts]
        parts += [(instrument, num_samples, sound) for instrument, sound in sounds]
        num_samples += max(len(sound) for _, sound in sounds)
    for instrument in sorted({instrument for instrument, _, _ in parts}):
        line = np.zeros(num_samples, np.float32)
        for sound, begin in ((sound, begin) for name, begin, sound in parts if name == instrument):
            line[begin : begin + len(sound)] += sound
        content["files"].append(save_line(bank, "train", instrument, ENSEMBLES, line, rate_hz))
    (bank / "bank.json").write_text(json.dumps(content, indent=1) + "\n")
    click.echo(f"{num_samples / rate_hz / 60:.1f} minutes of {len(parts)} parts")


def _require_none(bank: Path) -> None:
    """Refuses a bank with ensembles: lines of instruments that these pieces lack would stay on another time axis."""
    earlier = sorted((bank / "train").glob(f"*/{ENSEMBLES}.npy"))
    if earlier:
        raise click.ClickException(
            "Expected a bank without ensembles; name all pieces in one call, on a new copy of the bank."
            f" Received: {earlier[0]}{f' and {len(earlier) - 1} more' if earlier[1:] else ''}"
        )


if __name__ == "__main__":
    main()
