"""Sound out of files: held against soundfile, against sines and claps of known place, and out of files cut short."""

import logging
import os
import re
import subprocess
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import soundfile

from av_sep.errors import MediaError, ParameterError
from av_sep.media import ffmpeg_executable, open_audio, read_audio, video_frames
from av_sep.media.claimed_size import promised_bytes_ratio
from films import run_ffmpeg

RATE_HZ = 44100


def child_processes():
    """Ids of this process's children, dead ones that nobody waited for included."""
    children = set()
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue  # ended since
        if int(fields[1]) == os.getpid():
            children.add(status.parent.name)
    return children


@pytest.fixture
def leaves_nothing_behind():
    """Fails a test that leaves a process, an open file or a thread behind."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc to count processes and open files")
    before = (child_processes(), len(os.listdir("/proc/self/fd")), threading.active_count())
    yield
    assert (child_processes(), len(os.listdir("/proc/self/fd")), threading.active_count()) == before


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("reading")


@pytest.fixture(scope="module")
def noise():
    """A second of three-channel noise, int16 `[time, channels]`."""
    return np.random.default_rng(0).integers(-(2**15), 2**15, (RATE_HZ, 3)).astype(np.int16)


@pytest.fixture(scope="module")
def noise_path(folder, noise):
    soundfile.write(folder / "noise.wav", noise, RATE_HZ)
    return folder / "noise.wav"


@pytest.fixture(scope="module")
def concert_path(folder):
    """Six seconds of pictures and sound in an mp4 whose index comes first, so that what is left of it can be opened."""
    pictures = ("-f", "lavfi", "-i", "testsrc=size=160x120:rate=10:duration=6")
    sound = ("-f", "lavfi", "-i", f"sine=440:duration=6:sample_rate={RATE_HZ}")
    encoders = ("-c:v", "mpeg4", "-b:v", "200k", "-c:a", "aac", "-movflags", "+faststart")
    run_ffmpeg(*pictures, *sound, *encoders, folder / "concert.mp4")
    return folder / "concert.mp4"


@pytest.mark.parametrize(
    ("suffix", "subtype", "sample_rate_hz", "num_channels"),
    [
        ("wav", "PCM_16", 8000, 1),
        ("wav", "PCM_24", 96000, 6),
        ("wav", "FLOAT", 44100, 2),
        ("wav", "PCM_U8", 11025, 1),
        ("wav", "FLOAT", 22050, 13),
        ("flac", "PCM_24", 96000, 6),
        ("flac", "PCM_16", 48000, 8),
        ("aiff", "PCM_16", 44100, 5),
        ("w64", "FLOAT", 44100, 2),
        ("rf64", "FLOAT", 44100, 2),
    ],
)
def test_lossless_files_come_out_as_soundfile_reads_them(tmp_path, suffix, subtype, sample_rate_hz, num_channels):
    # Not symmetric in time or channels: a shifted, reversed or reordered copy differs.
    waveform = np.random.default_rng(2).uniform(-1, 1, (5001, num_channels)) * np.linspace(0.2, 1, num_channels)
    path = tmp_path / f"sound.{suffix}"
    soundfile.write(path, waveform, sample_rate_hz, subtype=subtype, format=suffix.upper())
    decoded, decoded_rate_hz = read_audio(path)
    expected, _ = soundfile.read(path, dtype="float32", always_2d=True)
    assert decoded_rate_hz == sample_rate_hz
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(decoded, expected)


def test_float_samples_beyond_full_scale_are_kept(tmp_path):
    waveform = np.array([[0.5, -7.25], [3.0, 1e-9], [-1.5, 1.0]], np.float32)
    soundfile.write(tmp_path / "loud.wav", waveform, RATE_HZ, subtype="FLOAT")
    np.testing.assert_array_equal(read_audio(tmp_path / "loud.wav")[0], waveform)


@pytest.mark.parametrize("block_samples", [1000, 44099, 44100, 65536])
def test_blocks_make_up_the_whole_whatever_their_size(noise_path, noise, block_samples):
    with open_audio(noise_path, block_samples=block_samples) as reader:
        assert (reader.sample_rate_hz, reader.num_channels) == (RATE_HZ, 3)
        assert reader.duration_seconds == pytest.approx(1.0)
        blocks = list(reader.blocks())
        assert reader.num_samples_read == RATE_HZ
    assert all(len(block) == block_samples for block in blocks[:-1])
    assert 1 <= len(blocks[-1]) <= block_samples
    np.testing.assert_array_equal(np.concatenate(blocks), noise / np.float32(2**15))


@pytest.mark.parametrize(
    ("name", "options", "frequency_hz"),
    [
        ("sine.m4a", ("-c:a", "aac", "-b:a", "128k"), 440.0),
        ("sine.mp3", ("-c:a", "libmp3lame", "-b:a", "192k"), 1234.0),
        ("sine.ogg", ("-c:a", "libvorbis", "-q:a", "6"), 440.0),
    ],
)
def test_a_sine_in_a_lossy_file_keeps_pitch_level_phase_and_length(tmp_path, name, options, frequency_hz):
    seconds = np.arange(2 * RATE_HZ) / RATE_HZ
    sine = 0.3 * np.sin(2 * np.pi * frequency_hz * seconds)
    soundfile.write(tmp_path / "sine.wav", np.stack([sine, -0.5 * sine], 1), RATE_HZ, subtype="FLOAT")
    run_ffmpeg("-i", tmp_path / "sine.wav", *options, tmp_path / name)
    decoded, sample_rate_hz = read_audio(tmp_path / name)
    assert sample_rate_hz == RATE_HZ
    # Encoders work in blocks of about a thousand samples and may fill up the last one.
    assert 0 <= len(decoded) - len(sine) < 1200
    middle = slice(RATE_HZ // 2, RATE_HZ)
    np.testing.assert_allclose(decoded[middle, 0], sine[middle], atol=0.02)
    np.testing.assert_allclose(decoded[middle, 1], -0.5 * sine[middle], atol=0.02)


@pytest.mark.parametrize(("name", "encoder"), [("clap.mp4", "aac"), ("clap.mkv", "flac"), ("clap.mov", "pcm_s16le")])
@pytest.mark.parametrize("delay_seconds", [0.0, 0.5])
def test_a_clap_is_where_it_was_in_the_file_even_if_sound_starts_late(tmp_path, name, encoder, delay_seconds):
    clap = np.zeros(RATE_HZ, np.float32)
    clap[10_000] = 0.9
    soundfile.write(tmp_path / "clap.wav", clap, RATE_HZ)
    pictures = ("-f", "lavfi", "-i", "testsrc=size=64x48:rate=25:duration=2")
    sound = ("-itsoffset", delay_seconds, "-i", tmp_path / "clap.wav")
    run_ffmpeg(*pictures, *sound, "-map", "0", "-map", "1", "-c:v", "mpeg4", "-c:a", encoder, tmp_path / name)
    decoded, _ = read_audio(tmp_path / name)
    # Containers may keep times in milliseconds.
    tolerance_samples = 45 if delay_seconds else 0
    assert np.argmax(np.abs(decoded)) == pytest.approx(10_000 + delay_seconds * RATE_HZ, abs=tolerance_samples)
    assert np.max(np.abs(decoded)) > 0.4


def test_memory_does_not_grow_with_the_file(tmp_path):
    num_samples = 60 * RATE_HZ
    soundfile.write(tmp_path / "long.wav", np.zeros((num_samples, 2), np.int16), RATE_HZ)
    with open_audio(tmp_path / "long.wav") as reader:
        tracemalloc.start()
        total = sum(len(block) for block in reader.blocks())
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert total == num_samples
    # Whole, it would take 21 MB.
    assert peak_bytes < 5e6


def test_no_sound_stream_is_an_error(tmp_path):
    run_ffmpeg("-f", "lavfi", "-i", "testsrc=size=64x48:rate=5:duration=1", "-c:v", "mpeg4", tmp_path / "silent.mp4")
    with pytest.raises(MediaError, match="no sound stream. Received: .*silent.mp4"):
        open_audio(tmp_path / "silent.mp4")


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_an_empty_sound_stream_is_an_error(tmp_path, suffix, leaves_nothing_behind):
    soundfile.write(tmp_path / f"empty.{suffix}", np.zeros((0, 2)), RATE_HZ)
    with pytest.raises(MediaError, match=r"empty\.|no sound") as caught:
        open_audio(tmp_path / f"empty.{suffix}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("value", "shown"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_samples_that_are_no_numbers_are_reported_with_their_time(tmp_path, value, shown, leaves_nothing_behind):
    waveform = np.full((2 * RATE_HZ, 2), 0.25)
    waveform[int(1.5 * RATE_HZ), 1] = value
    soundfile.write(tmp_path / "holes.wav", waveform, RATE_HZ, subtype="FLOAT")
    with pytest.raises(MediaError, match=rf"holds {shown} at 1\.500 s \(channel 2\)"):
        read_audio(tmp_path / "holes.wav")


def cut(source, path, fraction):
    data = source.read_bytes()
    path.write_bytes(data[: int(len(data) * fraction)])


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi", "wav", "flac", "mp3", "aiff", "w64", "wma", "wmv"])
def test_a_file_cut_short_is_never_a_shorter_result(concert_path, tmp_path, suffix, leaves_nothing_behind):
    whole = tmp_path / f"whole.{suffix}"
    encoders = {
        "mp4": ("-c", "copy", "-movflags", "+faststart"),
        "mkv": ("-c", "copy"),
        "avi": ("-c:v", "copy", "-c:a", "pcm_s16le"),
        "wmv": ("-c:v", "copy", "-c:a", "wmav2"),
    }
    run_ffmpeg("-i", concert_path, *encoders.get(suffix, ("-vn",)), whole)
    assert len(read_audio(whole)[0]) == pytest.approx(6 * RATE_HZ, abs=0.1 * RATE_HZ)
    cut(whole, tmp_path / f"cut.{suffix}", 0.6)
    with pytest.raises(MediaError, match="damaged or cut off") as caught:
        read_audio(tmp_path / f"cut.{suffix}")
    read_seconds, promised_seconds = map(float, re.search(r"only ([\d.]+) of ([\d.]+) sec", str(caught.value)).groups())
    assert read_seconds == pytest.approx(3.6, abs=0.7)
    # These promise a number of bytes only, an AVI file without the index at its end; and a second's bytes differ.
    assert promised_seconds == pytest.approx(6.0, abs=0.7 if suffix in ("avi", "wmv") else 0.1)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def minute_path(folder):
    """A minute of pictures and of noise, which no encoder can leave out."""
    pictures = ("-f", "lavfi", "-i", "testsrc=size=32x32:rate=5:duration=60")
    sound = ("-f", "lavfi", "-i", "anoisesrc=r=22050:a=0.1:d=60:seed=1")
    run_ffmpeg(*pictures, *sound, "-c:v", "mpeg4", "-c:a", "pcm_s16le", folder / "minute.mkv")
    return folder / "minute.mkv"


@pytest.mark.parametrize("suffix", ["wav", "mp3", "flac", "aiff", "w64", "mkv", "mp4", "wma"])
def test_a_file_that_lacks_its_last_seconds_is_read_and_told(minute_path, tmp_path, suffix, caplog):
    whole = tmp_path / f"whole.{suffix}"
    encoders = {"mp4": ("-c:v", "copy", "-movflags", "+faststart"), "mkv": ("-c", "copy")}
    encoders["wma"] = ("-vn", "-b:a", "64k")
    run_ffmpeg("-i", minute_path, *encoders.get(suffix, ("-vn",)), whole)
    cut(whole, tmp_path / f"cut.{suffix}", 0.96)
    with open_audio(tmp_path / f"cut.{suffix}") as reader:
        num_samples = sum(map(len, reader.blocks()))
    missing_seconds = 60 - num_samples / reader.sample_rate_hz
    assert 1.2 < missing_seconds < 3.0
    assert reader.damage is not None and reader.damage.startswith("cut off ")
    told_seconds = float(re.match(r"cut off ([\d.]+) s before the promised end, read all", reader.damage).group(1))
    assert told_seconds == pytest.approx(missing_seconds, abs=0.3)
    assert f"cut.{suffix} is {reader.damage}" in caplog.text


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_pictures_that_lack_their_last_seconds_are_read_and_told(minute_path, tmp_path, suffix, caplog):
    run_ffmpeg("-i", minute_path, "-c:v", "copy", "-an", "-movflags", "+faststart", tmp_path / f"whole.{suffix}")
    cut(tmp_path / f"whole.{suffix}", tmp_path / f"cut.{suffix}", 0.96)
    frames = video_frames(tmp_path / f"cut.{suffix}", frames_per_second=5)
    missing_seconds = 60 - len(list(frames)) / 5
    assert 1.2 < missing_seconds < 3.0
    assert frames.damage is not None and f"cut.{suffix} is {frames.damage}" in caplog.text
    told_seconds = float(re.match(r"cut off ([\d.]+) s before", frames.damage).group(1))
    assert told_seconds == pytest.approx(missing_seconds, abs=0.3)
    assert next(frames, None) is None and frames.damage is not None


HEALTHY = {
    "cbr.mp3": ("-vn", "-b:a", "64k"),
    "vbr.mp3": ("-vn", "-q:a", 4),
    "without_xing.mp3": ("-vn", "-q:a", 4, "-write_xing", 0),
    "sound.wav": ("-vn",),
    "sound.flac": ("-vn",),
    "sound.aiff": ("-vn",),
    "sound.w64": ("-vn",),
    "sound.wma": ("-vn",),
    "sound.ogg": ("-vn", "-c:a", "libvorbis"),
    "sound.opus": ("-vn", "-ar", 48000),
    "sound.m4a": ("-vn", "-c:a", "aac"),
    "sound.aac": ("-vn", "-c:a", "aac"),
    "film.mp4": ("-c:a", "aac"),
    # Begins at a picture that is no key picture, which takes an edit list.
    "edit_list.mp4": ("-ss", 2.5, "-c:v", "copy", "-c:a", "aac"),
    "film.mov": ("-c:a", "aac"),
    "film.mkv": ("-c:a", "flac"),
    "film.webm": ("-c:v", "vp8", "-c:a", "libvorbis"),
    "film.avi": ("-c:a", "mp3"),
    "film.wmv": (),
    "film.flv": ("-c:v", "flv", "-c:a", "mp3"),
    "film.mpg": ("-r", 25, "-c:v", "mpeg1video", "-c:a", "mp2"),
    "film.ts": ("-r", 25, "-c:v", "mpeg2video", "-c:a", "mp2"),
    "longer_pictures.mp4": ("-af", "atrim=end=57.5", "-c:a", "aac"),
    "longer_pictures.mkv": ("-af", "atrim=end=57.5", "-c:a", "flac"),
    "longer_sound.mp4": ("-vf", "trim=end=57.5", "-c:a", "aac"),
    "longer_sound.avi": ("-vf", "trim=end=57.5", "-c:a", "mp3"),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_files_of_every_kind_are_read_without_a_word(minute_path, tmp_path, name, caplog):
    run_ffmpeg("-i", minute_path, *HEALTHY[name], tmp_path / name)
    with open_audio(tmp_path / name) as reader:
        num_samples = sum(map(len, reader.blocks()))
    assert num_samples / reader.sample_rate_hz == pytest.approx(60, abs=2.6)
    assert (reader.damage, caplog.text) == (None, "")
    if "-vn" not in HEALTHY[name]:
        frames = video_frames(tmp_path / name)
        assert len(list(frames)) == pytest.approx(60, abs=3)
        assert (frames.damage, caplog.text) == (None, "")


@pytest.mark.parametrize(
    ("suffix", "subtype"), [("w64", "PCM_24"), ("w64", "FLOAT"), ("caf", "PCM_16"), ("rf64", "PCM_16")]
)
def test_uncompressed_files_are_held_to_the_size_they_claim(tmp_path, suffix, subtype):
    waveform = np.random.default_rng(4).uniform(-1, 1, (4 * RATE_HZ, 2))
    whole = tmp_path / f"whole.{suffix}"
    soundfile.write(whole, waveform, RATE_HZ, subtype=subtype, format=suffix.upper())
    assert len(read_audio(whole)[0]) == 4 * RATE_HZ
    cut(whole, tmp_path / f"cut.{suffix}", 0.5)
    with pytest.raises(MediaError, match=r"cut off: only 2\.0 of 4\.0 seconds of its sound"):
        read_audio(tmp_path / f"cut.{suffix}")


@pytest.mark.parametrize("suffix", ["caf", "asf"])
def test_a_file_from_a_pipe_that_claims_no_size_is_whole(noise_path, tmp_path, suffix):
    encoder = {"caf": "pcm_s16be", "asf": "pcm_s16le"}[suffix]
    command = [ffmpeg_executable(), "-v", "error", "-i", str(noise_path), "-c:a", encoder, "-f", suffix, "pipe:"]
    (tmp_path / f"piped.{suffix}").write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    assert len(read_audio(tmp_path / f"piped.{suffix}")[0]) == RATE_HZ


@pytest.mark.parametrize(
    "content",
    [
        b"RIFF",
        b"RIFF" + (2**31 - 8).to_bytes(4, "little") + bytes(20),
        bytes.fromhex("726966662e91cf11a5d628db04c10000") + b"\xff" * 8,
        b"caff\0\1\0\0" + b"free" + b"\x7f" + b"\xff" * 7 + bytes(100),
        b"caff\0\1\0\0" + b"data" + b"\xff" * 8 + bytes(100),
        b"caff\0\1\0\0" + bytes(100_000),
        bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + b"\xff" * 200,
        bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(100_000),
        b"fLaC" + bytes(100),
    ],
)
def test_headers_without_a_size_to_hold_a_file_to_claim_nothing(tmp_path, content):
    (tmp_path / "headers").write_bytes(content)
    assert promised_bytes_ratio(tmp_path / "headers") == 1.0


@pytest.mark.parametrize(("known", "unknown"), [(b"A_FLAC", b"A_XXXX"), (b"V_MPEG4/ISO/ASP", b"V_MPEG4/ISO/XXX")])
def test_a_format_without_a_decoder_is_not_called_damage(concert_path, tmp_path, known, unknown):
    run_ffmpeg("-i", concert_path, "-c:v", "copy", "-c:a", "flac", tmp_path / "concert.mkv")
    data = (tmp_path / "concert.mkv").read_bytes()
    assert data.count(known) == 1
    (tmp_path / "concert.mkv").write_bytes(data.replace(known, unknown))
    what, read = ("sound", read_audio) if known[:1] == b"A" else ("pictures", lambda path: list(video_frames(path)))
    with pytest.raises(MediaError, match=f"Expected {what} in a format that this ffmpeg can decode.*concert.mkv"):
        read(tmp_path / "concert.mkv")


def test_what_comes_before_the_damage_can_be_read(concert_path, tmp_path):
    cut(concert_path, tmp_path / "cut.mp4", 0.6)
    whole, _ = read_audio(concert_path)
    num_samples = 0
    with open_audio(tmp_path / "cut.mp4", block_samples=4410) as reader:
        with pytest.raises(MediaError, match="cut off"):
            for block in reader.blocks():
                # The last blocks may be part of a broken packet.
                if num_samples < 3 * RATE_HZ:
                    np.testing.assert_allclose(block, whole[num_samples : num_samples + len(block)], atol=1e-5)
                num_samples += len(block)
    assert num_samples > 3 * RATE_HZ


def test_sound_that_rightly_ends_before_the_pictures_is_whole(concert_path, tmp_path):
    sound = ("-f", "lavfi", "-i", f"sine=440:duration=2:sample_rate={RATE_HZ}", "-map", "0:v", "-map", "1")
    run_ffmpeg("-i", concert_path, *sound, "-c:v", "copy", "-c:a", "aac", tmp_path / "short.mp4")
    assert len(read_audio(tmp_path / "short.mp4")[0]) == pytest.approx(2 * RATE_HZ, abs=1100)


def test_the_first_of_several_sound_streams_is_read(concert_path, tmp_path):
    sound = ("-f", "lavfi", "-i", "sine=880:duration=2:sample_rate=32000")
    run_ffmpeg("-i", concert_path, *sound, "-map", "1", "-map", "0:a", "-c:a", "flac", tmp_path / "two.mkv")
    decoded, sample_rate_hz = read_audio(tmp_path / "two.mkv")
    assert (decoded.shape, sample_rate_hz) == ((64000, 1), 32000)
    assert np.argmax(np.abs(np.fft.rfft(decoded[:32000, 0]))) == 880


def test_a_stretch_of_damage_in_the_middle_keeps_the_length_and_is_logged(concert_path, tmp_path, caplog):
    run_ffmpeg("-i", concert_path, "-vn", "-c:a", "copy", "-movflags", "+faststart", tmp_path / "scratched.m4a")
    data = bytearray((tmp_path / "scratched.m4a").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = np.random.default_rng(3).bytes(2000)
    (tmp_path / "scratched.m4a").write_bytes(data)
    with caplog.at_level(logging.WARNING):
        decoded, _ = read_audio(tmp_path / "scratched.m4a")
    assert len(decoded) == pytest.approx(6 * RATE_HZ, abs=0.2 * RATE_HZ)
    assert "scratched.m4a is damaged in places" in caplog.text


def test_a_wav_file_from_a_pipe_that_does_not_know_its_size_is_whole(noise_path, noise, tmp_path):
    command = [ffmpeg_executable(), "-v", "error", "-i", str(noise_path), "-f", "wav", "pipe:"]
    (tmp_path / "piped.wav").write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    np.testing.assert_array_equal(read_audio(tmp_path / "piped.wav")[0], noise / np.float32(2**15))


def test_leaving_early_ends_ffmpeg(concert_path, leaves_nothing_behind):
    with open_audio(concert_path, block_samples=100) as reader:
        for block in reader.blocks():
            assert block.shape == (100, 1)
            break
    with pytest.raises(KeyError):
        with open_audio(concert_path, block_samples=100) as reader:
            next(reader.blocks())
            raise KeyError("something else went wrong")
    with open_audio(concert_path):
        pass


def test_a_file_is_read_once(noise_path):
    with open_audio(noise_path) as reader:
        list(reader.blocks())
        with pytest.raises(ParameterError, match="open it again"):
            reader.blocks()


@pytest.mark.parametrize("block_samples", [0, -5])
def test_blocks_need_a_size(noise_path, block_samples, leaves_nothing_behind):
    with pytest.raises(ParameterError, match=f"at least 1. Received: {block_samples}"):
        open_audio(noise_path, block_samples=block_samples)
