"""What one wrong label costs: separates seeded mixtures with true labels, and with one label too many.

    python benchmarks/wrong_labels.py --solos DIR [--bank BANK] --models wiener,log_frequency

Prints for each model the SI-SDR that the playing instruments' stems lose by the label of an instrument that does not
play (dB, mean and median over stems), and how far below the mixture the stem of that instrument lies (dB, median and
the share of at least 30). The mixtures are those of `benchmarks/score_models.py`. Labels are taken for guesses: with
`--gate-rests` a listener hears who plays and when, as in `av-sep separate` with labels that were only heard.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from mixtures import RATE_HZ, Example, MixtureParser, load_separators, make_examples, read_data

from audio.activity_detector import StreamActivityDetector, load_activity_detector
from audio.metrics import level_below_mixture_db, si_sdr
from av_sep.instruments import URMP_13
from pipelines.rests import should_gate_rests

QUIET_DB = 30.0


def score(example: Example, separator, extra: str, detector: StreamActivityDetector | None) -> Iterator[dict]:
    """One row per playing instrument; a detector gates who does not play."""
    mixture = example.references.sum(axis=0)
    names = list(separator.source_names)
    labels = np.array([name in example.names for name in names], np.float32)
    wrong = labels.copy()
    wrong[names.index(extra)] = 1

    def separate(vector: np.ndarray) -> np.ndarray:
        told = [name for name, label in zip(names, vector, strict=True) if label]
        gate = detector is not None and should_gate_rests(separator.model, told)
        activity = detector.track([mixture], RATE_HZ, told) if detector and gate else None
        return separator.separate(mixture, vector, RATE_HZ, activity=activity)

    right, too_many = separate(labels), separate(wrong)
    below_db = level_below_mixture_db(mixture, too_many[names.index(extra)])
    for name, reference in zip(example.names, example.references, strict=True):
        slot = names.index(name)
        lost = si_sdr(reference, right[slot]) - si_sdr(reference, too_many[slot])
        yield {"num_instruments": len(example.names), "lost_db": lost, "below_db": below_db}


def summarize(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per data, model and number of instruments."""
    groups = rows.groupby(["data", "model", "num_instruments"], sort=False)
    return groups.agg(
        lost_mean_db=("lost_db", "mean"),
        lost_median_db=("lost_db", "median"),
        below_median_db=("below_db", "median"),
        quiet_share=("below_db", lambda values: (values >= QUIET_DB).mean()),
    )


def main() -> None:
    parser = MixtureParser(__doc__, count=20)
    parser.add_model_options("wiener,default")
    parser.add_argument("--gate-rests", action="store_true")
    options = parser.parse_args()
    data = read_data(options.bank, options.solos)
    separators = load_separators(options)
    detector = load_activity_detector() if options.gate_rests else None
    rows = []
    for title, (clips, seconds) in data.items():
        for count in map(int, options.num_instruments.split(",")):
            rng = np.random.default_rng((options.seed, count))
            for example in make_examples(clips, count, options.count, seconds, options.seed):
                extra = str(rng.choice([name for name in URMP_13.names if name not in example.names]))
                for name, separator in separators.items():
                    scores = score(example, separator, extra, detector)
                    rows += [{"data": title, "model": name, **row} for row in scores]
    print(summarize(pd.DataFrame(rows)).round(2).to_string())


if __name__ == "__main__":
    main()
