"""The command line in-process: exit code, output, one line per error."""

import errno
import json
import os
import subprocess
import sys
import time
import traceback
import weakref
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from av_sep.errors import MediaError
from av_sep.media import read_audio, write_audio
from pipelines.batch import expand_folders, run_batch
from pipelines.cli import main
from pipelines.error_lines import error_line, is_users

SEPARATE = ("separate", "--model", "wiener", "--instruments", "vn,tba", "-o")


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_separate_says_where_everything_is(duet, tmp_path):
    outcome = invoke(*SEPARATE, tmp_path, duet)
    assert outcome.exit_code == 0
    assert "violin.wav, tuba.wav" in outcome.stdout
    assert str(tmp_path / "duet" / "report.html") in outcome.stdout
    assert (tmp_path / "duet" / "violin.wav").is_file()


def test_quiet_prints_nothing(duet, tmp_path):
    outcome = invoke(*SEPARATE, tmp_path, duet, "--quiet")
    assert (outcome.exit_code, outcome.output) == (0, "")


def test_json_names_files_and_labels(duet, tmp_path):
    outcome = invoke(*SEPARATE, tmp_path, duet, "--json", "--residual")
    (described,) = json.loads(outcome.stdout)
    assert described["instruments"] == ["violin", "tuba"]
    assert described["stems"]["tuba"] == str(tmp_path / "duet" / "tuba.wav")
    assert described["residual"] == str(tmp_path / "duet" / "residual.wav")
    assert sum(described["label_vector"].values()) == 2.0


def test_dry_run_prints_a_plan_and_writes_nothing(duet, tmp_path):
    outcome = invoke(*SEPARATE, tmp_path / "out", duet, "--dry-run")
    assert outcome.exit_code == 0 and "violin.wav" in outcome.stdout
    assert not (tmp_path / "out").exists()


@pytest.fixture
def bad_inputs(tmp_path, film):
    """name -> (file, expected words)."""
    empty = tmp_path / "empty.mp4"
    empty.touch()
    text = tmp_path / "text.mp4"
    text.write_text("I am no film.\n" * 50)
    truncated = tmp_path / "truncated.mp4"
    truncated.write_bytes(film.read_bytes()[: film.stat().st_size // 2])
    return {
        "missing": (tmp_path / "nowhere.mp4", "no such file"),
        "empty": (empty, "empty"),
        "text": (text, "text.mp4"),
        "truncated": (truncated, "truncated.mp4"),
    }


@pytest.mark.parametrize("name", ["missing", "empty", "text", "truncated"])
@pytest.mark.parametrize("command", ["separate", "annotate"])
def test_bad_input_is_one_line_and_exit_code_2(bad_inputs, tmp_path, name, command):
    path, words = bad_inputs[name]
    outcome = invoke(command, path, "-o", tmp_path / "out")
    assert outcome.exit_code == 2
    assert outcome.stdout == ""
    assert len(outcome.stderr.splitlines()) == 1 and words in outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "command",
    (
        ("separate", "", "--instruments", "vn,tba"),
        ("separate", "duet.wav", "-o", ""),
        ("annotate", ""),
        ("evaluate", "urmp", "", "-o", "out"),
        ("evaluate", "--estimates", "", "-o", "out"),
        ("prepare", "urmp", "", "-o", "out"),
        ("train", "conditioned_small", "--data", "", "-o", "out"),
        ("export", "", "-o", "out.keras"),
    ),
    ids=" ".join,
)
def test_a_variable_that_was_never_set_is_not_the_folder_one_is_in(duet, tmp_path, monkeypatch, command):
    monkeypatch.chdir(duet.parent)
    outcome = invoke(*command)
    assert outcome.exit_code == 2 and outcome.stdout == ""
    assert outcome.stderr.endswith("Expected the name of a file or folder. Received: ''\n")
    assert not (duet.parent / "out").exists()


def test_film_without_sound_cannot_be_separated(mute_film, tmp_path):
    outcome = invoke("separate", mute_film, "-o", tmp_path / "out", "--instruments", "vn")
    assert outcome.exit_code == 2 and "sound" in outcome.stderr and len(outcome.stderr.splitlines()) == 1


def test_sound_without_pictures_cannot_be_annotated(duet, tmp_path):
    outcome = invoke("annotate", duet, "-o", tmp_path / "out")
    assert outcome.exit_code == 2 and len(outcome.stderr.splitlines()) == 1


def test_unknown_instrument_gets_a_suggestion(duet, tmp_path):
    outcome = invoke("separate", duet, "-o", tmp_path, "--instruments", "vn,chello")
    assert outcome.exit_code == 2 and "Did you mean 'cello'" in outcome.stderr
    assert len(outcome.stderr.splitlines()) == 1


def test_instruments_of_another_model_are_asked_for_and_misspelt_without_tensorflow(duet, tmp_path):
    code = (
        "import sys; from click.testing import CliRunner; from pipelines.cli import main\n"
        f"command = ['separate', {str(duet)!r}, '-o', {str(tmp_path)!r}, '--model', 'wave_unet_duet']\n"
        "for words in ('vn,celo', 'vn,tuba'):\n"
        "    outcome = CliRunner().invoke(main, [*command, '--instruments', words])\n"
        "    print(outcome.exit_code, outcome.stderr.strip())\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    misspelt, missing = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert misspelt.startswith("2 ") and "Did you mean 'cello'" in misspelt
    assert missing == "2 av-sep: Expected instruments that the model knows: violin, cello. Received: tuba"


@pytest.mark.parametrize("options", [(), ("--dry-run",), ("--json",)])
def test_names_that_are_no_utf_8_are_printed(duet, tmp_path, options):
    path = tmp_path / os.fsdecode(b"caf\xe9.wav")
    path.write_bytes(duet.read_bytes())
    command = [sys.executable, "-m", "pipelines", *SEPARATE, tmp_path / "out", path, *options]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(list(map(os.fspath, command)), capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    # JSON keeps the name, so that a program finds the file; lines are for eyes.
    assert ("caf\\udce9" if options == ("--json",) else "caf\\xe9.wav: ") in done.stdout
    assert os.path.exists(tmp_path / "out" / path.stem / "tuba.wav") is (options != ("--dry-run",))


def test_model_that_is_none(duet, tmp_path):
    fake = tmp_path / "model.keras"
    fake.write_text("no network")
    outcome = invoke("separate", duet, "-o", tmp_path / "out", "--instruments", "vn", "--model", fake)
    assert outcome.exit_code == 2 and "model.keras" in outcome.stderr and len(outcome.stderr.splitlines()) == 1


def test_debug_shows_the_traceback(tmp_path):
    outcome = invoke("separate", tmp_path / "nowhere.mp4", "--debug")
    assert outcome.exit_code == 2 and "Traceback" in outcome.stderr and "MediaError" in outcome.stderr


def test_detector_that_cannot_be_loaded_is_one_line(film, tmp_path):
    command = [sys.executable, "-m", "pipelines", "annotate", film, "-o", tmp_path, "--detector", f"hub:{tmp_path}/no"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1 and "SavedModel" in done.stderr


def test_batch_finishes_the_good_and_lists_the_bad(duet, bad_inputs, tmp_path):
    empty, _ = bad_inputs["empty"]
    outcome = invoke(*SEPARATE, tmp_path / "out", empty, tmp_path / "nowhere.mp4", duet)
    assert outcome.exit_code == 2
    assert (tmp_path / "out" / "duet" / "tuba.wav").is_file()
    assert "2 of 3 inputs failed" in outcome.stderr
    assert [line.split(":")[0] for line in outcome.stderr.splitlines()[1:]] == [
        str(empty),
        str(tmp_path / "nowhere.mp4"),
    ]


@pytest.fixture
def locked(monkeypatch):
    """Makes the system refuse to say anything of a path with "locked" in it: root may go anywhere."""
    for name in ("stat", "lstat"):
        real = getattr(os, name)

        def refuse(path, *arguments, real=real, **options):
            if isinstance(path, (str, os.PathLike)) and "locked" in os.fspath(path):
                raise PermissionError(13, "Permission denied", path)
            return real(path, *arguments, **options)

        monkeypatch.setattr(os, name, refuse)


@pytest.mark.parametrize("name", ["x" * 300 + ".wav", "locked/take.wav", "loop.wav"])
def test_path_that_cannot_be_reached_costs_the_others_nothing(duet, tmp_path, name, locked):
    (tmp_path / "loop.wav").symlink_to(tmp_path / "loop.wav")
    outcome = invoke(*SEPARATE, tmp_path / "out", tmp_path / name, duet)
    assert outcome.exit_code == 2 and "unexpected" not in outcome.stderr
    first, line = outcome.stderr.splitlines()
    assert first == "1 of 2 inputs failed:" and line.startswith(f"{tmp_path / name}: ")
    assert any(words in line for words in ("File name too long", "No permission", "symbolic links"))
    assert (tmp_path / "out" / "duet" / "tuba.wav").is_file()


def test_output_that_cannot_be_reached_is_one_line(duet, tmp_path, locked):
    for folder, words in (("x" * 300, "File name too long"), ("locked", "Permission denied")):
        outcome = invoke(*SEPARATE, tmp_path / folder, duet)
        assert outcome.exit_code == 2 and len(outcome.stderr.splitlines()) == 1
        assert "Cannot write to" in outcome.stderr and words in outcome.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("separate", "duet.wav", "--instruments", "vn", "--model", "locked/model.keras"),
        ("annotate", "film.mp4", "--detector", "labels:locked/labels.json"),
        ("evaluate", "--estimates", "locked/theirs", "--references", "locked/true", "-o", "scores"),
        ("export", "locked/run", "-o", "model.keras"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_folder_that_may_not_be_entered_is_one_line(duet, film, tmp_path, monkeypatch, locked, command):
    for name, target in (("duet.wav", duet), ("film.mp4", film)):
        (tmp_path / name).symlink_to(target)
    monkeypatch.chdir(tmp_path)
    outcome = invoke(*command)
    assert outcome.exit_code == 2, outcome.output
    (line,) = outcome.stderr.splitlines()
    assert "No permission" in line and "locked/" in line and "unexpected" not in line


def test_one_of_many_that_may_not_be_read_is_the_user_s_to_mend(tmp_path):
    def read(path):
        raise PermissionError(13, "Permission denied", str(path))

    (failure,) = run_batch([tmp_path / "take.wav"], read).failures
    assert failure.is_users and error_line(failure.error).endswith(f"Received: {tmp_path / 'take.wav'}")
    assert error_line(PermissionError("h5 says no")) == "h5 says no"


@pytest.mark.parametrize(
    "error, line",
    [
        (OSError(errno.ENOSPC, "No space left on device", "/full/a.csv"), "another place. Received: /full/a.csv"),
        (OSError(errno.EROFS, "Read-only file system"), "Cannot write: Read-only file system; make room, or choose"),
        (OSError(errno.EIO, "Input/output error"), "unexpected OSError: [Errno 5] Input/output error"),
        (MediaError(errno.ENOSPC, "as it is said elsewhere"), "as it is said elsewhere"),
    ],
)
def test_a_full_disk_is_the_users_to_mend_wherever_it_is_found(error, line):
    assert line in error_line(error)
    assert is_users(error) == (error.errno != errno.EIO)


def test_folder_whose_files_cannot_be_reached_is_one_line(tmp_path, locked):
    (tmp_path / "locked.wav").touch()
    with pytest.raises(MediaError, match="Cannot search this folder .Permission denied.*Received: "):
        expand_folders([tmp_path])


def test_failure_keeps_its_lines_and_not_its_pictures():
    pictures = []

    def decode(picture):
        raise ValueError("bad picture")

    def look(path):
        picture = np.zeros(10)
        pictures.append(weakref.ref(picture))
        try:
            decode(picture)
        except ValueError as error:
            if path.name == "known":
                raise MediaError("no film") from error
            raise RuntimeError("no idea")

    outcome = run_batch([Path("known"), Path("unknown")], look)
    assert len(pictures) == 2 and not any(picture() is not None for picture in pictures)
    for failure, last in zip(outcome.failures, ("MediaError: no film", "RuntimeError: no idea")):
        told = "".join(traceback.format_exception(failure.error))
        assert "in decode" in told and 'raise ValueError("bad picture")' in told and last in told


def test_two_inputs_of_one_name_do_not_overwrite_each_other(duet, film, tmp_path):
    other = tmp_path / "duet.flac"
    waveform, rate = read_audio(duet)
    write_audio(other, 0.5 * waveform, rate, file_format="flac", bit_depth=24)
    outcome = invoke(*SEPARATE, tmp_path / "out", duet, other, "--overwrite")
    assert outcome.exit_code == 2 and "Two inputs of one name" in outcome.stderr
    kept, _ = read_audio(tmp_path / "out" / "duet" / "tuba.wav")
    total = kept + read_audio(tmp_path / "out" / "duet" / "violin.wav")[0]
    assert abs(total - waveform).max() < 1e-6


def test_an_input_that_failed_leaves_its_place_to_the_next_of_its_name(duet, mute_film, tmp_path):
    folder = tmp_path / "pair"
    folder.mkdir()
    (folder / "concert.mp4").write_bytes(mute_film.read_bytes())
    for name in ("concert.wav", "concert.x.wav"):
        (folder / name).write_bytes(duet.read_bytes())
    outcome = invoke(*SEPARATE, tmp_path / "out", folder)
    assert outcome.exit_code == 2 and "1 of 3 inputs failed" in outcome.stderr
    assert "concert.mp4" in outcome.stderr and "Two inputs of one name" not in outcome.stderr
    manifest = json.loads((tmp_path / "out" / "concert" / "manifest.json").read_text())
    assert manifest["input"]["path"] == str(folder / "concert.wav")


def test_json_lists_failures_too(duet, bad_inputs, tmp_path):
    empty, _ = bad_inputs["empty"]
    outcome = invoke(*SEPARATE, tmp_path / "out", duet, empty, "--json")
    done, failed = json.loads(outcome.stdout)
    assert done["input"] == str(duet) and failed["input"] == str(empty)
    assert "empty" in failed["error"] and outcome.exit_code == 2


def test_folder_is_searched(duet, tmp_path):
    outcome = invoke(*SEPARATE, tmp_path / "out", duet.parent)
    assert outcome.exit_code == 0 and (tmp_path / "out" / "duet" / "violin.wav").is_file()


def test_stems_of_an_earlier_run_are_no_recordings(duet, tmp_path):
    (tmp_path / "concert").mkdir()
    (tmp_path / "concert" / "duet.wav").write_bytes(duet.read_bytes())
    command = (*SEPARATE, tmp_path / "concert" / "out", tmp_path / "concert", "--overwrite")
    for _ in range(2):
        assert invoke(*command).exit_code == 0
        assert [path.name for path in (tmp_path / "concert" / "out").iterdir()] == ["duet"]


def test_folder_without_media_is_said(tmp_path):
    outcome = invoke("separate", tmp_path)
    assert outcome.exit_code == 2 and "none inside" in outcome.stderr


def test_models_are_listed():
    outcome = invoke("models")
    lines = [line.split(": ", 1) for line in outcome.stdout.splitlines()]
    assert outcome.exit_code == 0 and all(len(line) == 2 and line[1] for line in lines)
    assert [name for name, _ in lines] == [
        "conditioned_small", "log_frequency", "log_frequency_wave_unet (default)", "nmf", "nmf_frobenius",
        "nmf_itakura_saito", "wave_unet_conditioned", "wave_unet_duet", "wave_unet_expanded", "wiener",
        "mixture", "mixture_share", "nmf_blind", "ica", "pca",
    ]  # fmt: skip


def test_help_needs_no_tensorflow_and_is_quick():
    code = (
        "import sys; from click.testing import CliRunner; from pipelines.cli import main\n"
        "outcome = CliRunner().invoke(main, ['separate', '--help']); assert outcome.exit_code == 0\n"
        "heavy = {'tensorflow', 'keras', 'jax', 'matplotlib', 'cv2', 'pandas', 'scipy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    # Half a second on a free machine (see benchmarks/separate.py); a loaded one may take a few times as long.
    assert time.perf_counter() - started < 3


def test_wiener_with_named_instruments_needs_no_tensorflow(duet, tmp_path):
    code = (
        "import sys, av_sep\n"
        f"av_sep.separate({str(duet)!r}, {str(tmp_path)!r}, model='wiener', instruments=('vn', 'tba'))\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
