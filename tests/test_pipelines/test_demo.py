"""The demo as `make demo` runs it: shipped detector, shipped default model, a film whose stems are known."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    command = [sys.executable, str(ROOT / "examples" / "demo.py"), "--output", str(folder)]
    return folder, subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_demo_says_where_stems_and_page_are(printed):
    folder, text = printed
    for name in ("violin.wav", "cello.wav", "trumpet.wav", "report.html"):
        assert str(folder / "demo" / name) in text
        assert (folder / "demo" / name).is_file()


@pytest.mark.parametrize("name", ["violin", "cello", "trumpet"])
def test_every_stem_is_well_above_the_mixture(printed, name):
    _, text = printed
    row = re.search(rf"^{name} .*$", text, re.MULTILINE).group()
    _, sdr_db, sdr_gain_db, _, _, si_sdr_gain_db = map(float, re.findall(r"[+-]?\d+\.\d", row))
    # The shipped weights gain 6.5 dB and 3.8 dB on the worst stem; half the mixture alone would gain 3 dB of SDR and no
    # SI-SDR at all.
    assert sdr_db > 2 and sdr_gain_db > 5 and si_sdr_gain_db > 2.5
