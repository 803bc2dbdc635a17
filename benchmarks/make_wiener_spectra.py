"""Measures each instrument's average power spectrum on a bank of solo lines and packs it as the model `wiener`.

    python benchmarks/make_wiener_spectra.py BANK audio/weights/wiener
"""

import json
import sys
from pathlib import Path

import numpy as np

from audio.baselines.wiener import average_power_spectrum
from av_sep.datasets.solo_bank import INT16_SCALE, open_bank
from av_sep.instruments import URMP_13


def main(bank_dir: Path, output_dir: Path) -> None:
    """Writes config.json and weights.npz."""
    bank = open_bank(bank_dir, "train")
    spectra = [
        average_power_spectrum([line / INT16_SCALE for line in bank.solos(name).values()], bank.sample_rate_hz)
        for name in URMP_13.names
    ]
    output_dir.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(output_dir / "weights.npz", spectra=np.asarray(spectra, np.float32))
    config = {
        "class": "StaticWiener",
        "description": "static Wiener filters from each instrument's average spectrum: no learning, the floor to beat",
        "options": {"source_names": list(URMP_13.names), "sample_rate_hz": bank.sample_rate_hz},
        "training": {"sources": {name: sorted(bank.solos(name)) for name in URMP_13.names}},
    }
    (output_dir / "config.json").write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
