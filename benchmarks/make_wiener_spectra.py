"""Measures each instrument's average power spectrum on a bank of solo lines and packs it as the model `wiener`.

    python benchmarks/make_wiener_spectra.py BANK audio/weights/wiener
"""

import sys
from pathlib import Path

import numpy as np

from audio.baselines.wiener import average_power_spectrum
from audio.packaged import write_packaged
from av_sep.datasets.solo_bank import INT16_SCALE, open_bank
from av_sep.instruments import URMP_13


def main(bank_dir: Path, output_dir: Path) -> None:
    """Writes config.json and weights.npz."""
    bank = open_bank(bank_dir, "train")
    spectra = [
        average_power_spectrum([line / INT16_SCALE for line in bank.solos(name).values()], bank.sample_rate_hz)
        for name in URMP_13.names
    ]
    config = {
        "class": "StaticWiener",
        "description": "static Wiener filters from each instrument's average spectrum: no learning, the floor to beat",
        "options": {"source_names": list(URMP_13.names), "sample_rate_hz": bank.sample_rate_hz},
        "training": {"sources": {name: sorted(bank.solos(name)) for name in URMP_13.names}},
    }
    write_packaged(output_dir, config, [np.asarray(spectra)], dtype=np.float32)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
