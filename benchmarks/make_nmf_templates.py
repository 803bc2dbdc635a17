"""Learns templates of each instrument from a bank of solo lines by NMF and packs them as a model of supervised NMF.

    MAKE="python benchmarks/make_nmf_templates.py BANK"
    $MAKE audio/weights/nmf --divergence kl
    $MAKE audio/weights/nmf_frobenius --divergence frobenius --num-updates 25
    $MAKE audio/weights/nmf_itakura_saito --divergence itakura_saito --num-updates 25 --mask-exponent 0.5

Each takes about half a minute of one core. `--without philharmonia,karoryfer.war-tuba` leaves recordings out, to choose
settings on them.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.signal import stft

from audio.nmf import BETAS, SPECTROGRAM_POWERS, factorize
from audio.baselines.supervised_nmf import OVERLAP
from audio.packaged import write_packaged
from av_sep.datasets.solo_bank import INT16_SCALE, SoloBank, open_bank
from av_sep.instruments import URMP_13

# Frames softer than this are rests.
REST_DB = -60.0
NUM_ITERATIONS = 60
NAMES = {"frobenius": "squared distance", "kl": "Kullback-Leibler", "itakura_saito": "Itakura-Saito"}


def draw_frames(lines, frame_length: int, num_frames: int, rng) -> np.ndarray:
    """Magnitudes `[num_bins, num_frames]` of frames in which somebody plays, as many of each line `[time]`."""
    drawn = []
    for line in lines:
        overlap = frame_length - frame_length // OVERLAP
        magnitudes = np.abs(stft(line / np.float32(INT16_SCALE), nperseg=frame_length, noverlap=overlap)[2])
        levels = np.sqrt(np.sum(magnitudes**2, axis=0))
        sounding = np.flatnonzero(levels > levels.max() * 10 ** (REST_DB / 20))
        drawn.append(magnitudes[:, rng.permutation(sounding)[: num_frames // len(lines)]])
    return np.concatenate(drawn, axis=1)


def learn_templates(magnitudes: np.ndarray, num_components: int, divergence: str, seed: int) -> np.ndarray:
    """Templates `[num_bins, num_components]`, magnitudes up to 1, each as loud as it sounds on average."""
    power = SPECTROGRAM_POWERS[divergence]
    spectrogram = magnitudes**power
    if divergence != "frobenius":
        # A soft note says as much about an instrument as a loud one; squared distances lost by it, the others gained.
        spectrogram = spectrogram / spectrogram.sum(axis=0)
    learnt = factorize(spectrogram, num_components, divergence=divergence, num_iterations=NUM_ITERATIONS, seed=seed)
    templates = learnt.templates * learnt.activations.mean(axis=1)
    return (templates / templates.max()) ** (1 / power)


def learn(bank: SoloBank, options) -> np.ndarray:
    """Templates `[num_instruments, num_bins, num_components]` in the taxonomy's order."""
    templates = []
    for seed, name in enumerate(URMP_13.names):
        rng = np.random.default_rng(seed)
        frames = draw_frames(list(bank.solos(name).values()), options.frame_length, options.num_frames, rng)
        templates.append(learn_templates(frames, options.num_components, options.divergence, seed))
        print(f"{name}: {frames.shape[1]} frames of {', '.join(bank.solos(name))}", flush=True)
    return np.stack(templates)


def open_train(bank_dir: Path, without: str) -> SoloBank:
    """The bank's training side, less some sources, comma-separated."""
    bank = open_bank(bank_dir, "train")
    left_out = set(without.split(","))
    lines = {
        name: {source: line for source, line in sources.items() if source not in left_out}
        for name, sources in bank.lines.items()
    }
    return SoloBank(bank.sample_rate_hz, lines)


def pack(output_dir: Path, templates: np.ndarray, bank: SoloBank, options) -> None:
    """Writes config.json and weights.npz."""
    config = {
        "class": "SupervisedNMF",
        "description": f"supervised NMF, {NAMES[options.divergence]}: {options.num_components} spectra per instrument",
        "options": {
            "source_names": list(URMP_13.names),
            "sample_rate_hz": bank.sample_rate_hz,
            "divergence": options.divergence,
            "num_iterations": options.num_updates,
            "mask_exponent": options.mask_exponent,
        },
        "training": {
            "sources": {name: sorted(bank.solos(name)) for name in URMP_13.names},
            "num_frames_per_instrument": options.num_frames,
            "num_iterations": NUM_ITERATIONS,
        },
    }
    write_packaged(output_dir, config, [templates])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bank", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--divergence", choices=tuple(BETAS), default="kl")
    parser.add_argument("--num-components", type=int, default=32, help="templates per instrument")
    parser.add_argument("--frame-length", type=int, default=1024, help="samples in a frame")
    parser.add_argument("--num-frames", type=int, default=4000, help="frames per instrument to learn from")
    parser.add_argument("--num-updates", type=int, default=12, help="updates of the activations when separating")
    parser.add_argument("--mask-exponent", type=float, default=0.7)
    parser.add_argument("--without", default="", help="leave these sources of the bank out")
    options = parser.parse_args()
    bank = open_train(options.bank, options.without)
    pack(options.output, learn(bank, options), bank, options)


if __name__ == "__main__":
    main()
