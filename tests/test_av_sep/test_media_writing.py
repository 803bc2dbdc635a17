"""Sound into files: read back by soundfile, which shares no code with the writer."""

import errno
import os
import re
import resource
import struct
import subprocess
import sys
from pathlib import Path

import ffmpeg
import numpy as np
import pytest
import soundfile

from av_sep.errors import MediaError, ParameterError
from av_sep.media import AUDIO_FORMATS, BIT_DEPTHS, AudioWriter, probe, read_audio, write_audio
from av_sep.media.encoder_pipe import EncoderPipe
from av_sep.media.wav import wav_header

RATE_HZ = 44100


def random_waveform(num_samples, num_channels, bit_depth):
    """Float32 `[time, channels]` that the bit depth holds exactly; loudness differs from channel to channel."""
    values = np.random.default_rng(0).uniform(-1, 1, (num_samples, num_channels)) * np.linspace(1, 0.3, num_channels)
    if bit_depth == 32:
        return (3 * values).astype(np.float32)
    full_scale = 2 ** (bit_depth - 1)
    return (np.round(values * full_scale).clip(-full_scale, full_scale - 1) / full_scale).astype(np.float32)


@pytest.mark.parametrize(
    ("file_format", "bit_depth", "subtype"),
    [
        ("wav", 16, "PCM_16"),
        ("wav", 24, "PCM_24"),
        ("wav", 32, "FLOAT"),
        ("flac", 16, "PCM_16"),
        ("flac", 24, "PCM_24"),
    ],
)
@pytest.mark.parametrize(("sample_rate_hz", "num_channels"), [(8000, 1), (44100, 2), (96000, 6)])
def test_round_trips_are_exact(tmp_path, file_format, bit_depth, subtype, sample_rate_hz, num_channels):
    waveform = random_waveform(5001, num_channels, bit_depth)
    path = tmp_path / f"stem.{file_format}"
    options = {"file_format": file_format, "bit_depth": bit_depth}
    with AudioWriter(path, sample_rate_hz, num_channels, **options) as writer:
        for start, stop in [(0, 1), (1, 1), (1, 1000), (1000, 5001)]:
            writer.write(waveform[start:stop])
        assert writer.num_samples == 5001
    assert (writer.num_clipped, writer.bit_depth) == (0, bit_depth)
    info = soundfile.info(path)
    assert (info.samplerate, info.channels, info.frames) == (sample_rate_hz, num_channels, 5001)
    assert (info.subtype, info.format.lower()) == (subtype, file_format)
    np.testing.assert_array_equal(soundfile.read(path, dtype="float32", always_2d=True)[0], waveform)
    decoded, decoded_rate_hz = read_audio(path)
    np.testing.assert_array_equal(decoded, waveform)
    assert decoded_rate_hz == sample_rate_hz


def test_32_bits_in_flac_are_24(tmp_path):
    with AudioWriter(tmp_path / "stem.flac", RATE_HZ, 1, file_format="flac") as writer:
        writer.write(np.zeros((10, 1)))
    assert writer.bit_depth == 24
    assert soundfile.info(tmp_path / "stem.flac").subtype == "PCM_24"


@pytest.mark.parametrize("file_format", ["wav", "flac"])
@pytest.mark.parametrize("bit_depth", [16, 24])
def test_integer_formats_clip_and_count_and_never_wrap(tmp_path, file_format, bit_depth):
    waveform = np.array([[0.0, 1.0], [1.5, -1.0], [-7.0, 0.25], [1.0000001, -0.5]], np.float32)
    path = tmp_path / "stem"
    num_clipped = write_audio(path, waveform, RATE_HZ, file_format=file_format, bit_depth=bit_depth)
    # 1.0 and -1.0 are full scale, not beyond it.
    assert num_clipped == 3
    largest = 1 - 2.0 ** (1 - bit_depth)
    stored = soundfile.read(path, dtype="float64")[0]
    np.testing.assert_array_equal(stored, [[0, largest], [largest, -1], [-1, 0.25], [largest, -0.5]])


@pytest.mark.parametrize("num_samples", [1, 15, 4097])
def test_flac_of_any_length(tmp_path, num_samples):
    waveform = random_waveform(num_samples, 2, 24)
    write_audio(tmp_path / "stem.flac", waveform, RATE_HZ)
    np.testing.assert_array_equal(soundfile.read(tmp_path / "stem.flac", dtype="float32")[0], waveform)


def test_float_files_keep_what_is_beyond_full_scale(tmp_path):
    waveform = np.array([[0.0, 100.0], [1.5, -1.0]], np.float32)
    assert write_audio(tmp_path / "stem.wav", waveform, RATE_HZ) == 0
    np.testing.assert_array_equal(soundfile.read(tmp_path / "stem.wav", dtype="float32")[0], waveform)


def test_integers_are_rounded_to_the_nearest(tmp_path):
    values = (np.array([100.4, 100.6, -100.4, -100.6]) / 2**15)[:, None]
    write_audio(tmp_path / "stem.wav", values, RATE_HZ, bit_depth=16)
    np.testing.assert_array_equal(soundfile.read(tmp_path / "stem.wav", dtype="int16")[0], [100, 101, -100, -101])


@pytest.mark.parametrize(("sample_rate_hz", "num_channels"), [(44100, 2), (48000, 1), (22050, 2), (8000, 1)])
def test_mp3_keeps_pitch_level_and_length(tmp_path, sample_rate_hz, num_channels):
    seconds = np.arange(2 * sample_rate_hz) / sample_rate_hz
    sine = 0.4 * np.sin(2 * np.pi * 440 * seconds)
    waveform = sine[:, None] * np.linspace(1, 0.5, num_channels)
    with AudioWriter(tmp_path / "stem.mp3", sample_rate_hz, num_channels, file_format="mp3") as writer:
        writer.write(waveform[:1000])
        writer.write(waveform[1000:])
    assert (writer.bit_depth, writer.num_clipped) == (None, 0)
    info = soundfile.info(tmp_path / "stem.mp3")
    assert (info.samplerate, info.channels, info.format) == (sample_rate_hz, num_channels, "MP3")
    decoded, _ = read_audio(tmp_path / "stem.mp3")
    assert 0 <= len(decoded) - len(sine) < 2400
    middle = slice(sample_rate_hz // 2, sample_rate_hz)
    np.testing.assert_allclose(decoded[middle], waveform[middle], atol=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample_rate_hz": 96000, "file_format": "mp3"}, "8000, .* 44100, 48000 Hz; choose wav .* Received: 96000"),
        ({"num_channels": 6, "file_format": "mp3"}, "mp3 file holds 1 to 2 channels; choose wav for more. Received: 6"),
        ({"num_channels": 9, "file_format": "flac"}, "flac file holds 1 to 8 channels.* Received: 9"),
        ({"num_channels": 0}, "Received: 0"),
        ({"sample_rate_hz": 0}, "Received: 0"),
        ({"sample_rate_hz": 700_000, "file_format": "flac"}, "1 to 655350 Hz. Received: 700000"),
        ({"file_format": "aiff"}, "one of wav, flac, mp3. Received: 'aiff'"),
        ({"bit_depth": 8}, "16, 24 or 32. Received: 8"),
    ],
)
def test_what_a_format_cannot_hold_is_an_error(tmp_path, options, message):
    arguments = {"sample_rate_hz": RATE_HZ, "num_channels": 2, **options}
    with pytest.raises(ParameterError, match=message):
        AudioWriter(tmp_path / "stem", **arguments)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (np.zeros(10), r"\[time, 2\]. Received: float64 \[10\]"),
        (np.zeros((2, 10)), r"\[time, 2\]. Received: float64 \[2, 10\]"),
        (np.zeros((10, 2), np.int16), r"float samples .* Received: int16 \[10, 2\]"),
        (np.full((10, 2), np.nan), "finite samples"),
        (np.full((10, 2), np.inf), "finite samples"),
    ],
)
def test_blocks_that_are_no_sound_are_errors_and_leave_no_file(tmp_path, block, message):
    with pytest.raises(ParameterError, match=message):
        with AudioWriter(tmp_path / "stem.wav", RATE_HZ, 2) as writer:
            writer.write(block)
    assert os.listdir(tmp_path) == []


def test_writing_outside_the_with_statement_is_an_error(tmp_path):
    writer = AudioWriter(tmp_path / "stem.wav", RATE_HZ, 1)
    with pytest.raises(ParameterError, match="inside its `with` statement"):
        writer.write(np.zeros((10, 1)))
    with writer:
        writer.write(np.ones((10, 1)))
    with pytest.raises(ParameterError, match="inside its `with` statement"):
        writer.write(np.zeros((10, 1)))
    assert soundfile.info(tmp_path / "stem.wav").frames == 10


@pytest.mark.parametrize("file_format", AUDIO_FORMATS)
def test_a_file_appears_when_it_is_complete_and_not_after_a_failure(tmp_path, file_format):
    path = tmp_path / f"stem.{file_format}"
    path.write_text("earlier")
    with pytest.raises(KeyError):
        with AudioWriter(path, RATE_HZ, 1, file_format=file_format) as writer:
            writer.write(np.ones((100_000, 1)))
            raise KeyError("the separator failed")
    assert path.read_text() == "earlier"
    assert os.listdir(tmp_path) == [path.name]
    with AudioWriter(path, RATE_HZ, 1, file_format=file_format) as writer:
        writer.write(np.ones((10_000, 1)))
        assert path.read_text() == "earlier"
    assert probe(path).num_channels == 1
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("file_format", AUDIO_FORMATS)
def test_a_missing_folder_is_an_error_in_one_line(tmp_path, file_format):
    with pytest.raises(MediaError, match="Cannot write .*nowhere/stem: No such file or directory$"):
        write_audio(tmp_path / "nowhere" / "stem", np.zeros((10, 1)), RATE_HZ, file_format=file_format)


@pytest.fixture
def small_disk(tmp_path):
    """A real disk of 200 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("needs the right to mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("block_samples", [1000, 200_000])
@pytest.mark.parametrize(("file_format", "bit_depth"), [("wav", 16), ("wav", 32), ("flac", 24), ("mp3", 32)])
def test_a_full_disk_is_an_error_in_one_line_and_leaves_nothing(small_disk, file_format, bit_depth, block_samples):
    path = small_disk / f"stem.{file_format}"
    noise = np.random.default_rng(0).uniform(-1, 1, (600_000, 2))
    with pytest.raises(MediaError, match=f"^Cannot write {re.escape(str(path))}: .*No space left on device$") as caught:
        with AudioWriter(path, RATE_HZ, 2, file_format=file_format, bit_depth=bit_depth) as writer:
            for start in range(0, len(noise), block_samples):
                writer.write(noise[start : start + block_samples])
    assert "\n" not in str(caught.value)
    assert os.listdir(small_disk) == []
    # What fits is written.
    write_audio(path, noise[:1000], RATE_HZ, file_format=file_format, bit_depth=bit_depth)
    assert os.listdir(small_disk) == [path.name]


@pytest.mark.parametrize("num_bytes_beyond", [0, 4, 100])
def test_a_disk_that_is_full_at_the_very_end_is_an_error(small_disk, num_bytes_beyond):
    # The last bytes leave Python's buffer only when the file is closed.
    free_bytes = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize
    header_bytes = len(wav_header(0, RATE_HZ, 1, 32))
    waveform = np.ones(((free_bytes - header_bytes + num_bytes_beyond) // 4, 1), np.float32)
    if num_bytes_beyond:
        with pytest.raises(MediaError, match="No space left on device$"):
            write_audio(small_disk / "stem.wav", waveform, RATE_HZ)
        assert os.listdir(small_disk) == []
    else:
        write_audio(small_disk / "stem.wav", waveform, RATE_HZ)
        np.testing.assert_array_equal(soundfile.read(small_disk / "stem.wav")[0], waveform[:, 0])


def test_an_encoder_that_complains_and_ends_well_has_failed(tmp_path, monkeypatch):
    """As some versions of ffmpeg do on a full disk; played by a script."""
    complaint = "[mp3 @ 0x55] av_interleaved_write_frame(): No space left on device"
    (tmp_path / "ffmpeg").write_text(f"#!/bin/sh\ncat > /dev/null\necho '{complaint}' >&2\n")
    (tmp_path / "ffmpeg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    source = ffmpeg.input("pipe:", format="s16le", ar=8000, ac=1)
    with pytest.raises(MediaError, match="^Cannot write stem.mp3: No space left on device$"):
        with EncoderPipe(source.output(str(tmp_path / ".hidden.part.mp3")), Path("stem.mp3")) as pipe:
            pipe.write(b"sound")


OUTGROW = """
import sys
import numpy as np
from av_sep.errors import MediaError
from av_sep.media import write_audio
try:
    write_audio(sys.argv[1], np.random.default_rng(0).uniform(-1, 1, (100_000, 2)), 44100)
except MediaError as error:
    print(error)
"""


@pytest.mark.parametrize(("file_format", "reason"), [("wav", os.strerror(errno.EFBIG)), ("flac", ""), ("mp3", "")])
def test_a_file_that_may_not_grow_is_an_error_in_one_line(tmp_path, file_format, reason):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))

    path = tmp_path / f"stem.{file_format}"
    command = [sys.executable, "-c", OUTGROW, str(path)]
    answer = subprocess.run(command, preexec_fn=limit, capture_output=True, text=True, check=True)
    assert re.fullmatch(f"Cannot write {re.escape(str(path))}: .*{reason}\n", answer.stdout)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("bit_depth", "subtype"), [(16, "PCM_16"), (24, "PCM_24"), (32, "FLOAT")])
def test_headers_above_4_gb_are_rf64(tmp_path, bit_depth, subtype):
    bytes_per_time = 2 * bit_depth // 8
    num_samples = 5 * 2**30 // bytes_per_time
    header = wav_header(num_samples * bytes_per_time, 48000, 2, bit_depth)
    assert header[:4] == b"RF64"
    path = tmp_path / "huge.wav"
    last = np.array([0.25, -0.5])
    encoded = struct.pack("<2f", *last) if bit_depth == 32 else b"".join(
        int(value * 2 ** (bit_depth - 1)).to_bytes(bit_depth // 8, "little", signed=True) for value in last
    )
    with path.open("wb") as file:
        # The middle is a hole: it takes no room on the disk.
        file.write(header)
        file.seek(len(header) + (num_samples - 1) * bytes_per_time)
        file.write(encoded)
    info = soundfile.info(path)
    assert (info.frames, info.format, info.subtype, info.channels) == (num_samples, "RF64", subtype, 2)
    with soundfile.SoundFile(path) as file:
        file.seek(num_samples - 1)
        np.testing.assert_array_equal(file.read(10), last[None])
    assert probe(path).duration_seconds == pytest.approx(num_samples / 48000, abs=0.1)


def test_the_step_to_rf64_is_where_32_bits_end():
    header_bytes = len(wav_header(0, 48000, 1, 16))
    largest = 2**32 - 2 - (header_bytes - 8)
    assert wav_header(largest, 48000, 1, 16)[:4] == b"RIFF"
    assert wav_header(largest + 2, 48000, 1, 16)[:4] == b"RF64"
    assert len(wav_header(largest + 2, 48000, 1, 16)) == header_bytes


@pytest.mark.parametrize("num_samples", [0, 1, 2, 7])
@pytest.mark.parametrize("bit_depth", BIT_DEPTHS)
def test_every_wav_file_is_well_formed(tmp_path, num_samples, bit_depth):
    write_audio(tmp_path / "stem.wav", np.full((num_samples, 1), 0.5), 8000, bit_depth=bit_depth)
    data = (tmp_path / "stem.wav").read_bytes()
    assert struct.unpack("<4sI4s", data[:12]) == (b"RIFF", len(data) - 8, b"WAVE")
    position, sizes = 12, {}
    while position < len(data):
        name, size = struct.unpack("<4sI", data[position : position + 8])
        sizes[name] = size
        position += 8 + size + size % 2
    assert position == len(data)
    assert sizes[b"data"] == num_samples * bit_depth // 8
    np.testing.assert_array_equal(soundfile.read(tmp_path / "stem.wav")[0], np.full(num_samples, 0.5))


@pytest.mark.parametrize(("name", "written"), [("a.flac", "FLAC"), ("a.MP3", "MP3"), ("a.wav", "WAV"), ("a", "WAV")])
def test_write_audio_takes_the_format_from_the_name(tmp_path, name, written):
    write_audio(tmp_path / name, np.zeros((5000, 1)), RATE_HZ)
    assert soundfile.info(tmp_path / name).format == written


def test_write_audio_wants_two_axes(tmp_path):
    with pytest.raises(ParameterError, match=r"\[time, channels\]. Received: \[10\]"):
        write_audio(tmp_path / "a.wav", np.zeros(10), RATE_HZ)


def test_many_writers_at_once(tmp_path):
    waveforms = [random_waveform(20_000, 1, 24) * (i + 1) / 16 for i in range(6)]
    writers = [AudioWriter(tmp_path / f"{i}.flac", RATE_HZ, 1, file_format="flac") for i in range(6)]
    for writer in writers:
        writer.__enter__()
    for start in range(0, 20_000, 5000):
        for writer, waveform in zip(writers, waveforms):
            writer.write(waveform[start : start + 5000])
    for writer in writers:
        writer.__exit__(None, None, None)
    for i, waveform in enumerate(waveforms):
        stored = soundfile.read(tmp_path / f"{i}.flac", always_2d=True)[0]
        np.testing.assert_allclose(stored, waveform, atol=2.0**-24)
