"""What is in a file, and which files are refused: on files made by ffmpeg and soundfile, and on broken ones."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from av_sep.errors import MediaError
from av_sep.media import ffmpeg_executable, probe, read_audio
from av_sep.media.probe import count_channels
from films import rotate_mp4, run_ffmpeg


@pytest.fixture(scope="module")
def performance(tmp_path_factory):
    """Two seconds of 321 x 243 pictures at 25 per second, with 44.1 kHz mono sound."""
    path = tmp_path_factory.mktemp("probe") / "performance.mp4"
    pictures = ("-f", "lavfi", "-i", "testsrc=size=321x243:rate=25:duration=2")
    sound = ("-f", "lavfi", "-i", "sine=440:duration=2:sample_rate=44100")
    run_ffmpeg(*pictures, *sound, "-c:v", "libx264", "-pix_fmt", "yuv444p", "-c:a", "aac", path)
    return path


def test_probe_of_a_video(performance):
    info = probe(performance)
    assert info.path == performance
    assert info.duration_seconds == pytest.approx(2.0, abs=0.05)
    assert (info.sample_rate_hz, info.num_channels) == (44100, 1)
    assert (info.width, info.height, info.fps) == (321, 243, 25.0)
    assert info.has_audio and info.has_video


@pytest.mark.parametrize(("sample_rate_hz", "num_channels"), [(8000, 1), (96000, 6), (44100, 13), (192000, 2)])
def test_probe_of_sound_only(tmp_path, sample_rate_hz, num_channels):
    path = tmp_path / "sound.wav"
    soundfile.write(path, np.zeros((sample_rate_hz // 2, num_channels)), sample_rate_hz)
    info = probe(str(path))
    assert (info.sample_rate_hz, info.num_channels) == (sample_rate_hz, num_channels)
    assert info.duration_seconds == pytest.approx(0.5, abs=0.01)
    assert info.has_audio and not info.has_video
    assert (info.width, info.height, info.fps) == (None, None, None)


def test_probe_of_pictures_only_with_a_fractional_rate(tmp_path):
    run_ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x48:rate=30000/1001:duration=1", "-c:v", "ffv1", tmp_path / "v.mkv")
    info = probe(tmp_path / "v.mkv")
    assert info.has_video and not info.has_audio
    assert (info.width, info.height) == (64, 48)
    assert info.fps == pytest.approx(29.97, abs=0.01)


@pytest.mark.parametrize(("degrees", "size"), [(90, (243, 321)), (180, (321, 243)), (270, (243, 321))])
def test_probe_applies_rotation(performance, tmp_path, degrees, size):
    path = Path(shutil.copy(performance, tmp_path / "phone.mp4"))
    rotate_mp4(path, degrees)
    info = probe(path)
    assert (info.width, info.height) == size


def test_album_art_is_not_video(tmp_path):
    run_ffmpeg("-f", "lavfi", "-i", "testsrc=size=100x80:rate=1:duration=1", "-frames:v", "1", tmp_path / "cover.jpg")
    soundfile.write(tmp_path / "plain.wav", 0.1 * np.ones((22050, 2)), 44100)
    inputs = ("-i", tmp_path / "plain.wav", "-i", tmp_path / "cover.jpg", "-map", "0", "-map", "1")
    run_ffmpeg(*inputs, "-c:v", "copy", "-disposition:v", "attached_pic", tmp_path / "song.mp3")
    info = probe(tmp_path / "song.mp3")
    assert info.has_audio and not info.has_video
    assert info.num_channels == 2


@pytest.mark.parametrize("extension", ["mkv", "webm", "nut", "mp4", "ts"])
def test_a_recording_that_does_not_begin_at_zero_is_as_long_as_it_is(tmp_path, extension):
    """Some formats say when it ends, others how long it is; a stream that was recorded in parts begins late."""
    path = tmp_path / f"late.{extension}"
    run_ffmpeg("-f", "lavfi", "-i", "sine=440:duration=3:sample_rate=48000", "-output_ts_offset", "5", path)
    assert probe(path).duration_seconds == pytest.approx(3.0, abs=0.1)
    assert len(read_audio(path)[0]) == pytest.approx(3 * 48000, abs=4800)


def test_an_unknown_duration_is_zero(tmp_path):
    sound = ("-f", "lavfi", "-i", "sine=440:duration=1:sample_rate=16000")
    # A FLAC file written into a pipe cannot be told its duration afterwards.
    command = [ffmpeg_executable(), "-v", "error", *sound, "-f", "flac", "pipe:"]
    (tmp_path / "live.flac").write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    assert probe(tmp_path / "live.flac").duration_seconds == 0.0
    assert probe(tmp_path / "live.flac").sample_rate_hz == 16000
    assert read_audio(tmp_path / "live.flac")[0].shape == (16000, 1)


def make_missing(path):
    pass


def make_folder(path):
    path.mkdir()


def make_empty(path):
    path.touch()


def make_text(path):
    path.write_text("The quick brown fox jumps over the lazy dog.\n" * 200)


def make_random(path):
    path.write_bytes(np.random.default_rng(0).bytes(50_000))


def make_zeros(path):
    path.write_bytes(bytes(50_000))


def make_fifo(path):
    os.mkfifo(path)


def make_subtitles(path):
    path.write_text("1\n00:00:01,000 --> 00:00:02,000\nNobody plays.\n")


@pytest.mark.parametrize(
    ("make", "name", "message"),
    [
        (make_missing, "missing.mp4", "There is no such file"),
        (make_folder, "folder.mp4", "not a folder"),
        (make_empty, "empty.mp4", r"empty \(0 bytes\)"),
        (make_text, "text.mp4", "Expected a sound or video file"),
        (make_text, "text.wav", "Expected a sound or video file"),
        (make_text, "text.txt", "Expected a sound or video file"),
        (make_random, "random.mp4", "Expected a sound or video file"),
        (make_zeros, "zeros.mov", "Expected a sound or video file"),
        (make_fifo, "fifo.wav", "not a pipe or device"),
        (make_subtitles, "song.srt", "neither"),
    ],
)
def test_what_is_no_media_file_is_refused_in_one_line(tmp_path, make, name, message):
    make(tmp_path / name)
    with pytest.raises(MediaError, match=message) as caught:
        probe(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_mp4_cut_off_before_its_index_is_refused(performance, tmp_path):
    (tmp_path / "cut.mp4").write_bytes(performance.read_bytes()[:10_000])
    with pytest.raises(MediaError, match="Expected a sound or video file .*moov atom not found"):
        probe(tmp_path / "cut.mp4")


@pytest.mark.skipif(not hasattr(os, "seteuid") or os.geteuid() != 0, reason="needs to act as another user")
def test_a_file_without_permission_is_refused():
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        path = Path(folder, "secret.wav")
        soundfile.write(path, np.ones(100), 8000)
        path.chmod(0)
        os.seteuid(65534)
        try:
            with pytest.raises(MediaError, match="No permission to read this file. Received: .*secret.wav"):
                probe(path)
        finally:
            os.seteuid(0)


@pytest.mark.parametrize(
    "name",
    [
        b"with space.wav",
        b"it's \"quoted\".wav",
        b"-y.wav",
        b"%03d.wav",
        b"100%25.wav",
        b"http:colon.wav",
        b"[0]*?#;|&$x.wav",
        b"back\\slash.wav",
        "Übung è 演奏.wav".encode(),
        b"not utf-8 \xff\xfe.wav",
        b"two\nlines.wav",
    ],
)
def test_any_file_name_is_taken_literally(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    waveform = np.random.default_rng(1).integers(-(2**15), 2**15, (500, 2)).astype(np.int16)
    soundfile.write("plain.wav", waveform, 22050)
    # A name that a pattern or a protocol would lead to instead.
    soundfile.write("001.wav", waveform[::-1], 22050)
    os.rename("plain.wav", os.fsdecode(name))
    decoded, sample_rate_hz = read_audio(os.fsdecode(name))
    assert sample_rate_hz == 22050
    np.testing.assert_array_equal(decoded, waveform / np.float32(2**15))


def test_an_odd_file_name_is_printable_in_messages(tmp_path):
    path = tmp_path / os.fsdecode(b"a\xff\nb.wav")
    with pytest.raises(MediaError, match=r"Received: .*a\\xff\\nb\.wav$"):
        probe(path)


@pytest.mark.parametrize(
    ("layout", "num_channels"),
    [
        ("mono", 1),
        ("stereo", 2),
        ("2.1", 3),
        ("5.1", 6),
        ("5.1(side)", 6),
        ("7.1.4", 12),
        ("22.2", 24),
        ("quad(side)", 4),
        ("cube", 8),
        ("13 channels", 13),
        ("3 channels (FL+FR+LFE)", 3),
        ("FL+FR+LFE", 3),
        ("ambisonic 1", 4),
    ],
)
def test_count_channels(layout, num_channels):
    assert count_channels(layout) == num_channels


def test_an_unknown_layout_is_an_error():
    with pytest.raises(MediaError, match="Received: 'surround sound'"):
        count_channels("surround sound")


def test_ffmpeg_executable_runs():
    answer = subprocess.run([ffmpeg_executable(), "-version"], capture_output=True, text=True, check=True)
    assert answer.stdout.startswith("ffmpeg version")


ON_PATH = """
import shutil, subprocess
from av_sep.media import ensure_ffmpeg_on_path, ffmpeg_executable
expected = ffmpeg_executable()
assert shutil.which("ffmpeg") is None
ensure_ffmpeg_on_path()
ensure_ffmpeg_on_path()
import os, stempeg
assert os.path.realpath(shutil.which("ffmpeg")) == os.path.realpath(expected)
assert stempeg.ffmpeg_version()
probe = subprocess.run(["ffprobe"], capture_output=True, text=True)
print(probe.returncode, "stand-in" in probe.stderr, os.path.dirname(shutil.which("ffprobe")))
"""


def test_ensure_ffmpeg_on_path_satisfies_stempeg_and_cleans_up(tmp_path):
    # A PATH with nothing but a shell on it, whatever is installed on this machine.
    (tmp_path / "sh").symlink_to(shutil.which("sh"))
    environment = {**os.environ, "PATH": str(tmp_path)}
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ON_PATH], env=environment, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    status, stands_in, folder = answer.stdout.split()
    assert (status, stands_in) == ("1", "True")
    assert not Path(folder).exists()
