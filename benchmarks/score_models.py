"""Scores separation models on seeded mixtures of solo recordings that none of them was trained on.

    python benchmarks/score_models.py --solos DIR [--bank BANK] --models wiener,conditioned_small

`--solos` is a folder `<instrument>/*.flac`; `--bank` adds mixtures of a bank's held-out split. Every table carries
the mixture (what doing nothing scores), the static Wiener filters (what no learning scores) and the ideal ratio mask
(which is told the answer). Labels are true. SI-SDR and plain SDR in dB per stem, mean over stems; "+" columns are
the improvement over the mixture.
"""

import argparse
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from audio.baselines.oracle import ideal_ratio_mask  # noqa: E402
from audio.metrics import sdr, si_sdr  # noqa: E402
from audio.models import load_model, make_separator  # noqa: E402
from audio.resampling import resample  # noqa: E402
from audio.separator import StreamSeparator  # noqa: E402
from av_sep.datasets.mixing import set_level  # noqa: E402
from av_sep.datasets.solo_bank import open_bank  # noqa: E402
from av_sep.instruments import URMP_13  # noqa: E402
from av_sep.media import read_audio  # noqa: E402

RATE_HZ = 22050
MIXTURE_LEVEL_DB = -23.0
LEVEL_SPREAD_DB = 3.0


@dataclass(frozen=True, eq=False)
class Example:
    """References `[num_playing, time, 1]` of the instruments `names`, in taxonomy order."""

    names: tuple[str, ...]
    references: np.ndarray


def make_examples(clips, num_instruments, count, seconds, seed) -> Iterator[Example]:
    """Seeded mixtures: instruments, waveforms, crops and levels are drawn from `clips`, lists by instrument."""
    rng = np.random.default_rng((seed, num_instruments))
    for _ in range(count):
        names = sorted(rng.choice(sorted(clips), num_instruments, replace=False), key=URMP_13.index)
        sources = [_draw(clips[name], int(seconds * RATE_HZ), rng) for name in names]
        yield Example(tuple(map(str, names)), set_level(np.stack(sources)[..., None], MIXTURE_LEVEL_DB))


def _draw(waveforms, num_samples, rng):
    waveform = waveforms[rng.integers(len(waveforms))]
    start = rng.integers(max(len(waveform) - num_samples, 0) + 1)
    crop = np.take(waveform, range(start, start + num_samples), mode="wrap")
    rms = np.sqrt(np.mean(crop**2)) + 1e-9
    return (crop / rms * 10 ** (rng.normal(0, LEVEL_SPREAD_DB) / 20)).astype(np.float32)


def read_solos(directory: Path) -> dict[str, list[np.ndarray]]:
    """One channel at RATE_HZ of every file under `<instrument>/`."""
    clips: dict[str, list[np.ndarray]] = {}
    for path in sorted(directory.glob("*/*.*")):
        waveform, rate = read_audio(path)
        mono = waveform.mean(axis=1, keepdims=True)
        clips.setdefault(path.parent.name, []).append(resample(mono, rate, RATE_HZ)[:, 0])
    return clips


def read_held_out(bank_dir: Path) -> dict[str, list[np.ndarray]]:
    """The held-out sources of a bank, at RATE_HZ."""
    bank = open_bank(bank_dir, "heldout")
    return {
        name: [resample(bank.crop(name, s, 0, len(line))[:, None], bank.sample_rate_hz, RATE_HZ)[:, 0]
               for s, line in lines.items()]
        for name, lines in bank.lines.items()
    }


def read_data(bank: Path | None, solos: Path | None) -> dict[str, tuple[dict[str, list[np.ndarray]], float]]:
    """Clips by instrument and seconds of a mixture, by title, of what is given."""
    data = {}
    if bank:
        data["held-out made"] = (read_held_out(bank), 6.0)
    if solos:
        data["real solos"] = (read_solos(solos), 2.9)
    return data


def score(example: Example, separators) -> Iterator[dict]:
    """One row per stem and system."""
    mixture = example.references.sum(axis=0)
    systems = {"mixture": np.stack([mixture] * len(example.names))}
    for name, separator in separators.items():
        labels = np.array([source in example.names for source in separator.source_names], np.float32)
        estimates = separator.separate(mixture, labels, RATE_HZ)
        systems[name] = estimates[[separator.source_names.index(n) for n in example.names]]
    systems["ideal ratio mask"] = ideal_ratio_mask(mixture, example.references)
    for system, estimates in systems.items():
        for name, reference, estimate in zip(example.names, example.references, estimates, strict=True):
            base_si, base = si_sdr(reference, mixture), sdr(reference, mixture)
            si, plain = si_sdr(reference, estimate), sdr(reference, estimate)
            yield {"system": system, "instrument": name, "num_instruments": len(example.names),
                   "si_sdr": si, "si_sdr+": si - base_si, "sdr": plain, "sdr+": plain - base}


def summarize(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean over stems by system and number of instruments, systems in the order they came."""
    columns = ["si_sdr", "si_sdr+", "sdr", "sdr+"]
    order = rows["system"].drop_duplicates()
    table = rows.pivot_table(index="system", columns="num_instruments", values=columns, aggfunc="mean")
    wanted = [(column, count) for count in sorted(rows["num_instruments"].unique()) for column in columns]
    return table.loc[order, wanted].swaplevel(axis=1)


def make_parser(description: str | None, *, models: str, count: int) -> argparse.ArgumentParser:
    """A parser of the options that say which models are scored on which mixtures, with these defaults."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--solos", type=Path)
    parser.add_argument("--bank", type=Path)
    parser.add_argument("--models", default=models)
    parser.add_argument("--share-notes", choices=("yes", "no"), help="for all models, whatever their configs say")
    parser.add_argument("--count", type=int, default=count, help="mixtures per table and number of instruments")
    parser.add_argument("--num-instruments", default="2,3")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def load_separators(options: argparse.Namespace) -> dict[str, StreamSeparator]:
    """The models' names and what separates by them."""
    share_notes = None if options.share_notes is None else options.share_notes == "yes"
    return {name: make_separator(load_model(name), share_notes=share_notes) for name in options.models.split(",")}


def main() -> None:
    parser = make_parser(__doc__, models="wiener,conditioned_small", count=40)
    parser.add_argument("--csv", type=Path, help="also write every row here")
    options = parser.parse_args()
    separators = load_separators(options)
    tables = read_data(options.bank, options.solos)
    everything = []
    for title, (clips, seconds) in tables.items():
        examples = [e for n in map(int, options.num_instruments.split(","))
                    for e in make_examples(clips, n, options.count, seconds, options.seed)]
        rows = pd.DataFrame([row for example in examples for row in score(example, separators)]).assign(data=title)
        everything.append(rows)
        print(f"\n{title}, {options.count} mixtures each, true labels, mean over stems in dB\n")
        print(summarize(rows).round(2).to_string())
        print("\nSI-SDR improvement by instrument\n")
        print(rows.pivot_table(index="instrument", columns="system", values="si_sdr+").round(1).to_string())
    if options.csv and everything:
        pd.concat(everything).to_csv(options.csv, index=False)


if __name__ == "__main__":
    main()
