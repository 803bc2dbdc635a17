"""Scores separation models on seeded mixtures of solo recordings that none of them was trained on.

    python benchmarks/score_models.py --solos DIR [--bank BANK] --models wiener,conditioned_small

`--solos` is a folder `<instrument>/*.flac`; `--bank` adds mixtures of a bank's held-out split. Every table carries
the mixture (what doing nothing scores), the static Wiener filters (what no learning scores) and the ideal ratio mask
(which is told the answer). Labels are true. SI-SDR and plain SDR in dB per stem, mean over stems; "+" columns are
the improvement over the mixture.
"""

import os
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
from mixtures import RATE_HZ, Example, MixtureParser, load_separators, make_examples, read_data  # noqa: E402

from audio.baselines.oracle import ideal_ratio_mask  # noqa: E402
from audio.metrics import sdr, si_sdr  # noqa: E402


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


def main() -> None:
    parser = MixtureParser(__doc__, count=40)
    parser.add_model_options("wiener,conditioned_small")
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
