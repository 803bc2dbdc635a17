"""Measures what BSS Eval costs here and in the libraries that set the numbers, side by side in one run.

    OMP_NUM_THREADS=1 python benchmarks/bss_eval.py --seconds 60

Made sound, mono. `bss_eval_v4` against museval's own call on the same signals, once with every stem and once with one
missed (silent) stem, for which museval has no answer, so that its time is that of all stems. `bss_eval_v3_segment`
against mir_eval on `--segments` segments of 0.743 s, scaled to a minute of sound. Runs alternate and the fastest of
`--repeats` counts; the greatest difference of any score is shown beside. Only ratios mean something on other machines.
"""

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd

from audio.metrics import bss_eval_v3_segment, bss_eval_v4
from av_sep.media import ensure_ffmpeg_on_path

SEGMENT_SAMPLES, SEGMENT_RATE_HZ = 16384, 22050


def make_sources(num_sources: int, num_samples: int) -> tuple[np.ndarray, np.ndarray]:
    """References and leaky, noisy estimates, `[num_sources, time, 1]`: coloured noise, as every band is needed."""
    rng = np.random.default_rng(num_sources)
    references = rng.normal(size=(num_sources, num_samples, 1))
    references += 0.9 * np.roll(references, 1, axis=1)
    noise = rng.normal(size=references.shape)
    return references, 0.8 * references + 0.1 * references.sum(axis=0) + 0.1 * noise


def fastest(repeats: int, *functions: Callable[[], np.ndarray]) -> tuple[list[float], list[np.ndarray]]:
    """Least seconds and last result of each function; they take turns, so that a busy moment strikes them alike."""
    seconds, results = [np.inf] * len(functions), [np.empty(0)] * len(functions)
    for _ in range(repeats):
        for i, function in enumerate(functions):
            started = time.perf_counter()
            results[i] = function()
            seconds[i] = min(seconds[i], time.perf_counter() - started)
    return seconds, results


def compare_v4(num_sources: int, rate_hz: int, sound_seconds: float, repeats: int) -> dict:
    """One row: museval's seconds, ours, ours with a missed stem."""
    ensure_ffmpeg_on_path()
    import museval.metrics

    references, estimates = make_sources(num_sources, round(sound_seconds * rate_hz))
    missed = estimates.copy()
    missed[-1] = 0

    def ours(estimates):
        scores = bss_eval_v4(references, estimates, rate_hz)
        return np.stack([scores.sdr, scores.isr, scores.sir, scores.sar])

    (theirs, whole, without), (expected, scores, _) = fastest(
        repeats,
        lambda: np.stack(museval.metrics.bss_eval(references, estimates, window=rate_hz, hop=rate_hz)[:4]),
        lambda: ours(estimates),
        lambda: ours(missed),
    )
    return {
        "sources": num_sources,
        "rate_hz": rate_hz,
        "sound_s": sound_seconds,
        "museval_s": theirs,
        "here_s": whole,
        "ratio": whole / theirs,
        "one_missed_s": without,
        "ratio_missed": without / theirs,
        "difference_db": np.max(np.abs(scores - expected)),
    }


def compare_v3(num_sources: int, num_segments: int, repeats: int) -> dict:
    """One row: mir_eval's seconds for a minute of sound, ours, and how many times faster that is."""
    from mir_eval.separation import bss_eval_sources

    references, estimates = make_sources(num_sources, num_segments * SEGMENT_SAMPLES)
    cuts = [slice(i * SEGMENT_SAMPLES, (i + 1) * SEGMENT_SAMPLES) for i in range(num_segments)]

    def theirs():
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "mir_eval.separation", FutureWarning)
            scores = [bss_eval_sources(references[:, cut, 0], estimates[:, cut, 0], False)[:3] for cut in cuts]
        return np.moveaxis(np.array(scores), 0, 2)

    def ours():
        scores = bss_eval_v3_segment(references, estimates, SEGMENT_RATE_HZ)
        return np.stack([scores.sdr, scores.sir, scores.sar])

    seconds, (expected, scores) = fastest(repeats, theirs, ours)
    per_minute = 60 * SEGMENT_RATE_HZ / SEGMENT_SAMPLES / num_segments
    return {
        "sources": num_sources,
        "mir_eval_s_per_minute": seconds[0] * per_minute,
        "here_s_per_minute": seconds[1] * per_minute,
        "times_faster": seconds[0] / seconds[1],
        "difference_db": np.max(np.abs(scores - expected)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0, help="sound for version 4")
    parser.add_argument("--rates", default="22050,44100", help="for version 4")
    parser.add_argument("--segments", type=int, default=4, help="for version 3")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    rates = map(int, options.rates.split(","))
    rows = [compare_v4(4, rate, options.seconds, options.repeats) for rate in rates]
    print("bss_eval_v4 beside museval\n" + pd.DataFrame(rows).to_string(index=False, float_format="%.3g"))
    rows = [compare_v3(num_sources, options.segments, options.repeats) for num_sources in (2, 3, 4)]
    print("\nbss_eval_v3_segment beside mir_eval\n" + pd.DataFrame(rows).to_string(index=False, float_format="%.3g"))


if __name__ == "__main__":
    main()
