"""What `separate` writes: stems that add up, a manifest and a page, complete or not at all."""

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

import av_sep
from av_sep.errors import MediaError, ParameterError
from av_sep.instruments import MUSDB_4
from av_sep.media import ffmpeg_executable, probe, read_audio, write_audio

SETTINGS = {"model": "wiener", "instruments": ("violin", "tuba")}


def read_stems(result):
    return {name: read_audio(path)[0] for name, path in result.stems.items()}


def test_stems_have_the_inputs_length_rate_and_channels_and_add_up_to_it(duet, tmp_path):
    result = av_sep.separate(duet, tmp_path, **SETTINGS)
    mixture, rate = read_audio(duet)
    stems = read_stems(result)
    assert list(stems) == ["violin", "tuba"]
    for path in result.stems.values():
        assert (probe(path).sample_rate_hz, probe(path).num_channels) == (rate, 2)
    assert all(stem.shape == mixture.shape for stem in stems.values())
    np.testing.assert_allclose(sum(stems.values()), mixture, atol=1e-6)


def test_each_stem_holds_its_own_register(duet, tmp_path):
    stems = read_stems(av_sep.separate(duet, tmp_path, **SETTINGS))

    def level(waveform, frequency_hz):
        spectrum = np.abs(np.fft.rfft(waveform[:, 0] * np.hanning(len(waveform))))
        return spectrum[round(frequency_hz * len(waveform) / 22050)]

    assert level(stems["violin"], 880) > 3 * level(stems["tuba"], 880)
    assert level(stems["tuba"], 98) > 3 * level(stems["violin"], 98)


def test_a_quiet_recording_is_separated_as_well_as_a_loud_one(duet, tmp_path):
    waveform, rate = read_audio(duet)
    # Just inside the levels that networks know, and 48 dB below.
    loud = (waveform * 0.017 / np.sqrt(np.mean(waveform**2))).astype(np.float32)
    stems = []
    for name, factor in (("loud", 1.0), ("quiet", 2.0**-8)):
        write_audio(tmp_path / f"{name}.wav", loud * np.float32(factor), rate)
        result = av_sep.separate(tmp_path / f"{name}.wav", tmp_path, model="conditioned_small", instruments="vn,tba")
        stems.append({stem: sound / factor for stem, sound in read_stems(result).items()})
    for name in ("violin", "tuba"):
        np.testing.assert_array_equal(stems[1][name], stems[0][name])
        assert np.abs(stems[0][name]).max() > 1e-3


def test_residual_takes_what_the_stems_leave(duet, tmp_path):
    result = av_sep.separate(duet, tmp_path, residual=True, **SETTINGS)
    mixture, _ = read_audio(duet)
    total = sum(read_stems(result).values()) + read_audio(result.residual)[0]
    np.testing.assert_allclose(total, mixture, atol=1e-6)


def test_manifest_tells_what_made_the_stems(duet, tmp_path):
    result = av_sep.separate(duet, tmp_path, **SETTINGS)
    manifest = json.loads(result.manifest.read_text())
    assert manifest["versions"]["av_sep"] == av_sep.__version__
    assert manifest["labels"]["origin"] == "given"
    assert manifest["labels"]["label_vector"] == {
        name: float(name in ("violin", "tuba")) for name in manifest["labels"]["label_vector"]
    }
    assert len(manifest["labels"]["label_vector"]) == 13
    mixture, rate = read_audio(duet)
    for name, stem in read_stems(result).items():
        described = manifest["stems"][name]
        assert described["file"] == f"{name}.wav"
        assert (described["num_samples"], described["sample_rate_hz"]) == (len(mixture), rate)
        assert described["rms_db"] == pytest.approx(10 * np.log10(np.mean(stem**2)), abs=0.01)


def test_settings_that_json_does_not_know_lose_nothing(duet, tmp_path):
    settings = {
        "model": Path("wiener"),
        "detector": Path("embedded"),
        "instruments": np.array(["vn", "tba"]),
        "threshold": np.float32(0.25),
        "frames_per_second": np.float32(0.5),
        "sample_rate_hz": np.int64(16000),
        "bit_depth": np.int16(16),
        "residual": np.bool_(True),
    }
    result = av_sep.separate(duet, tmp_path, **settings)
    assert result.model == "wiener" and probe(result.stems["violin"]).sample_rate_hz == 16000
    written = json.loads(result.manifest.read_text())
    assert written["model"]["name"] == "wiener"
    expected = {**settings, "model": "wiener", "detector": "embedded", "instruments": ["violin", "tuba"]}
    assert {name: written["settings"][name] for name in settings} == expected


def test_what_json_has_no_form_for_is_written_as_text(tmp_path, duet, monkeypatch):
    from pipelines import manifest

    class Strange:
        def __str__(self):
            return "strange"

    monkeypatch.setattr(manifest, "versions", lambda: {"av_sep": Strange()})
    result = av_sep.separate(duet, tmp_path, **SETTINGS)
    assert json.loads(result.manifest.read_text())["versions"] == {"av_sep": "strange"}


def test_length_is_that_of_what_was_written(duet, tmp_path):
    # The picture lasts longer than the sound; and a stream that was never a file does not say how long it is.
    film, stream = tmp_path / "film.mkv", tmp_path / "stream.flac"
    picture = ("-f", "lavfi", "-i", "testsrc=size=64x36:rate=5:duration=5")
    command = [ffmpeg_executable(), "-loglevel", "error", *picture, "-i", duet, "-c:a", "pcm_s16le", film]
    subprocess.run(list(map(str, command)), check=True, stdin=subprocess.DEVNULL)
    command = [ffmpeg_executable(), "-loglevel", "error", "-i", duet, "-f", "flac", "-"]
    stream.write_bytes(subprocess.run(list(map(str, command)), check=True, capture_output=True).stdout)
    for path, stated in ((film, 5.0), (stream, 0.0)):
        assert probe(path).duration_seconds == stated
        planned = av_sep.separate(path, tmp_path, dry_run=True, **SETTINGS)
        result = av_sep.separate(path, tmp_path, sample_rate_hz=16000, **SETTINGS)
        assert (planned.duration_seconds, result.duration_seconds) == (stated, 3.0)
        assert json.loads(result.manifest.read_text())["input"]["duration_seconds"] == 3.0
        assert "· 3.0 s ·" in result.report.read_text()


@pytest.mark.parametrize(
    "settings, suffix, tolerance",
    [
        ({"bit_depth": 16}, "wav", 2**-15),
        ({"bit_depth": 24}, "wav", 2**-22),
        ({"file_format": "flac", "bit_depth": 24}, "flac", 2**-22),
        ({"file_format": "mp3"}, "mp3", 0.05),
    ],
)
def test_formats_hold_the_same_sound(duet, tmp_path, settings, suffix, tolerance):
    exact = read_stems(av_sep.separate(duet, tmp_path / "exact", **SETTINGS))
    result = av_sep.separate(duet, tmp_path / "other", **settings, **SETTINGS)
    for name, stem in read_stems(result).items():
        assert result.stems[name].suffix == f".{suffix}"
        np.testing.assert_allclose(stem[: len(exact[name])], exact[name], atol=tolerance)


def test_sample_rate_of_the_stems_can_be_chosen(duet, tmp_path):
    result = av_sep.separate(duet, tmp_path, sample_rate_hz=44100, **SETTINGS)
    mixture, rate = read_audio(duet)
    for path in result.stems.values():
        stem, stem_rate = read_audio(path)
        assert stem_rate == 44100
        assert len(stem) == len(mixture) * 44100 // rate


def test_existing_output_is_kept_unless_it_may_be_replaced(duet, tmp_path):
    # The residual is the result's own as well.
    result = av_sep.separate(duet, tmp_path, residual=True, **SETTINGS)
    before = result.manifest.read_bytes()
    with pytest.raises(ParameterError, match="add --overwrite.*duet"):
        av_sep.separate(duet, tmp_path, **SETTINGS)
    notes = result.output_dir / "notes.txt"
    notes.write_text("mine")
    with pytest.raises(ParameterError, match="duet/notes.txt, which is not of that result"):
        av_sep.separate(duet, tmp_path, overwrite=True, **SETTINGS)
    assert result.manifest.read_bytes() == before and notes.read_text() == "mine"
    notes.unlink()
    replaced = av_sep.separate(duet, tmp_path, model="wiener", instruments=("flute",), overwrite=True)
    assert sorted(path.name for path in replaced.output_dir.iterdir()) == ["flute.wav", "manifest.json", "report.html"]
    assert [path.name for path in tmp_path.iterdir()] == ["duet"]


def test_failure_in_the_middle_leaves_the_old_output_and_no_litter(duet, tmp_path):
    result = av_sep.separate(duet, tmp_path, **SETTINGS)
    before = result.manifest.read_bytes()
    broken = tmp_path / "broken" / "duet.wav"
    broken.parent.mkdir()
    waveform, rate = read_audio(duet)
    samples = waveform.copy()
    samples[60_000] = np.nan
    soundfile.write(broken, samples, rate, subtype="FLOAT")
    with pytest.raises(MediaError, match="holds nan at 2.7"):
        av_sep.separate(broken, tmp_path, overwrite=True, **SETTINGS)
    assert result.manifest.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken", "duet"]


@pytest.mark.parametrize(("name", "output"), (("duet/duet.wav", "."), ("duet", "."), ("duet/take/duet.wav", ".")))
def test_an_output_never_takes_the_place_of_the_recording(duet, tmp_path, name, output):
    recording = tmp_path / name
    recording.parent.mkdir(parents=True, exist_ok=True)
    recording.write_bytes(duet.read_bytes())
    for overwrite in (False, True):
        with pytest.raises(ParameterError, match="choose another folder with -o"):
            av_sep.separate(recording, tmp_path / output, overwrite=overwrite, **SETTINGS)
    assert recording.read_bytes() == duet.read_bytes()


def test_a_file_named_by_dots_alone_has_no_folder(duet, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / "...wav").write_bytes(duet.read_bytes())
    with pytest.raises(ParameterError, match="whose name can name a folder"):
        av_sep.separate(tmp_path / "...wav", tmp_path, overwrite=True, **SETTINGS)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_names_that_are_no_utf_8_stay_usable(duet, tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.wav"))
    path.write_bytes(duet.read_bytes())
    result = av_sep.separate(path, tmp_path / "out", **SETTINGS)
    assert json.loads(result.manifest.read_text())["input"]["path"].endswith("caf?.wav")
    assert os.fsencode(result.stems["violin"]).endswith(b"caf\xe9/violin.wav")


def test_dry_run_plans_and_writes_nothing(duet, tmp_path):
    result = av_sep.separate(duet, tmp_path / "out", dry_run=True, **SETTINGS)
    assert [path.name for path in result.stems.values()] == ["violin.wav", "tuba.wav"]
    assert not (tmp_path / "out").exists()
    result = av_sep.separate(duet, tmp_path / "out", dry_run=True, residual=True, **SETTINGS)
    assert result.residual is not None and result.residual.name == "residual.wav"


@pytest.mark.parametrize("dry_run", (False, True))
@pytest.mark.parametrize("settings, message", (
    ({"model": "wave_unet_duet", "instruments": "fl,tba"}, "instruments that the model knows: violin, cello"),
    ({"model": "wiener", "instruments": "vn,tba", "file_format": "mp3", "sample_rate_hz": 96_000}, "96,?000"),
))
def test_what_cannot_be_written_is_told_in_a_dry_run_too(duet, tmp_path, settings, message, dry_run):
    with pytest.raises(ParameterError, match=message):
        av_sep.separate(duet, tmp_path, dry_run=dry_run, **settings)


def test_mistakes_are_told_before_anybody_looks(film, tmp_path):
    for settings in ({"model": "nosuch"}, {"model": "nosuch.keras"}, {"file_format": "mp3", "sample_rate_hz": 96_000}):
        with pytest.raises((ParameterError, MediaError)):
            av_sep.separate(film, tmp_path, progress=pytest.fail, **settings)


def test_sound_alone_asks_for_instruments(duet, tmp_path):
    with pytest.raises(ParameterError, match="no pictures.*--instruments.*--all"):
        av_sep.separate(duet, tmp_path, model="wiener")


def test_instruments_may_be_written_as_on_the_command_line(duet, tmp_path):
    result = av_sep.separate(duet, tmp_path, model="wiener", instruments="tba,vn")
    assert list(result.stems) == ["violin", "tuba"]


def test_all_instruments_gives_thirteen_stems_that_add_up(duet, tmp_path):
    result = av_sep.separate(duet, tmp_path, model="wiener", all_instruments=True)
    assert len(result.stems) == 13
    np.testing.assert_allclose(sum(read_stems(result).values()), read_audio(duet)[0], atol=1e-5)


def test_all_means_every_source_of_the_model(duet, tmp_path):
    result = av_sep.separate(duet, tmp_path, model="wave_unet_duet", all_instruments=True)
    assert tuple(result.stems) == ("violin", "cello") == result.labels.instruments
    np.testing.assert_allclose(sum(read_stems(result).values()), read_audio(duet)[0], atol=1e-5)


@pytest.fixture(scope="module")
def make_model(tmp_path_factory):
    """Function that saves a tiny untrained network for some sources."""
    from audio.wave_unet import WaveUNet

    def make(source_names):
        path = tmp_path_factory.mktemp("model") / "tiny.keras"
        WaveUNet(source_names, sample_rate_hz=8000, num_levels=2, num_filters=2).save(path)
        return path

    return make


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(("names", "typed", "expected", "families"), (
    (MUSDB_4.names, "drums, voice", ("vocals", "drums"), ("band", "band")),
    (("Kazoo", "violin"), "vn,kazoo", ("Kazoo", "violin"), ("other", "strings")),
    (("tuba", "violin"), "fiddle,tba", ("tuba", "violin"), ("brass", "strings")),
))
def test_instruments_are_those_of_the_model(duet, tmp_path, make_model, names, typed, expected, families):
    model = make_model(names)
    result = av_sep.separate(duet, tmp_path, model=model, instruments=typed)
    assert tuple(result.stems) == expected
    page, described = result.report.read_text(), json.loads(result.manifest.read_text())
    for name, family in zip(expected, families):
        assert f"<td>{name}</td><td>{family}</td>" in page
    assert described["labels"]["label_vector"] == {name: float(name in expected) for name in names}
    np.testing.assert_allclose(sum(read_stems(result).values()), read_audio(duet)[0], atol=1e-5)
    assert tuple(av_sep.separate(duet, tmp_path / "all", model=model, all_instruments=True).stems) == names


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_instruments_that_the_model_lacks_are_told_before_it_is_loaded(duet, tmp_path, make_model, monkeypatch):
    monkeypatch.setattr("pipelines.separate.load_separation_model", lambda name: pytest.fail("loaded"))
    for model, typed, message in (
        (make_model(MUSDB_4.names), "vn", r"Unknown instrument.*voc \(vocals\), dr \(drums\).*Received: 'vn'"),
        (make_model(MUSDB_4.names), "vocal", "Did you mean 'vocals'"),
        (make_model(("Kazoo", "violin")), ("tuba",), r"Kazoo \(Kazoo\), vn \(violin\)\. Received: 'tuba'"),
        ("wave_unet_duet", "tba,vn", "instruments that the model knows: violin, cello. Received: tuba"),
        ("wave_unet_duet", "violine", "Did you mean 'violin'"),
    ):
        with pytest.raises(ParameterError, match=message):
            av_sep.separate(duet, tmp_path, model=model, instruments=typed)


def test_progress_reaches_the_end(duet, tmp_path):
    heard = []
    av_sep.separate(duet, tmp_path, progress=lambda *event: heard.append(event), **SETTINGS)
    stages = [stage for stage, _, _ in heard]
    assert set(stages) == {"separating"}
    assert heard[-1][1] == heard[-1][2] == pytest.approx(3.0)


@pytest.mark.parametrize("model", ("nmf", "nmf_frobenius", "nmf_itakura_saito", "nmf_blind", "ica", "pca"))
def test_classics_separate_by_name(duet, tmp_path, model):
    result = av_sep.separate(duet, tmp_path, model=model, instruments=("violin", "tuba"))
    mixture, _ = read_audio(duet)
    stems = read_stems(result)
    np.testing.assert_allclose(sum(stems.values()), mixture, atol=1e-5)
    # Not the same sound twice, and not the mixture and silence.
    energies = [np.sum(stem**2) / np.sum(mixture**2) for stem in stems.values()]
    assert min(energies) > 0.01 and np.abs(stems["violin"] - stems["tuba"]).max() > 0.05
    assert json.loads(result.manifest.read_text())["model"]["name"] == model


def test_doing_nothing_is_a_model_too(duet, tmp_path):
    result = av_sep.separate(duet, tmp_path, model="mixture", instruments=("violin", "tuba"))
    for stem in read_stems(result).values():
        np.testing.assert_array_equal(stem, read_audio(duet)[0])


def test_oracle_needs_the_answer(duet, tmp_path):
    with pytest.raises(ParameterError, match="must be told the stems"):
        av_sep.separate(duet, tmp_path, model="multichannel_wiener", instruments=("violin", "tuba"))


def test_sound_alone_can_be_judged_by_ear(tmp_path):
    stem = Path(__file__).parents[2] / "examples" / "demo" / "stems" / "cello.flac"
    for labels in ("audio", "both"):
        result = av_sep.separate(stem, tmp_path / labels, model="wiener", labels=labels)
        manifest = json.loads(result.manifest.read_text())
        assert manifest["labels"]["origin"] == "detected" and manifest["settings"]["labels"] == labels
        assert manifest["labels"]["witnesses"] == "audio" and "Heard in the sound;" in result.report.read_text()
        vector = manifest["labels"]["label_vector"]
        # Low strings at least: cello and double bass are told apart by luck.
        assert max(vector, key=vector.__getitem__) in ("cello", "double_bass")
        assert set(result.stems) == set(manifest["labels"]["instruments"]) and result.report.exists()


def test_level_is_measured_once_for_each_recording(tmp_path, monkeypatch):
    from pipelines import witnesses

    stem = Path(__file__).parents[2] / "examples" / "demo" / "stems" / "cello.flac"
    measured = []
    real = witnesses.working_gain
    monkeypatch.setattr(witnesses, "working_gain", lambda blocks: measured.append(real(blocks)) or measured[-1])
    for number, settings in enumerate(({"labels": "audio"}, {"instruments": "vc,db"}), start=1):
        av_sep.separate(stem, tmp_path / str(number), model="wiener", **settings)
        assert len(measured) == number


def test_film_is_seen_and_heard_unless_somebody_else_is_asked(tmp_path):
    demo = Path(__file__).parents[2] / "examples" / "demo" / "demo.mp4"
    settings = {"model": "wiener", "frames_per_second": 0.1}
    results = {
        labels: av_sep.separate(demo, tmp_path / str(labels), labels=labels, **settings)
        for labels in (None, "both", "video")
    }
    for labels, witnesses, words in ((None, "both", "Seen in the pictures and heard"), ("video", "video", "Seen in")):
        manifest = json.loads(results[labels].manifest.read_text())
        assert manifest["labels"]["witnesses"] == witnesses and words in results[labels].report.read_text()
    unasked, both, eyes = (result.labels for result in results.values())
    assert (unasked.threshold, both.threshold, eyes.threshold) == (0.5, 0.5, 0.4)
    np.testing.assert_array_equal(unasked.label_vector, both.label_vector)
    assert unasked.instruments == both.instruments and {"violin", "cello", "trumpet"} <= set(unasked.instruments)


def test_ears_alone_do_not_judge_a_film_unless_they_are_asked(film, duet, tmp_path):
    # Its sound is judged by ear where somebody wants it so; its picture shows nobody.
    heard = av_sep.separate(film, tmp_path, model="wiener", dry_run=True, labels="audio", threshold=0).labels
    assert heard.label_vector.max() > 0
    with pytest.raises(ParameterError, match="No instrument of the 13 was found.*by ear with --labels audio"):
        av_sep.separate(film, tmp_path, model="wiener", dry_run=True)


def test_silence_names_nobody(tmp_path):
    write_audio(tmp_path / "silence.wav", np.zeros((20_000, 1), np.float32), 22050)
    with pytest.raises(ParameterError, match=r"No instrument of the 13 was found .*nothing is like one of them"):
        av_sep.separate(tmp_path / "silence.wav", tmp_path / "out", labels="audio")


@pytest.mark.parametrize("rate_hz, num_channels, seconds", [(8000, 1, 1.0), (96000, 6, 1.0), (44100, 2, 0.01)])
def test_unusual_rates_channels_and_lengths(tmp_path, rate_hz, num_channels, seconds):
    rng = np.random.default_rng(3)
    waveform = rng.uniform(-0.3, 0.3, (int(rate_hz * seconds), num_channels)).astype(np.float32)
    path = tmp_path / "odd.wav"
    write_audio(path, waveform, rate_hz)
    result = av_sep.separate(path, tmp_path / "out", **SETTINGS)
    stems = [read_audio(stem) for stem in result.stems.values()]
    assert all(rate == rate_hz and stem.shape == waveform.shape for stem, rate in stems)
    np.testing.assert_allclose(sum(stem for stem, _ in stems), waveform, atol=1e-6)


@pytest.mark.parametrize("settings, message", [
    ({"instruments": ("violine",)}, "Did you mean 'violin'"),
    ({"instruments": ("violin",), "all_instruments": True}, "either"),
    ({"file_format": "ogg"}, "wav, flac, mp3"),
    ({"bit_depth": 12}, "bit depth"),
    ({"sample_rate_hz": 10}, "sample rate"),
    ({"instruments": ("violin",), "labels": "audio"}, "either --instruments or --labels"),
    ({"all_instruments": True, "labels": "both"}, "either --all or --labels"),
    ({"labels": "nose"}, "Expected labels by video, audio, both"),
    ({"threshold": 1.5}, "threshold"),
    ({"model": "wienr", "instruments": ("violin",)}, "wiener"),
    ({"frames_per_second": 0.0}, "frames_per_second"),
])
def test_settings_that_cannot_be_used(film, tmp_path, settings, message):
    with pytest.raises(ParameterError, match=message):
        av_sep.separate(film, tmp_path, **settings)
    assert not list(tmp_path.iterdir())


def test_folder_that_cannot_be_made(duet, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(MediaError, match="Cannot write"):
        av_sep.separate(duet, tmp_path / "file" / "out", **SETTINGS)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_that_may_not_be_written(duet, tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    with pytest.raises(MediaError, match="Cannot write"):
        av_sep.separate(duet, locked, **SETTINGS)


def test_stems_are_silent_while_their_player_rests(tmp_path):
    """A trumpet that stops half way: what is left in its stem then is another's."""
    folder = Path(__file__).parents[2] / "examples" / "demo" / "stems"
    (violin, rate), (trumpet, _) = (read_audio(folder / f"{name}.flac") for name in ("violin", "trumpet"))
    # In stereo, told apart by where they sit, they leave little to gate.
    violin, trumpet = violin[:, :1], trumpet[:, :1]
    half = len(violin) // 2
    trumpet[half:] = 0
    mixture = 0.05 * sum(part / np.std(part) for part in (violin, trumpet))
    write_audio(tmp_path / "duet.wav", mixture, rate)
    settings = {"model": "conditioned_small", "instruments": ("violin", "trumpet")}
    stems, manifests = {}, {}
    for gated in (True, False):
        result = av_sep.separate(tmp_path / "duet.wav", tmp_path / str(gated), gate_rests=gated, **settings)
        stems[gated], manifests[gated] = read_stems(result), json.loads(result.manifest.read_text())
        np.testing.assert_allclose(sum(stems[gated].values()), mixture, atol=1e-5)

    def rest_db(gated):
        # From where no window of the listener holds any of the trumpet.
        resting = slice(half + 4 * rate, None)
        return 10 * np.log10(np.sum(stems[gated]["trumpet"][resting] ** 2) / np.sum(mixture[resting] ** 2))

    assert rest_db(False) > -25 and rest_db(True) < rest_db(False) - 15
    assert manifests[True]["settings"]["gate_rests"] and not manifests[False]["settings"]["gate_rests"]
    assert manifests[True]["rests_gated"] is True and manifests[False]["rests_gated"] is False
    pages = {gated: (tmp_path / str(gated) / "duet" / "report.html").read_text() for gated in stems}
    assert "was heard to rest" in pages[True] and "was heard to rest" not in pages[False]
    assert "listening" in manifests[True]["seconds"] and "listening" not in manifests[False]["seconds"]


def test_classics_are_left_as_they_are(duet, tmp_path):
    outputs = [av_sep.separate(duet, tmp_path / str(gated), gate_rests=gated, **SETTINGS) for gated in (True, False)]
    gated, plain = map(read_stems, outputs)
    for name in gated:
        np.testing.assert_array_equal(gated[name], plain[name])
