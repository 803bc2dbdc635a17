"""A track's sound as records want it, held against the files themselves."""

import numpy as np
import pytest
import soundfile as sf

from av_sep.datasets.track import Part, Sound, Track
from av_sep.errors import MediaError
from pipelines.track_audio import TrackAudio

RATE = 16000


@pytest.fixture
def write(tmp_path):
    def write_sound(name, waveform, rate_hz=RATE):
        path = tmp_path / f"{name}.wav"
        sf.write(path, waveform, rate_hz, subtype="FLOAT")
        return Sound(path)

    return write_sound


def noise(num_samples, channels=1, seed=0):
    return 0.1 * np.random.default_rng(seed).normal(size=(num_samples, channels)).astype(np.float32)


def read(track, instruments, rate_hz=RATE, channels=1):
    audio = TrackAudio(track, instruments, sample_rate_hz=rate_hz, num_channels=channels)
    blocks = list(audio.blocks())
    mixture = np.concatenate([block[0] for block in blocks])
    stems = {name: np.concatenate([block[1][name] for block in blocks]) for name in instruments}
    return mixture, stems, audio


def test_parts_of_one_instrument_are_summed_and_the_mixture_is_the_file(write):
    first, second, cello, mixture = (noise(150_000, seed=i) for i in range(4))
    parts = (
        Part("violin", write("v1", first)),
        Part("violin", write("v2", second)),
        Part("cello", write("vc", cello)),
    )
    got, stems, audio = read(Track("t", "t", parts, write("mix", mixture)), ("violin", "cello"))
    np.testing.assert_array_equal(got, mixture)
    np.testing.assert_array_equal(stems["violin"], first + second)
    np.testing.assert_array_equal(stems["cello"], cello)
    rest_db = 10 * np.log10(np.sum((mixture - first - second - cello) ** 2) / np.sum(mixture**2))
    assert audio.remarks == [f"what the stems leave of the recorded mixture is at {rest_db:.1f} dB of it"]
    assert audio.num_samples == 150_000


def test_what_coding_leaves_is_no_remark_and_what_mixing_leaves_is(write):
    first, second, rest = (noise(5000, seed=i) for i in range(1, 4))
    parts = (Part("violin", write("a", first)), Part("tuba", write("b", second)))
    for factor, expected in ((0.003, 0), (0.1, 1)):
        mixture = write(f"m{factor}", first + second + factor * rest)
        assert len(read(Track("t", "t", parts, mixture), ("violin", "tuba"))[2].remarks) == expected


def test_a_mixture_that_is_the_sum_gets_no_remark(write):
    first, second = noise(5000, seed=1), noise(5000, seed=2)
    parts = (Part("violin", write("a", first)), Part("tuba", write("b", second)))
    track = Track("t", "t", parts, write("m", first + second))
    assert read(track, ("violin", "tuba"))[2].remarks == []


def test_a_missing_mixture_is_the_sum(write):
    first, second = noise(5000, seed=1), noise(5000, seed=2)
    track = Track("t", "t", (Part("violin", write("a", first)), Part("tuba", write("b", second))))
    mixture, _, _ = read(track, ("violin", "tuba"))
    np.testing.assert_array_equal(mixture, first + second)


@pytest.mark.parametrize("lengths", [(70_000, 200_000), (200_000, 70_000), (65_536, 131_072)])
def test_a_shorter_stem_goes_on_as_silence_and_that_is_said(write, lengths):
    first, second = noise(lengths[0], seed=1), noise(lengths[1], seed=2)
    track = Track("t", "t", (Part("violin", write("a", first)), Part("tuba", write("b", second))))
    mixture, stems, audio = read(track, ("violin", "tuba"))
    assert len(mixture) == audio.num_samples == max(lengths)
    np.testing.assert_array_equal(stems["violin"][: lengths[0]], first)
    assert not stems["violin"][lengths[0] :].any() and not stems["tuba"][lengths[1] :].any()
    (remark,) = [remark for remark in audio.remarks if "before the longest" in remark]
    short = "a.wav" if lengths[0] < lengths[1] else "b.wav"
    assert remark.startswith(short) and f"{abs(lengths[0] - lengths[1]) / RATE:.3f} s" in remark


def test_unequal_rates_are_brought_together_and_said(write):
    def sine(rate_hz):
        return 0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * rate_hz) / rate_hz)

    violin, tuba = write("a", sine(44100), 44100), write("b", sine(22050), 22050)
    track = Track("t", "t", (Part("violin", violin), Part("tuba", tuba)))
    _, stems, audio = read(track, ("violin", "tuba"), rate_hz=16000)
    inside = slice(2000, -2000)
    np.testing.assert_allclose(stems["violin"][inside], stems["tuba"][inside], atol=1e-4)
    np.testing.assert_allclose(stems["violin"][inside, 0], sine(16000)[inside], atol=1e-4)
    assert any("44100 Hz" in remark and "22050 Hz" in remark for remark in audio.remarks)


def test_channels_are_averaged_or_repeated(write):
    stereo, mono = noise(4000, 2, seed=1), noise(4000, 1, seed=2)
    track = Track("t", "t", (Part("violin", write("a", stereo)), Part("tuba", write("b", mono))))
    _, stems, _ = read(track, ("violin", "tuba"), channels=1)
    np.testing.assert_allclose(stems["violin"], stereo.mean(axis=1, keepdims=True), atol=1e-7)
    _, stems, _ = read(track, ("violin", "tuba"), channels=2)
    np.testing.assert_array_equal(stems["violin"], stereo)
    np.testing.assert_array_equal(stems["tuba"], np.repeat(mono, 2, axis=1))


def test_a_silent_stem_is_said(write):
    track = Track("t", "t", (Part("violin", write("a", noise(3000))), Part("tuba", write("b", np.zeros((3000, 1))))))
    _, _, audio = read(track, ("violin", "tuba"))
    assert any("tuba is silent" in remark for remark in audio.remarks)
    assert not any("violin" in remark for remark in audio.remarks)


def test_a_truncated_stem_is_an_error_that_names_it(write):
    whole = write("a", noise(50_000))
    whole.path.write_bytes(whole.path.read_bytes()[:90_000])
    with pytest.raises(MediaError, match=r"a\.wav"):
        read(Track("t", "t", (Part("violin", whole),)), ("violin",))


def test_a_stem_that_is_damaged_in_its_middle_is_said(write, tmp_path):
    whole, other, mixture = (write(name, noise(4 * RATE, seed=i)) for i, name in enumerate("abm"))
    scratched = Sound(tmp_path / "scratched.flac")
    sf.write(scratched.path, noise(4 * RATE), RATE)
    data = bytearray(scratched.path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = np.random.default_rng(0).bytes(400)
    scratched.path.write_bytes(data)
    for first, expected in ((whole, 0), (scratched, 1)):
        track = Track("t", "t", (Part("violin", first), Part("tuba", other)), mixture)
        remarks = [remark for remark in read(track, ("violin", "tuba"))[2].remarks if "damaged" in remark]
        assert len(remarks) == expected
        assert all(remark.startswith("scratched.flac is damaged in places") for remark in remarks)
