"""What it is worth to hear who rests when: separates seeded mixtures in which players rest, gating rests and not.

    python benchmarks/rests.py --solos DIR [--bank BANK] --models default,conditioned_small [--extra]

Every instrument plays a line of its own; seven of ten, one at least, rest for 5 to 8 of 20 seconds. Lines of real
solos are phrases of one instrument strung together. With `--extra` one instrument is labelled that never plays; labels
are then taken for guesses (see `audio.activity`), else for true. Prints for each model, gating and not, mean and median
of the SI-SDR gain over the mixture, the 5 % quantile of what gating changes of it, how far below the mixture a resting
player's estimate lies during the rest (median, and share of those 30 dB down), and that of the instrument that never
plays; all in dB.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from mixtures import RATE_HZ, Example, MixtureParser, load_separators, make_examples, read_held_out, read_solos

from audio.activity_detector import load_activity_detector
from audio.metrics import level_below_mixture_db, si_sdr
from av_sep.instruments import URMP_13

SECONDS = 20
REST_PROBABILITY = 0.7
REST_SECONDS = (5.0, 8.0)
EDGE_SECONDS = 0.5  # of a rest, in which the last note rings and the next one begins
CLIPS_PER_LINE = 8
LINES_PER_INSTRUMENT = 4


@dataclass(frozen=True, eq=False)
class RestingExample:
    """An example, where each of its players rests (samples; None for who does not), and who never plays."""

    example: Example
    rests: tuple[tuple[int, int] | None, ...]
    extra: str


def strung_together(clips: dict[str, list[np.ndarray]], seed: int) -> dict[str, list[np.ndarray]]:
    """Lines of clips of one instrument each, at equal levels, in random order."""
    rng = np.random.default_rng(seed)
    leveled = {name: [clip / (np.sqrt(np.mean(clip**2)) + 1e-9) for clip in parts] for name, parts in clips.items()}
    return {
        name: [
            np.concatenate([parts[i] for i in rng.permutation(len(parts))[:CLIPS_PER_LINE]])
            for _ in range(LINES_PER_INSTRUMENT)
        ]
        for name, parts in leveled.items()
    }


def read_lines(options) -> dict[str, dict[str, list[np.ndarray]]]:
    """Lines by instrument, by title, of what the options name."""
    data = {}
    if options.bank:
        data["held-out made"] = read_held_out(options.bank)
    if options.solos:
        data["real solos"] = strung_together(read_solos(options.solos), options.seed)
    return data


def make_resting(clips, num_instruments: int, count: int, seed: int) -> Iterator[RestingExample]:
    """Seeded examples whose players rest."""
    rng = np.random.default_rng((seed, num_instruments))
    for example in make_examples(clips, num_instruments, count, SECONDS, seed):
        resting = rng.random(num_instruments) < REST_PROBABILITY
        resting[rng.integers(num_instruments)] = True
        references, rests = example.references.copy(), []
        for reference, rests_at_all in zip(references, resting, strict=True):
            length = int(rng.uniform(*REST_SECONDS) * RATE_HZ)
            start = int(rng.integers(SECONDS * RATE_HZ - length))
            if rests_at_all:
                reference[start : start + length] = 0
            rests.append((start, start + length) if rests_at_all else None)
        others = [name for name in URMP_13.names if name not in example.names]
        yield RestingExample(Example(example.names, references), tuple(rests), str(rng.choice(others)))


def score(resting: RestingExample, separator, detector, with_extra: bool) -> Iterator[dict]:
    """A row per estimate, gated and not."""
    example, names = resting.example, list(separator.source_names)
    mixture = example.references.sum(axis=0)
    labelled = [name for name in names if name in example.names or (with_extra and name == resting.extra)]
    labels = np.array([name in labelled for name in names], np.float32)
    heard = detector.track([mixture], RATE_HZ, labelled)
    for gated, activity in ((True, heard if with_extra else heard.believing(labelled)), (False, None)):
        estimates = separator.separate(mixture, labels, RATE_HZ, activity=activity)
        extra_db = level_below_mixture_db(mixture, estimates[names.index(resting.extra)]) if with_extra else np.nan
        for name, reference, rest in zip(example.names, example.references, resting.rests, strict=True):
            estimate = estimates[names.index(name)]
            gain = si_sdr(reference, estimate) - si_sdr(reference, mixture)
            yield {"gated": gated, "num_instruments": len(example.names), "gain_db": gain, "extra_db": extra_db,
                   "rest_db": rest_level_db(estimate, mixture, rest)}  # fmt: skip


def rest_level_db(estimate: np.ndarray, mixture: np.ndarray, rest: tuple[int, int] | None) -> float:
    """How far below the mixture a stem lies while its player rests, dB; NaN for who does not."""
    if rest is None:
        return np.nan
    edge = int(EDGE_SECONDS * RATE_HZ)
    stretch = slice(rest[0] + edge, rest[1] - edge)
    # Where everybody rests nothing can be told.
    return level_below_mixture_db(mixture[stretch], estimate[stretch]) if mixture[stretch].any() else np.nan


def summarize(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per data, model, number of instruments and whether rests were gated."""
    keys = ["data", "model", "num_instruments"]
    plain = rows.loc[~rows["gated"], "gain_db"].to_numpy()
    rows = rows.assign(change_db=np.nan)
    rows.loc[rows["gated"], "change_db"] = rows.loc[rows["gated"], "gain_db"].to_numpy() - plain
    return rows.groupby([*keys, "gated"], sort=False).agg(
        gain_mean_db=("gain_db", "mean"),
        gain_median_db=("gain_db", "median"),
        change_q05_db=("change_db", lambda values: values.quantile(0.05)),
        rest_median_db=("rest_db", "median"),
        rests_30_db_down=("rest_db", lambda values: (values.dropna() >= 30).mean()),
        extra_median_db=("extra_db", "median"),
    )


def main() -> None:
    parser = MixtureParser(__doc__, count=16)
    parser.add_model_options("default")
    parser.add_argument("--extra", action="store_true")
    options = parser.parse_args()
    data = read_lines(options)
    detector = load_activity_detector()
    separators = load_separators(options)
    rows = []
    for title, clips in data.items():
        for number in map(int, options.num_instruments.split(",")):
            for resting in make_resting(clips, number, options.count, options.seed):
                for name, separator in separators.items():
                    scores = score(resting, separator, detector, options.extra)
                    rows += [{"data": title, "model": name, **row} for row in scores]
    print(summarize(pd.DataFrame(rows)).round(2).to_string())


if __name__ == "__main__":
    main()
