"""The command line must start without TensorFlow."""

import subprocess
import sys

import pytest

LIGHT = ("vision", "vision.detector", "vision.labels", "vision.overlay", "vision.players", "vision.embedded_detector",
         "vision.hub_detector", "vision.instrument_classifier")  # fmt: skip


@pytest.mark.parametrize("use", ["", "; vision.detector.create_detector('embedded')"])
def test_importing_and_creating_loads_no_tensorflow(use):
    code = f"import sys, {', '.join(LIGHT)}{use}; sys.exit(bool({{'tensorflow', 'keras'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
