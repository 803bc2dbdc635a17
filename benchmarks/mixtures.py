"""What the scripts that score on seeded mixtures share: recordings of one instrument each, mixtures of them, options.

Recordings are `--solos`, a folder `<instrument>/*.flac`, and the held-out split of a `--bank`.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from audio.models import load_model, make_separator
from audio.resampling import resample
from audio.separator import StreamSeparator
from av_sep.datasets.mixing import set_level
from av_sep.datasets.solo_bank import open_bank
from av_sep.instruments import URMP_13
from av_sep.media import read_audio

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


def read_solos(directory: Path, rate_hz: int = RATE_HZ) -> dict[str, list[np.ndarray]]:
    """One channel, at a rate, of every file under `<instrument>/`."""
    clips: dict[str, list[np.ndarray]] = {}
    for path in sorted(directory.glob("*/*.*")):
        waveform, rate = read_audio(path)
        mono = waveform.mean(axis=1, keepdims=True)
        clips.setdefault(path.parent.name, []).append(resample(mono, rate, rate_hz)[:, 0])
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


class MixtureParser(argparse.ArgumentParser):
    """A parser of the options that say which mixtures are scored.

    Args:
        description: the script's own.
        count: mixtures by default.
    """

    def __init__(self, description: str | None, *, count: int):
        super().__init__(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
        self.add_argument("--solos", type=Path, help="recorded solos, <instrument>/<files>")
        self.add_argument("--bank", type=Path, help="bank of solo lines, whose held-out split is scored on")
        self.add_argument("--count", type=int, default=count, help="mixtures per table and number of instruments")
        self.add_argument("--num-instruments", default="2,3")
        self.add_argument("--seed", type=int, default=0)

    def add_model_options(self, models: str) -> None:
        """Options that say which models are scored, these by default; see `load_separators`."""
        self.add_argument("--models", default=models)
        self.add_argument("--share-notes", choices=("yes", "no"), help="for all models, whatever their configs say")

    def parse_args(self, args=None, namespace=None):
        options = super().parse_args(args, namespace)
        if not (options.solos or options.bank):
            self.error("Expected --solos or --bank. Received: neither")
        return options


def load_separators(options: argparse.Namespace) -> dict[str, StreamSeparator]:
    """The models' names and what separates by them."""
    share_notes = None if options.share_notes is None else options.share_notes == "yes"
    return {name: make_separator(load_model(name), share_notes=share_notes) for name in options.models.split(",")}
