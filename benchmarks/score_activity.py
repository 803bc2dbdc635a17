"""How well the activity detector hears who plays when, on the mixtures of `benchmarks/rests.py`.

    python benchmarks/score_activity.py --solos DIR [--bank BANK] [--count 40] [--detector DIRECTORY]

Candidates are those that play, and one more that never does. At every tenth of a second somebody plays who has a
hundredth of the mixture's power or more (Hann windows of 0.4 s), and rests who has a ten-thousandth or less; where
nobody sounds nobody is asked for. Prints by data and number of instruments the area under the ROC curve, the log loss
in natural units, and of moments of playing and of resting the share that is told right by the sign of the log odds.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from mixtures import RATE_HZ, MixtureParser
from rests import RestingExample, make_resting, read_lines
from scipy.signal import fftconvolve
from sklearn.metrics import roc_auc_score

from audio.activity_detector import load_activity_detector

STEP_SECONDS = 0.1
WINDOW_SECONDS = 0.4
PLAYS_SHARE = 1e-2
RESTS_SHARE = 1e-4
SILENT_SHARE = 1e-8  # of the loudest moment's power


def power_shares(references: np.ndarray, times_seconds: np.ndarray) -> np.ndarray:
    """Of each of the references `[num_playing, time, 1]` in the sum of their powers, `[num_playing, num_times]`.

    NaN where they are silent, all of them.
    """
    window = np.hanning(int(WINDOW_SECONDS * RATE_HZ))
    places = (times_seconds * RATE_HZ).astype(int)
    # In single precision the transform's noise would play where everybody rests.
    squares = np.square(references[:, :, 0], dtype=np.float64)
    power = np.array([fftconvolve(line, window, "same")[places] for line in squares])
    total = power.sum(axis=0)
    return np.where(total > SILENT_SHARE * total.max(), power, np.nan) / total


def judge(resting: RestingExample, detector) -> Iterator[dict]:
    """A row per moment and candidate that is asked for."""
    example = resting.example
    candidates = [name for name in detector.instruments if name in (*example.names, resting.extra)]
    activity = detector.track([example.references.sum(axis=0)], RATE_HZ, candidates)
    times = np.arange(STEP_SECONDS, example.references.shape[1] / RATE_HZ, STEP_SECONDS)
    shares = dict(zip(example.names, power_shares(example.references, times)))
    sounding = np.where(np.isnan(shares[example.names[0]]), np.nan, 0.0)
    for column, name in enumerate(activity.instruments):
        log_odds = np.interp(times, activity.times_seconds, activity.log_odds[:, column])
        share = shares.get(name, sounding)
        for value, logit in zip(share, log_odds):
            if value >= PLAYS_SHARE or value <= RESTS_SHARE:
                yield {"plays": value >= PLAYS_SHARE, "log_odds": logit}


def summarize(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per data and number of instruments."""

    def scores(group: pd.DataFrame) -> pd.Series:
        plays, log_odds = group["plays"], group["log_odds"]
        loss = np.logaddexp(0, np.where(plays, -log_odds, log_odds)).mean()
        right = {"playing_right": (log_odds[plays] > 0).mean(), "resting_right": (log_odds[~plays] < 0).mean()}
        return pd.Series({"auc": roc_auc_score(plays, log_odds), "log_loss": loss, **right})

    return rows.groupby(["data", "num_instruments"], sort=False)[["plays", "log_odds"]].apply(scores)


def main() -> None:
    parser = MixtureParser(__doc__, count=40)
    parser.add_argument("--detector", type=Path, help="folder of a packaged detector; the project's by default")
    options = parser.parse_args()
    detector = load_activity_detector(options.detector) if options.detector else load_activity_detector()
    rows = []
    for title, clips in read_lines(options).items():
        for number in map(int, options.num_instruments.split(",")):
            for resting in make_resting(clips, number, options.count, options.seed):
                rows += [{"data": title, "num_instruments": number, **row} for row in judge(resting, detector)]
    print(summarize(pd.DataFrame(rows)).round(3).to_string())


if __name__ == "__main__":
    main()
