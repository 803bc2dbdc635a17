"""What reaches the terminal and what does not, as a shell sees it: real processes, real streams."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from av_sep.media import ffmpeg_executable

COMMAND = (sys.executable, "-m", "pipelines", "separate", "--model", "mixture", "--instruments", "vn,vc")


@pytest.fixture(scope="module")
def scratched(duet, tmp_path_factory):
    """An MP3 file with 400 broken bytes in its middle, which ffmpeg reads to the end with a complaint."""
    path = tmp_path_factory.mktemp("scratched") / "scratched.mp3"
    run(ffmpeg_executable(), "-loglevel", "error", "-i", duet, "-b:a", "128k", path, check=True)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = np.random.default_rng(0).bytes(400)
    path.write_bytes(data)
    return path


def run(*arguments, **options):
    return subprocess.run(list(map(os.fspath, arguments)), capture_output=True, text=True, **options)


@pytest.mark.parametrize("options", [(), ("--json",), ("--quiet",), ("--quiet", "--json")], ids="".join)
def test_damage_that_is_read_all_the_same_is_said_in_one_line_and_in_the_manifest(scratched, tmp_path, options):
    done = run(*COMMAND, "-o", tmp_path, scratched, *options)
    assert done.returncode == 0
    lines = done.stderr.splitlines()
    if "--quiet" in options:
        assert lines == []
    else:
        (line,) = lines
        assert line.startswith(f"av-sep: {scratched} is damaged in places")
    if "--json" in options:
        assert [result["input"] for result in json.loads(done.stdout)] == [str(scratched)]
    manifest = json.loads((tmp_path / "scratched" / "manifest.json").read_text())
    (remark,) = manifest["remarks"]
    assert remark.startswith("the sound is damaged in places")
    assert remark in (tmp_path / "scratched" / "report.html").read_text()


def test_damage_in_pictures_stands_in_the_manifest_and_on_the_page(duet, tmp_path):
    whole, broken = tmp_path / "whole.mkv", tmp_path / "broken.mkv"
    pictures = ("-f", "lavfi", "-i", "testsrc=size=320x180:rate=10:duration=4", "-c:v", "mpeg4", "-g", "5")
    run(ffmpeg_executable(), "-loglevel", "error", "-i", duet, *pictures, "-c:a", "flac", whole, check=True)
    data = bytearray(whole.read_bytes())
    middle = len(data) // 2
    places = [place for place in range(middle, middle + 20000) if data[place : place + 4] == b"\x00\x00\x01\xb6"]
    # The beginnings of video frames (ISO 14496-2: VOPs), and nothing of the sound.
    for place in places:
        data[place + 6 : place + 200] = np.random.default_rng(0).bytes(194)
    broken.write_bytes(data)
    labels = tmp_path / "known.json"
    labels.write_text(json.dumps({"instruments": ["vn", "vc"]}))
    seen = ("--model", "mixture", "--labels", "video", "--detector", f"labels:{labels}", "-o", tmp_path)
    done = run(sys.executable, "-m", "pipelines", "separate", *seen, whole, broken)
    assert done.returncode == 0 and "broken.mkv is damaged in places" in done.stderr and "whole" not in done.stderr
    (remark,) = json.loads((tmp_path / "broken" / "manifest.json").read_text())["remarks"]
    assert remark.startswith("the pictures are damaged in places")
    assert f"In this recording {remark}." in (tmp_path / "broken" / "report.html").read_text()
    assert json.loads((tmp_path / "whole" / "manifest.json").read_text())["remarks"] == []


def test_a_whole_recording_is_separated_without_a_word_about_it(duet, tmp_path):
    done = run(*COMMAND, "-o", tmp_path, duet)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "duet" / "manifest.json").read_text())["remarks"] == []


def into_closed_pipe(*arguments):
    """Exit code of a command whose reader has gone before it prints, as with `| true`, and what it complained of."""
    process = subprocess.Popen(list(map(os.fspath, arguments)), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    complaints = process.stderr.read()
    process.stderr.close()
    return process.wait(), complaints


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_reader_who_has_gone_takes_no_work_with_him(duet, tmp_path, options):
    inputs = [tmp_path / f"take{i}.wav" for i in range(3)]
    for path in inputs:
        path.write_bytes(duet.read_bytes())
    assert into_closed_pipe(*COMMAND, "-o", tmp_path / "out", *inputs, *options) == (0, b"")
    assert all((tmp_path / "out" / path.stem / "cello.wav").is_file() for path in inputs)


def test_a_reader_who_has_gone_does_not_hide_a_failure(duet, tmp_path):
    code, complaints = into_closed_pipe(*COMMAND, "-o", tmp_path / "out", duet, tmp_path / "nowhere.wav")
    assert code == 2 and complaints.startswith(b"1 of 2 inputs failed:")
    assert (tmp_path / "out" / "duet" / "cello.wav").is_file()


def test_a_reader_who_has_gone_takes_no_labels_and_no_scores_with_him(film, duet, tmp_path):
    labels = tmp_path / "known.json"
    labels.write_text(json.dumps({"instruments": ["vn"]}))
    annotate = (sys.executable, "-m", "pipelines", "annotate", film, "--detector", f"labels:{labels}")
    assert into_closed_pipe(*annotate, "-o", tmp_path / "labels", "--review") == (0, b"")
    assert (tmp_path / "labels" / "review.html").is_file()

    stems = tmp_path / "stems" / "take"
    stems.mkdir(parents=True)
    for name in ("violin", "tuba"):
        (stems / f"{name}.wav").write_bytes(duet.read_bytes())
    evaluate = (sys.executable, "-m", "pipelines", "evaluate", "--estimates", tmp_path / "stems", "--references")
    options = (tmp_path / "stems", "-o", tmp_path / "scores", "--metrics", "", "--processes", "1", "--no-examples")
    assert into_closed_pipe(*evaluate, *options) == (0, b"")
    assert (tmp_path / "scores" / "report.html").is_file()


def test_nobody_need_read_errors_and_warnings_either(scratched, tmp_path):
    command = ["sh", "-c", '"$@" 2>&1 | true', "sh", *COMMAND, "-o", tmp_path, scratched]
    assert run(*command).stdout == ""
    assert (tmp_path / "scratched" / "cello.wav").is_file()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
@pytest.mark.parametrize("arguments", [("models",), ("recipes",), ("--help",), ("prepare", "--help"), ("--version",)])
def test_what_cannot_be_printed_as_the_disk_is_full_is_one_line(arguments):
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-m", "pipelines", *arguments], stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
    assert done.stderr.startswith(b"av-sep: Cannot write") and b"No space left on device" in done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_full_disk_for_what_is_printed_does_not_cost_the_work(duet, tmp_path, options):
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND, "-o", tmp_path, duet, *options], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 2 and done.stderr.endswith(b"No space left on device\n")
    assert done.stderr.count(b"\n") == 1 and (tmp_path / "duet" / "cello.wav").is_file()


LOGGING = """
import logging, os, sys, warnings
from pipelines.quiet import silence_native_libraries
silence_native_libraries(own_warnings=sys.argv[1] == "shown")
warnings.warn("overflow encountered in multiply", RuntimeWarning)
os.write(2, b"native chatter\\n")
logging.getLogger("stranger").setLevel(logging.DEBUG)  # as absl sets its own
for name in ("stranger", "other.stranger", "audio.models", "vision", "pipelines.train.start"):
    for level in (logging.INFO, logging.WARNING, logging.WARNING, logging.ERROR):
        logging.getLogger(name).log(level, "%s\\nof %s", logging.getLevelName(level).lower(), name)
"""


@pytest.mark.parametrize("shown", [True, False])
def test_own_warnings_come_through_once_each_and_strangers_do_not(shown):
    done = run(sys.executable, "-c", LOGGING, "shown" if shown else "not", check=True)
    own = [
        f"av-sep: {level} of {name}"
        for name in ("audio.models", "vision", "pipelines.train.start")
        for level in (("warning", "error") if shown else ("error",))
    ]
    strangers = [f"{name}: error of {name}" for name in ("stranger", "other.stranger")]
    assert done.stderr.splitlines() == [*strangers, *own]


BAR = """
import logging, sys
from pipelines.quiet import silence_native_libraries
from pipelines.progress import TerminalProgress
silence_native_libraries()
with TerminalProgress("take", shown=True) as bar:
    bar("separating", 1.0, 4.0)
    logging.getLogger("av_sep.media").warning("scratched")
    bar("separating", 4.0, 4.0)
"""


def test_a_warning_has_a_line_to_itself_beside_a_bar():
    done = run(sys.executable, "-c", BAR, check=True)
    screen = [line.split("\r")[-1] for line in done.stderr.split("\n")]
    assert "av-sep: scratched" in screen and any("100%" in line for line in screen)


@pytest.mark.parametrize("streams", ["2>&-", ">&- 2>&-", "<&- >&- 2>&-", "2>&- --debug"])
def test_closed_streams_cost_nothing(duet, tmp_path, streams):
    redirections = streams.removesuffix("--debug")
    arguments = [*COMMAND, *(["--debug"] if "--debug" in streams else []), "-o", tmp_path, duet]
    done = run("sh", "-c", f'"$@" {redirections}', "sh", *arguments)
    assert done.returncode == 0
    assert (tmp_path / "duet" / "cello.wav").is_file()
