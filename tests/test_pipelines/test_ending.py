"""A command that is asked to end while it writes, as a supervisor or a closed terminal asks it: real processes."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from av_sep.media import write_audio

SETTINGS = ("--model", "wiener", "--instruments", "vn,vc", "--quiet")
COMMAND = (sys.executable, "-m", "pipelines", "separate", *SETTINGS, "-o")


@pytest.fixture(scope="module")
def long_recording(tmp_path_factory):
    """A recording that takes several seconds to separate."""
    path = tmp_path_factory.mktemp("long") / "long.wav"
    noise = np.random.default_rng(0).uniform(-0.1, 0.1, (240 * 44100, 1)).astype(np.float32)
    write_audio(path, noise, 44100, bit_depth=16)
    return path


def begin(recording, output, *launcher):
    """The running command, once it has begun to write."""
    command = [*launcher, *COMMAND, output, recording]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not list(output.glob(".*.part/*")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    return process


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_command_that_is_asked_to_end_leaves_nothing_and_says_so_by_its_exit_code(
    long_recording, tmp_path, number, exit_code
):
    process = begin(long_recording, tmp_path / "out")
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == exit_code
    assert list(tmp_path.iterdir()) == []


def test_nohup_lets_a_command_outlive_its_terminal(long_recording, tmp_path):
    process = begin(long_recording, tmp_path, "nohup")
    process.send_signal(signal.SIGHUP)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, b"")
    assert (tmp_path / "long" / "violin.wav").is_file()
