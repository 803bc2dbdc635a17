"""Choosing one of several sound streams: which one comes, on which time line, and what is said where there is none."""

import os
import threading

import numpy as np
import pytest
import soundfile

from av_sep.errors import MediaError, ParameterError
from av_sep.media import open_audio, probe, read_audio, video_frames
from films import run_ffmpeg

RATE_HZ = 44100
FREQUENCIES_HZ = (300, 500, 700, 900, 1100)


def strongest_hz(waveform, sample_rate_hz):
    """Frequency of the largest peak of the first channel's first second, in whole Hz."""
    return int(np.argmax(np.abs(np.fft.rfft(waveform[:sample_rate_hz, 0]))))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("streams")


@pytest.fixture(scope="module")
def stems_path(folder):
    """An mp4 with five stereo AAC streams and a cover picture, as MUSDB18's *.stem.mp4 files have them."""
    sources, maps = [], []
    for i, frequency_hz in enumerate(FREQUENCIES_HZ):
        sources += ["-f", "lavfi", "-i", f"sine={frequency_hz}:duration=2:sample_rate={RATE_HZ}"]
        maps += ["-map", str(i)]
    run_ffmpeg("-f", "lavfi", "-i", "testsrc=size=32x32:rate=1:duration=1", "-frames:v", 1, folder / "cover.png")
    sources += ["-i", folder / "cover.png"]
    encoders = ["-ac", 2, "-c:a", "aac", "-c:v", "copy", "-disposition:v:0", "attached_pic"]
    run_ffmpeg(*sources, *maps, "-map", len(FREQUENCIES_HZ), *encoders, folder / "song.stem.mp4")
    return folder / "song.stem.mp4"


@pytest.mark.parametrize(("stream_index", "frequency_hz"), list(enumerate(FREQUENCIES_HZ)))
def test_each_stream_is_the_one_asked_for(stems_path, stream_index, frequency_hz):
    waveform, sample_rate_hz = read_audio(stems_path, stream_index)
    assert (sample_rate_hz, waveform.shape[1]) == (RATE_HZ, 2)
    assert len(waveform) == pytest.approx(2 * RATE_HZ, abs=1200)
    assert strongest_hz(waveform, sample_rate_hz) == frequency_hz


def test_the_first_stream_is_the_default(stems_path):
    np.testing.assert_array_equal(read_audio(stems_path)[0], read_audio(stems_path, stream_index=0)[0])
    assert not probe(stems_path).has_video


def test_streams_keep_their_own_rate_channels_and_exact_samples(folder):
    noise = np.random.default_rng(0).integers(-(2**15), 2**15, (8000, 3)).astype(np.int16)
    soundfile.write(folder / "noise.wav", noise, 16000)
    inputs = ("-f", "lavfi", "-i", f"sine=440:duration=1:sample_rate={RATE_HZ}", "-i", folder / "noise.wav")
    run_ffmpeg(*inputs, "-map", 0, "-map", 1, "-c:a", "flac", folder / "two.mkv")
    with open_audio(folder / "two.mkv", block_samples=999, stream_index=1) as reader:
        assert (reader.stream_index, reader.sample_rate_hz, reader.num_channels) == (1, 16000, 3)
        waveform = np.concatenate(list(reader.blocks()))
    np.testing.assert_array_equal(waveform, noise / np.float32(2**15))


@pytest.mark.parametrize(("suffix", "encoder"), [("mkv", "flac"), ("mp4", "aac"), ("ts", "mp2")])
@pytest.mark.parametrize("late_stream", [0, 1])
def test_streams_lie_on_one_time_line(folder, suffix, encoder, late_stream):
    clap = np.zeros(2 * RATE_HZ, np.float32)
    clap[RATE_HZ // 2] = 0.9
    soundfile.write(folder / "clap.wav", clap, RATE_HZ)
    inputs = []
    for stream in range(2):
        inputs += ["-itsoffset", 0.5 if stream == late_stream else 0, "-i", folder / "clap.wav"]
    path = folder / f"claps{late_stream}.{suffix}"
    run_ffmpeg(*inputs, "-map", 0, "-map", 1, "-c:a", encoder, "-b:a", "192k", "-muxdelay", 0, path)
    places = [np.argmax(np.abs(read_audio(path, stream)[0])) / RATE_HZ for stream in range(2)]
    # Encoders may delay by a block, the same for both streams.
    assert places[late_stream] - places[1 - late_stream] == pytest.approx(0.5, abs=0.002)
    assert places[1 - late_stream] == pytest.approx(0.5, abs=0.06)


def test_pictures_and_the_second_stream_lie_on_one_time_line(folder):
    # A transport stream whose second sound starts first; the pictures turn white when its clap sounds.
    clap = np.zeros(2 * RATE_HZ, np.float32)
    clap[RATE_HZ] = 0.9
    soundfile.write(folder / "clap1.wav", clap, RATE_HZ)
    flash = "color=black:size=64x48:rate=20:duration=2,drawbox=t=fill:color=white:enable='gte(t,0.5)'"
    pictures = ("-itsoffset", 0.5, "-f", "lavfi", "-i", flash)
    late = ("-itsoffset", 0.5, "-f", "lavfi", "-i", f"sine=440:duration=1:sample_rate={RATE_HZ}")
    path = folder / "film.ts"
    maps = ("-map", 0, "-map", 1, "-map", 2, "-c:v", "mpeg2video", "-bf", 0, "-c:a", "mp2")
    run_ffmpeg(*pictures, *late, "-i", folder / "clap1.wav", *maps, path)
    clap_seconds = np.argmax(np.abs(read_audio(path, 1)[0])) / RATE_HZ
    bright = [frame.time_seconds for frame in video_frames(path, frames_per_second=20) if frame.picture.mean() > 128]
    assert clap_seconds == pytest.approx(1.0, abs=0.06)
    assert bright[0] == pytest.approx(clap_seconds, abs=0.11)


def test_a_missing_stream_is_an_error_that_counts_those_there_are(stems_path, folder):
    with pytest.raises(MediaError, match=r"sound stream 5 \(counted from 0\), this one has 5 sound streams. Rec.*song"):
        open_audio(stems_path, stream_index=5)
    soundfile.write(folder / "one.wav", np.zeros((100, 1)), RATE_HZ)
    with pytest.raises(MediaError, match=r"sound stream 1 .*has 1 sound stream\. Received: .*one.wav"):
        read_audio(folder / "one.wav", 1)


@pytest.mark.parametrize("stream_index", [-1, 0.5, "1", None])
def test_a_stream_index_is_a_whole_number_from_0(stems_path, stream_index):
    with pytest.raises(ParameterError, match=f"stream_index of 0 or more. Received: {stream_index!r}"):
        open_audio(stems_path, stream_index=stream_index)


def test_a_later_stream_cut_short_is_never_a_shorter_result(folder):
    inputs = []
    for frequency_hz in (300, 500):
        inputs += ["-f", "lavfi", "-i", f"sine={frequency_hz}:duration=6:sample_rate={RATE_HZ}"]
    run_ffmpeg(*inputs, "-map", 0, "-map", 1, "-c:a", "aac", "-movflags", "+faststart", folder / "whole.mp4")
    data = (folder / "whole.mp4").read_bytes()
    (folder / "cut.mp4").write_bytes(data[: int(0.6 * len(data))])
    with pytest.raises(MediaError, match="damaged or cut off"):
        read_audio(folder / "cut.mp4", 1)


def test_a_stream_shorter_than_the_others_is_whole(folder):
    lengths = {0: 6, 1: 2}
    inputs = []
    for stream, seconds in lengths.items():
        inputs += ["-f", "lavfi", "-i", f"sine={300 + 200 * stream}:duration={seconds}:sample_rate={RATE_HZ}"]
    run_ffmpeg(*inputs, "-map", 0, "-map", 1, "-c:a", "aac", folder / "unequal.m4a")
    assert len(read_audio(folder / "unequal.m4a", 1)[0]) == pytest.approx(2 * RATE_HZ, abs=1200)


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="needs /proc to count open files")
def test_leaving_early_leaves_nothing_behind(stems_path):
    before = (len(os.listdir("/proc/self/fd")), threading.active_count())
    with open_audio(stems_path, block_samples=100, stream_index=3) as reader:
        assert next(reader.blocks()).shape == (100, 2)
    with pytest.raises(MediaError):
        open_audio(stems_path, stream_index=9)
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before
