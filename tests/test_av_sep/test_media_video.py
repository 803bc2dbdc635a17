"""Pictures out of videos: made pictures show their number by their brightness, or are noise to be found again."""

import os
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from av_sep.errors import MediaError, ParameterError
from av_sep.media import ffmpeg_executable, probe, read_audio, video_frames
from films import ROTATIONS, rotate_mp4, run_ffmpeg

FPS = 25
NUM_PICTURES = 50
WIDTH, HEIGHT = 33, 31
LOSSLESS = {
    "mkv": ("-c:v", "ffv1"),
    "mp4": ("-c:v", "libx264rgb", "-qp", "0", "-preset", "ultrafast"),
    "mov": ("-c:v", "png"),
}


def numbered_pictures():
    """Picture i is grey of brightness 20 + 4 i."""
    brightness = 20 + 4 * np.arange(NUM_PICTURES, dtype=np.uint8)
    return np.broadcast_to(brightness[:, None, None, None], (NUM_PICTURES, HEIGHT, WIDTH, 3))


def numbers(frames):
    """Which of the numbered pictures these frames show."""
    return [round((float(frame.picture.mean()) - 20) / 4) for frame in frames]


def number_of_children():
    parents = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents.append(int(status.read_text().rsplit(")", 1)[1].split()[1]))
        except OSError:
            continue  # ended since
    return parents.count(os.getpid())


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """The numbered pictures in each container: suffix -> path."""
    folder = tmp_path_factory.mktemp("numbered")
    for suffix, encoder in LOSSLESS.items():
        run_ffmpeg(*encoder, folder / f"numbered.{suffix}", pictures=numbered_pictures())
    return {suffix: folder / f"numbered.{suffix}" for suffix in LOSSLESS}


@pytest.mark.parametrize(
    ("suffix", "frames_per_second"),
    [("mkv", 0.4), ("mkv", 1), ("mkv", 2.5), ("mkv", 7), ("mkv", 25), ("mkv", 50), ("mp4", 12.5), ("mov", 7)],
)
def test_frame_k_is_what_is_on_display_at_k_over_fps(numbered, suffix, frames_per_second):
    frames = list(video_frames(numbered[suffix], frames_per_second=frames_per_second))
    instants = np.arange(0, NUM_PICTURES / FPS, 1 / frames_per_second)
    assert [frame.time_seconds for frame in frames] == pytest.approx(instants)
    # A picture is on display from its own time on; the small number keeps 7/25 from being less than itself.
    assert numbers(frames) == [int(instant * FPS + 1e-6) for instant in instants]


def test_the_default_is_one_picture_a_second(numbered):
    assert [frame.time_seconds for frame in video_frames(numbered["mp4"])] == [0.0, 1.0]


def test_variable_frame_rates_keep_their_times(tmp_path):
    kept = [i for i in range(NUM_PICTURES) if i % 7 == 0 or i < 10]
    choice = "select='not(mod(n,7))+lt(n,10)'"
    # Matroska stores each picture's time, so pictures left out leave gaps.
    run_ffmpeg("-vf", choice, *LOSSLESS["mkv"], tmp_path / "gaps.mkv", pictures=numbered_pictures())
    frames = list(video_frames(tmp_path / "gaps.mkv", frames_per_second=5))
    assert numbers(frames) == [max(i for i in kept if i <= 5 * k) for k in range(10)]


@pytest.mark.parametrize("sound", [(), ("-f", "lavfi", "-i", "sine=440:duration=60")])
def test_slides_do_not_outlast_the_file(tmp_path, sound):
    # Those of the numbered pictures, one a second, that are shown at 0, 1 and 50 s; B-frames are stored out of order.
    numbered = f"nullsrc=s={WIDTH}x{HEIGHT}:r=1:d=51,format=gbrp,geq=r=20+4*N:g=20+4*N:b=20+4*N"
    choice = ("-vf", "select=eq(n\\,0)+eq(n\\,1)+eq(n\\,50)", "-fps_mode", "vfr")
    encoder = ("-c:v", "libx264", "-x264-params", "bframes=2:b-adapt=0:scenecut=0:qp=4", "-pix_fmt", "yuv444p")
    run_ffmpeg("-f", "lavfi", "-i", numbered, *sound, *choice, *encoder, tmp_path / "slides.mp4")
    num_seconds = round(probe(tmp_path / "slides.mp4").duration_seconds)
    assert num_seconds == (60 if sound else 51)
    assert numbers(video_frames(tmp_path / "slides.mp4")) == [0] + [1] * 49 + [50] * (num_seconds - 50)


def test_a_file_that_goes_on_after_the_end_it_states_is_given_whole(numbered, tmp_path):
    path = tmp_path / "modest.mp4"
    data = bytearray(numbered["mp4"].read_bytes())
    # Durations in the film's header, its track's and its media's: ISO 14496-12, 8.2.2, 8.3.2 and 8.4.2.
    for name, offset in ((b"mvhd", 20), (b"tkhd", 24), (b"mdhd", 20)):
        start = data.index(name) + offset
        data[start : start + 4] = struct.pack(">I", struct.unpack(">I", data[start : start + 4])[0] // 2)
    path.write_bytes(data)
    assert probe(path).duration_seconds < 2.0
    assert numbers(video_frames(path, frames_per_second=FPS)) == list(range(NUM_PICTURES))


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_odd_sized_pictures_are_exact_and_in_rgb(tmp_path, suffix):
    noise = np.random.default_rng(0).integers(0, 256, (3, HEIGHT, WIDTH, 3)).astype(np.uint8)
    noise[..., 2] //= 4
    run_ffmpeg(*LOSSLESS[suffix], tmp_path / f"noise.{suffix}", pictures=noise)
    frames = list(video_frames(tmp_path / f"noise.{suffix}", frames_per_second=FPS))
    assert frames[0].picture.dtype == np.uint8
    np.testing.assert_array_equal(np.stack([frame.picture for frame in frames]), noise)
    # Callers draw boxes on them.
    frames[0].picture[:] = 0


def test_colours_of_an_ordinary_video(tmp_path):
    # Half as many colour samples as pixels each way, and odd sizes.
    plain = np.broadcast_to(np.array((0x20, 0x60, 0xE0), np.uint8), (3, 47, 65, 3))
    run_ffmpeg("-c:v", "mpeg4", "-q:v", "2", "-pix_fmt", "yuv420p", tmp_path / "v.mp4", pictures=plain)
    (frame,) = video_frames(tmp_path / "v.mp4")
    assert frame.picture.shape == (47, 65, 3)
    # Some versions of the encoder smear the last, incomplete block.
    np.testing.assert_allclose(frame.picture[:-4, :-4], plain[0, :-4, :-4], atol=4)


@pytest.mark.parametrize("degrees", list(ROTATIONS))
def test_rotation_metadata_is_applied(tmp_path, degrees):
    noise = np.random.default_rng(1).integers(0, 256, (2, HEIGHT, WIDTH, 3)).astype(np.uint8)
    path = tmp_path / "phone.mp4"
    run_ffmpeg(*LOSSLESS["mp4"], path, pictures=noise)
    rotate_mp4(path, degrees)
    (frame,) = video_frames(path)
    # The matrix turns clockwise, NumPy the other way.
    np.testing.assert_array_equal(frame.picture, np.rot90(noise[0], -degrees // 90))
    info = probe(path)
    assert frame.picture.shape == (info.height, info.width, 3)


def make_exif_photo(path):
    """A JPEG file that is to be turned clockwise by a quarter: EXIF 2.32, 4.6.4, tag 0x112 with the value 6."""
    run_ffmpeg("-q:v", "2", path, pictures=lying_picture())
    exif = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">HHHIHHI", 1, 0x112, 3, 1, 6, 0, 0)
    data = path.read_bytes()
    path.write_bytes(data[:2] + struct.pack(">HH", 0xFFE1, 2 + len(exif)) + exif + data[2:])


def make_turned_film(path):
    """An H.264 film whose pictures, not its header, say that they are to be turned: H.264, D.2.27."""
    upright = path.with_name("lying.mp4")
    run_ffmpeg("-c:v", "libx264", "-pix_fmt", "yuv420p", "-qp", "5", upright, pictures=lying_picture())
    # The message counts counterclockwise.
    run_ffmpeg("-i", upright, "-c", "copy", "-bsf:v", "h264_metadata=display_orientation=insert:rotate=-90", path)


def lying_picture():
    """One picture, white in its left quarter, which is on top when it stands."""
    picture = np.zeros((1, 96, 192, 3), np.uint8)
    picture[:, :, :48] = 255
    return picture


@pytest.mark.parametrize(("make", "name"), [(make_exif_photo, "photo.jpg"), (make_turned_film, "film.mp4")])
def test_pictures_that_say_themselves_how_they_lie_are_turned_and_not_squashed(tmp_path, make, name):
    make(tmp_path / name)
    (frame,) = video_frames(tmp_path / name)
    np.testing.assert_allclose(frame.picture, np.rot90(lying_picture()[0], -1), atol=30)
    info = probe(tmp_path / name)
    assert (info.width, info.height) == (96, 192)
    assert next(video_frames(tmp_path / name, max_height=96)).picture.shape == (96, 48, 3)


@pytest.mark.parametrize(("max_height", "shape"), [(100, (100, 160, 3)), (25, (25, 40, 3)), (200, (200, 320, 3))])
def test_max_height_scales_down_and_keeps_the_aspect(tmp_path, max_height, shape):
    # The left half is red, the right half blue.
    picture = np.zeros((1, 200, 320, 3), np.uint8)
    picture[:, :, :160, 0] = 250
    picture[:, :, 160:, 2] = 250
    run_ffmpeg(*LOSSLESS["mkv"], tmp_path / "halves.mkv", pictures=picture)
    (frame,) = video_frames(tmp_path / "halves.mkv", max_height=max_height)
    assert frame.picture.shape == shape
    left, right = frame.picture[:, : shape[1] // 2 - 3], frame.picture[:, shape[1] // 2 + 3 :]
    np.testing.assert_allclose(left, np.broadcast_to((250, 0, 0), left.shape), atol=3)
    np.testing.assert_allclose(right, np.broadcast_to((0, 0, 250), right.shape), atol=3)


def test_small_pictures_are_not_enlarged(numbered):
    assert next(iter(video_frames(numbered["mkv"], max_height=1000))).picture.shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("num_pictures", [1, 2, 12])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_video_shorter_than_a_second_gives_its_first_picture(tmp_path, num_pictures, suffix):
    run_ffmpeg(*LOSSLESS[suffix], tmp_path / f"v.{suffix}", pictures=numbered_pictures()[7 : 7 + num_pictures])
    (frame,) = video_frames(tmp_path / f"v.{suffix}")
    assert (frame.time_seconds, numbers([frame])) == (0.0, [7])


@pytest.mark.parametrize(("flash_delay", "clap_delay"), [(0.0, 0.0), (0.4, 0.0), (0.0, 0.4)])
@pytest.mark.parametrize(("suffix", "encoder"), [("mkv", "pcm_s16le"), ("mp4", "aac"), ("ts", "mp2")])
def test_sound_and_pictures_share_one_clock(tmp_path, suffix, encoder, flash_delay, clap_delay):
    rate_hz = 48000
    pictures = np.zeros((2 * FPS, 48, 64, 3), np.uint8)
    pictures[FPS:] = 255
    clap = np.zeros(2 * rate_hz, np.float32)
    clap[rate_hz : rate_hz + 200] = 0.8
    soundfile.write(tmp_path / "clap.wav", clap, rate_hz)
    run_ffmpeg(*LOSSLESS["mkv"], tmp_path / "flash.mkv", pictures=pictures)
    path = tmp_path / f"clapperboard.{suffix}"
    flashes = ("-itsoffset", flash_delay, "-i", tmp_path / "flash.mkv")
    claps = ("-itsoffset", clap_delay, "-i", tmp_path / "clap.wav", "-map", "0", "-map", "1")
    run_ffmpeg(*flashes, *claps, "-c:v", "mpeg2video" if suffix == "ts" else "mpeg4", "-c:a", encoder, path)
    if subprocess.run([ffmpeg_executable(), "-i", str(path)], capture_output=True, check=False).returncode < 0:
        pytest.skip("this ffmpeg crashes on transport streams (a known fault of some static builds)")
    waveform, _ = read_audio(path)
    clap_seconds = np.argmax(np.abs(waveform) > 0.3) / rate_hz
    frames = list(video_frames(path, frames_per_second=FPS))
    flash_seconds = next(frame.time_seconds for frame in frames if frame.picture.mean() > 128)
    assert flash_seconds - clap_seconds == pytest.approx(flash_delay - clap_delay, abs=1.1 / FPS)
    if flash_delay:
        # Before the first picture's time there is nothing else to show than the first picture.
        assert frames[0].time_seconds == 0.0


def test_no_pictures_is_an_error_before_the_first_frame(tmp_path):
    soundfile.write(tmp_path / "sound.wav", np.ones(1000), 8000)
    with pytest.raises(MediaError, match="no video stream. Received: .*sound.wav"):
        video_frames(tmp_path / "sound.wav")


def test_a_cut_off_video_gives_its_frames_and_then_an_error(tmp_path):
    source = ("-f", "lavfi", "-i", "testsrc=size=160x120:rate=25:duration=6", "-b:v", "300k")
    run_ffmpeg(*source, "-c:v", "mpeg4", "-movflags", "+faststart", tmp_path / "whole.mp4")
    assert len(list(video_frames(tmp_path / "whole.mp4"))) == 6
    data = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    frames = []
    with pytest.raises(MediaError, match=r"only [34]\.0 of 6\.0 seconds of its pictures"):
        frames.extend(video_frames(tmp_path / "cut.mp4"))
    frames = video_frames(tmp_path / "cut.mp4")
    assert [next(frames).time_seconds, next(frames).time_seconds] == [0.0, 1.0]
    frames.close()


def test_pictures_that_rightly_end_before_the_sound_are_whole(numbered, tmp_path):
    sound = ("-f", "lavfi", "-i", "sine=440:duration=6", "-map", "0", "-map", "1")
    run_ffmpeg("-i", numbered["mp4"], *sound, "-c:v", "copy", "-c:a", "aac", tmp_path / "v.mp4")
    assert numbers(video_frames(tmp_path / "v.mp4")) == [0, 25]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc to count processes")
def test_leaving_early_ends_ffmpeg(numbered):
    before = number_of_children()
    for frame in video_frames(numbered["mp4"], frames_per_second=1000):
        assert frame.time_seconds == 0.0
        break
    frames = video_frames(numbered["mp4"], frames_per_second=1000)
    next(frames)
    assert number_of_children() == before + 1
    frames.close()
    assert number_of_children() == before


@pytest.mark.parametrize("frames_per_second", [0, -1.0, 1e-7, 1e7, float("nan"), float("inf")])
def test_the_rate_must_be_one_that_ffmpeg_can_count_with(numbered, frames_per_second):
    with pytest.raises(ParameterError, match="frames_per_second from 0.000001 to 1000000. Received"):
        video_frames(numbered["mp4"], frames_per_second=frames_per_second)


def test_the_height_must_be_positive(numbered):
    with pytest.raises(ParameterError, match="max_height of at least 1. Received: 0"):
        video_frames(numbered["mp4"], max_height=0)


def test_a_picture_file_is_a_video_of_one_frame(numbered, tmp_path):
    run_ffmpeg("-i", numbered["mkv"], "-frames:v", "1", tmp_path / "still.png")
    assert numbers(video_frames(tmp_path / "still.png")) == [0]
