"""Items to workers and outcomes back: the same for this process, several processes and a Beam runner."""

import logging
import os
import signal
import subprocess
import sys
import time

import pytest

from av_sep.errors import MediaError, ParameterError
from pipelines.workers import Workers, run_everywhere

BEAM = Workers("DirectRunner", runner_options=("--direct_running_mode=multi_processing", "--direct_num_workers=2"))


def square(number):
    if number == 3:
        raise MediaError("three cannot be read.\n Received: 3")
    if number == 4:
        raise KeyError("four")
    return {"number": number, "square": number**2}


def slow_pid(number):
    time.sleep(0.3)
    return os.getpid()


def die(number):
    os.kill(os.getpid(), 9)


def silent(done, total):
    pass


@pytest.fixture(params=["here", "processes", "beam"])
def workers(request):
    if request.param == "beam":
        pytest.importorskip("apache_beam", reason="needs av-sep[beam]")
        return BEAM
    return Workers(num_processes=1 if request.param == "here" else 2)


def test_every_item_has_its_outcome_in_order(workers):
    outcomes = run_everywhere(square, [5, 3, 4, 1], workers, silent)
    assert [outcome.index for outcome in outcomes] == [0, 1, 2, 3]
    assert outcomes[0].value == {"number": 5, "square": 25} and outcomes[3].value == {"number": 1, "square": 1}
    assert (outcomes[1].error, outcomes[1].is_users) == ("three cannot be read. Received: 3", True)
    assert outcomes[2].error == "unexpected KeyError: 'four'" and not outcomes[2].is_users
    assert "square" in outcomes[2].details and outcomes[0].error is None


def warn(number):
    logging.getLogger("av_sep.media").warning("take %d\nis scratched", number % 2)
    logging.getLogger("stranger").warning("chatter")


def test_warnings_come_back_from_wherever_the_work_was_done(workers, caplog):
    outcomes = run_everywhere(warn, range(4), workers, silent)
    assert len(outcomes) == 4 and not any(outcome.error for outcome in outcomes)
    said = [record.getMessage() for record in caplog.records if record.name.split(".")[0] in ("av_sep", "pipelines")]
    assert {" ".join(text.split()) for text in said} == {"take 0 is scratched", "take 1 is scratched"}
    if workers.num_processes > 1:
        assert len(said) == 2


def test_no_items_are_no_outcomes(workers):
    assert run_everywhere(square, [], workers, silent) == []


def test_work_is_spread_over_processes():
    outcomes = run_everywhere(slow_pid, range(4), Workers(num_processes=2), silent)
    assert len({outcome.value for outcome in outcomes}) == 2
    assert os.getpid() not in {outcome.value for outcome in outcomes}


def test_one_process_is_this_one():
    (outcome,) = run_everywhere(slow_pid, [0], Workers(num_processes=1), silent)
    assert outcome.value == os.getpid()


def test_progress_counts_up():
    seen = []
    run_everywhere(square, [1, 2, 5], Workers(num_processes=2), lambda done, total: seen.append((done, total)))
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_a_killed_worker_is_one_clear_error():
    with pytest.raises(MediaError, match="killed"):
        run_everywhere(die, range(3), Workers(num_processes=2), silent)


SLOW_WRITING = """
import atexit, signal, sys, time
from pathlib import Path
from av_sep.ending import exit_when_asked
from av_sep.media import replace_when_complete
from pipelines.workers import Workers, run_everywhere

def write_slowly(name):
    # What a process makes for itself and removes at its end, as the folder that holds ffmpeg is.
    own = Path(sys.argv[1]) / f"{name}.own"
    own.touch()
    atexit.register(own.unlink)
    with replace_when_complete(Path(sys.argv[1]) / name) as temporary:
        temporary.write_text("half")
        time.sleep(60)

if __name__ == "__main__":
    exit_when_asked(signal.SIGINT)
    run_everywhere(write_slowly, ["a", "b", "c", "d", "e"], Workers(num_processes=2), lambda done, total: None)
"""


@pytest.mark.parametrize("ask", [os.killpg, os.kill], ids=["group", "alone"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_run_that_is_asked_to_end_does_so_and_leaves_no_half_written_file(tmp_path, ask, number):
    script, output = tmp_path / "slow.py", tmp_path / "output"
    script.write_text(SLOW_WRITING)
    output.mkdir()
    process = subprocess.Popen([sys.executable, script, output], start_new_session=True, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while len(list(output.iterdir())) < 4:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    ask(process.pid, number)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (128 + number, b"")
    assert list(output.iterdir()) == []


LEFT_BEHIND = """
import sys, time
from pathlib import Path
from av_sep.media import replace_when_complete
from pipelines.workers import Workers, run_everywhere

def write(name):
    with replace_when_complete(Path(sys.argv[1]) / name) as temporary:
        temporary.write_text("half")
        time.sleep(60 * name.startswith("slow"))

if __name__ == "__main__":
    run_everywhere(write, sys.argv[2:], Workers(num_processes=2), lambda done, total: time.sleep(60 * (done > 0)))
"""


@pytest.mark.parametrize("names", [("slow", "slow too"), ("quick", "slow"), ("quick", "quick too")])
def test_workers_of_a_killed_process_end_busy_or_idle_and_leave_no_half_written_file(tmp_path, names):
    script, output = tmp_path / "left.py", tmp_path / "output"
    script.write_text(LEFT_BEHIND)
    output.mkdir()
    process = subprocess.Popen([sys.executable, script, output, *names], start_new_session=True)
    deadline = time.monotonic() + 60
    while len(list(output.iterdir())) < 2:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.kill()
    process.wait()
    while time.monotonic() < deadline:
        try:
            # Of the session that it led.
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.05)
    else:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail("its workers wait for ever")
    assert {path.name for path in output.iterdir()} == {name for name in names if "quick" in name}


def end_itself(number):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)


def test_a_worker_asked_to_end_by_itself_is_the_same_clear_error():
    with pytest.raises(MediaError, match="killed"):
        run_everywhere(end_itself, range(3), Workers(num_processes=2), silent)


def test_an_unknown_runner_is_one_line():
    pytest.importorskip("apache_beam", reason="needs av-sep[beam]")
    with pytest.raises(MediaError, match="NoSuchRunner"):
        run_everywhere(square, [1], Workers("NoSuchRunner"), silent)


def test_a_runner_without_beam_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(ParameterError, match=r"pip install '\.\[beam\]'"):
        run_everywhere(square, [1], Workers("DirectRunner"), silent)


def test_runner_options_need_a_runner():
    with pytest.raises(ParameterError, match="--region=x"):
        Workers(runner_options=("--region=x",))
