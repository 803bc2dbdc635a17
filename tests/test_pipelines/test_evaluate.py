"""Evaluations of real files: the numbers against the metrics themselves, what is kept, and what is refused."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from click.testing import CliRunner

import av_sep
from audio.metrics import bss_eval_v3_segment, level_below_mixture_db, sdr, si_sdr
from audio.models import load_model, make_separator
from av_sep.datasets.track import Part, Sound, Track
from av_sep.errors import MediaError, ParameterError
from av_sep.media import ffmpeg_executable, read_audio
from pipelines.cli import main
from pipelines.error_lines import error_line, is_users
from pipelines.evaluate import EvaluateConfig, evaluate, evaluate_stems
from pipelines.evaluate.examples import _mp3
from pipelines.evaluate.sounds import TrackSound
from pipelines.evaluate.systems import find_systems, open_system
from pipelines.evaluate.units import TrackTask, Unit
from pipelines.workers import Workers

RATE_HZ = 22050
DEMO = Path(__file__).parents[2] / "examples" / "demo"
# Scores that do not need seconds of computing, where what is tested is something else.
QUICK = {"segment_metrics": (), "num_examples": 0, "side": "all"}
TRACKS = {"one": ("double_bass", "flute"), "two": ("tuba", "oboe"), "three": ("flute", "cello", "horn")}
PITCHES_HZ = {"double_bass": 55, "tuba": 65, "cello": 131, "horn": 233, "oboe": 523, "flute": 1047}


def line(instrument: str, seconds: float, seed: int) -> np.ndarray:
    """Notes with noise and pauses, `[time]`: asymmetric in time."""
    rng = np.random.default_rng(seed)
    time_seconds = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    steps = rng.integers(0, 7, size=8)[(time_seconds / seconds * 8).astype(int)]
    phase = 2 * np.pi * np.cumsum(PITCHES_HZ[instrument] * 2 ** (steps / 12)) / RATE_HZ
    loudness = 0.3 + 0.7 * np.abs(np.sin(2.1 * time_seconds + seed))
    tone = sum(np.sin(k * phase) / k**2 for k in (1, 2, 3, 4))
    return (0.1 * loudness * tone + 1e-4 * rng.normal(size=len(phase))).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Three tracks of three seconds in the plain layout."""
    root = tmp_path_factory.mktemp("stems") / "made"
    for number, (track, instruments) in enumerate(TRACKS.items()):
        (root / track).mkdir(parents=True)
        for i, name in enumerate(instruments):
            sf.write(root / track / f"{name}.wav", line(name, 3.0, 10 * number + i), RATE_HZ, subtype="FLOAT")
    return root


@pytest.fixture(scope="module")
def done(folder, tmp_path_factory):
    """Everything that needs no network, scored by all metrics."""
    output = tmp_path_factory.mktemp("evaluated") / "out"
    return evaluate("folder", folder, output, models="oracles", labels="true,all", side="all")


def read(path: Path) -> np.ndarray:
    return sf.read(path, dtype="float32", always_2d=True)[0]


def references(folder: Path, track: str) -> dict[str, np.ndarray]:
    return {name: read(folder / track / f"{name}.wav") for name in TRACKS[track]}


def files(output: Path) -> dict[str, bytes]:
    """Everything that must not depend on how a run went: tables without times."""
    return {path.name: path.read_bytes() for path in sorted(output.glob("*.csv")) if path.name != "costs.csv"}


# --- the numbers -----------------------------------------------------------------------------------------------------


def test_rows_are_the_metrics_of_the_separators_own_estimates(folder, done):
    rows = pd.read_csv(done.output / "tracks.csv").set_index(["track", "system", "labels", "instrument"])
    stems = references(folder, "three")
    mixture = sum(stems.values())
    model = load_model("wiener")
    labels = np.array([name in stems for name in model.source_names], np.float32)
    # Other chunks than the evaluation's: no score may hang on where the sound is cut.
    estimates = make_separator(model, chunk_samples=5000).separate(mixture, labels, RATE_HZ)
    for name, reference in stems.items():
        estimate = estimates[model.source_names.index(name)]
        row = rows.loc[("three", "wiener", "true", name)]
        assert row["sdr"] == pytest.approx(sdr(reference, estimate), abs=1e-3)
        expected = si_sdr(reference, estimate) - si_sdr(reference, mixture)
        assert row["si_sdr_improvement"] == pytest.approx(expected, abs=1e-3)
        assert row["num_sources"] == 3 and row["status"] == "present"


def test_segments_are_those_of_the_metric(folder, done):
    stems = references(folder, "one")
    names = [name for name in ("double_bass", "flute")]
    true = np.stack([stems[name] for name in names])
    scores = bss_eval_v3_segment(true, np.stack([true.sum(axis=0)] * 2), RATE_HZ)
    rows = pd.read_csv(done.output / "segments_v3.csv")
    rows = rows[(rows["track"] == "one") & (rows["system"] == "mixture")]
    for i, name in enumerate(names):
        own = rows[rows["instrument"] == name]
        np.testing.assert_allclose(own["start_seconds"], scores.start_seconds, atol=1e-6)
        np.testing.assert_allclose(own["sdr_v3_segment"], scores.sdr[i], atol=1e-4)
        np.testing.assert_allclose(own["sir_v3_segment"], scores.sir[i], atol=1e-4)


def test_oracles_beat_filters_beat_the_mixture_beats_chance(folder, done):
    summary = done.summary[(done.summary["group"] == "all") & (done.summary["labels"] == "true")]
    medians = summary.set_index(["metric", "system"])["median"]
    for metric in ("si_sdr_improvement", "sdr", "sdr_v4", "sdr_v3_segment"):
        own = medians[metric]
        assert own["ideal_ratio_mask"] > own["wiener"] + 3 and own["multichannel_wiener"] > own["wiener"] + 3
        assert own["wiener"] > own["mixture"] + 1, metric
    assert medians["si_sdr_improvement", "mixture"] == 0
    # Chance: the filters' stems given to the wrong instruments are worse than none.
    stems = references(folder, "three")
    model = load_model("wiener")
    labels = np.array([name in stems for name in model.source_names], np.float32)
    estimates = make_separator(model).separate(sum(stems.values()), labels, RATE_HZ)
    wrong = dict(zip(stems, [*stems][1:] + [*stems][:1]))
    by_chance = [si_sdr(stems[name], estimates[model.source_names.index(wrong[name])]) for name in stems]
    rows = done.tables.tracks
    own = rows[(rows["track"] == "three") & (rows["system"] == "wiener") & (rows["labels"] == "true")]
    assert own["si_sdr"].min() > max(by_chance)
    # A mask of all noise and no artefact by museval's ill-determined filters would score far below.
    assert medians["sar_v4", "ideal_ratio_mask"] > 5 and medians["isr_v4", "ideal_ratio_mask"] > 5


def test_stems_of_those_who_do_not_play_are_leaks_by_their_level(folder, done):
    rows = done.tables.tracks
    leaks = rows[(rows["system"] == "wiener") & (rows["labels"] == "all") & (rows["track"] == "one")]
    leaks = leaks[leaks["status"] == "leak"].set_index("instrument")
    assert len(leaks) == 11 and leaks["si_sdr"].isna().all()
    mixture = sum(references(folder, "one").values())
    model = load_model("wiener")
    estimates = make_separator(model).separate(mixture, np.ones(13, np.float32), RATE_HZ)
    tuba = level_below_mixture_db(mixture, estimates[model.source_names.index("tuba")])
    assert leaks.loc["tuba", "leakage_db"] == pytest.approx(tuba, abs=1e-3)


def test_page_and_files_are_there(done):
    names = {path.name for path in done.output.iterdir()}
    assert {"tracks.csv", "tracks.json", "segments_v3.csv", "segments_v4.csv", "summary.csv", "settings.json"} <= names
    page = done.page.read_text()
    assert "static Wiener filters" in page and "data:audio/mpeg;base64," in page and "data:image/png;base64," in page
    settings = json.loads((done.output / "settings.json").read_text())
    assert settings["settings"]["sample_rate_hz"] == RATE_HZ
    assert settings["systems"][1]["name"] == "wiener" and len(settings["systems"][1]["sha256"]) == 64


def test_files_may_be_named_by_paths(folder, stems, tmp_path):
    """As in `separate`; a path is one file, whatever commas its name has."""
    model = tmp_path / "mine, at last.keras"
    for models in (model, [model], ["mixture", model]):
        with pytest.raises(MediaError, match=r"mine, at last\.keras, which does not exist"):
            av_sep.evaluate("folder", folder, tmp_path / "out", models=models, **QUICK)
    with pytest.raises(MediaError, match=r"mine, at last\.keras, which does not exist"):
        settings = {"models": "mixture", "labels": "detected", "detector": model, **QUICK}
        av_sep.evaluate("folder", folder, tmp_path / "out", **settings)
    assert EvaluateConfig(models=[Path("a.keras"), "b, c"]).models == ("a.keras", "b, c")
    done = evaluate_stems(stems / "exact", folder, tmp_path / "out", **QUICK)
    assert "exact" in set(done.tables.tracks["system"])


def test_front_door_is_the_same_function():
    assert av_sep.evaluate is evaluate


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_second_run_scores_nothing_and_writes_the_same(folder, done, tmp_path):
    before = files(done.output)
    again = evaluate("folder", folder, done.output, models="oracles", labels="true,all", side="all")
    assert again.num_kept == again.num_units == 18
    assert files(done.output) == before


def test_added_model_is_scored_beside_those_that_are_there(folder, tmp_path):
    first = evaluate("folder", folder, tmp_path / "out", models="mixture", **QUICK)
    second = evaluate("folder", folder, tmp_path / "out", models="mixture_share", **QUICK)
    assert second.num_kept == first.num_units and second.num_units == first.num_units + 3


@pytest.mark.parametrize("change", ("file", "rate"))
def test_what_is_other_than_before_is_scored_anew(folder, tmp_path, change):
    root = tmp_path / "stems"
    for track in ("one", "two"):
        (root / track).mkdir(parents=True)
        for name in TRACKS[track]:
            (root / track / f"{name}.wav").write_bytes((folder / track / f"{name}.wav").read_bytes())
    first = evaluate("folder", root, tmp_path / "out", models="mixture", **QUICK)
    settings = dict(QUICK)
    if change == "file":
        sf.write(root / "one" / "flute.wav", line("flute", 2.0, 99), RATE_HZ, subtype="FLOAT")
    else:
        settings["sample_rate_hz"] = 16000
    second = evaluate("folder", root, tmp_path / "out", models="mixture", **settings)
    assert second.num_kept == (first.num_units // 2 if change == "file" else 0)
    assert not first.tables.tracks.equals(second.tables.tracks)


@pytest.mark.parametrize(
    "name", ["labels:{}/known.json", "labels:{}/mine, the best.json", "labels:{}/take: two.json", "{}/a:b,c.keras"]
)
@pytest.mark.parametrize("beside", ["", ",embedded"])
def test_a_detector_s_file_that_changed_is_noticed(tmp_path, name, beside):
    detector = name.format(tmp_path) + ("" if name.endswith(".keras") else beside)
    file = Path(name.format(tmp_path).removeprefix("labels:"))
    file.write_text("{}")
    task = TrackTask(Track("t", "t", ()), (), (), tmp_path, EvaluateConfig(detector=detector))
    before = task.sighting_key()
    assert task.sighting_key() == before
    file.write_text('{"instruments": ["vn"]}')
    assert task.sighting_key() != before


def test_other_instruments_of_the_same_files_are_noticed(tmp_path):
    """Metadata was corrected: whose stems they are is another matter now, and what the film shows is right or wrong."""
    for name in ("a.wav", "b.wav", "film.mp4"):
        (tmp_path / name).touch()
    (spec, *_) = find_systems(("mixture",))
    unit, keys = Unit(spec, "true"), set()
    for names in (("violin", "flute"), ("flute", "violin"), ("violin", "flute")):
        parts = tuple(Part(name, Sound(tmp_path / f)) for name, f in zip(names, ("a.wav", "b.wav")))
        track = Track("t", "t", parts, video=tmp_path / "film.mp4")
        task = TrackTask(track, ("violin", "flute"), (), tmp_path, EvaluateConfig())
        keys.add((task.key(unit, ("violin", "flute"), ()), task.sighting_key()))
    assert len(keys) == 2 and all(len(set(column)) == 2 for column in zip(*keys))


def test_what_is_heard_is_told_of_the_instruments_of_the_detector(tmp_path):
    """Labels of what was heard name those that the eyes know."""
    (tmp_path / "film.mp4").touch()
    track = Track("t", "t", (), video=tmp_path / "film.mp4")
    detectors = ("embedded", "labels:known.json")
    tasks = [TrackTask(track, (), (), tmp_path, EvaluateConfig(detector=detector)) for detector in detectors]
    assert len({task.hearing_key() for task in tasks}) == 2


def test_networks_are_silent_in_rests_unless_told_not_to(folder, tmp_path):
    settings = {"models": "conditioned_small", "max_tracks": 1, **QUICK}
    gated = evaluate("folder", folder, tmp_path / "out", **settings)
    plain = evaluate("folder", folder, tmp_path / "out", gate_rests=False, **settings)
    assert plain.num_kept == plain.num_units - 1
    for system in ("conditioned_small", "wiener"):
        tables = (gated.tables.tracks, plain.tables.tracks)
        scores = [rows.loc[rows["system"] == system, "sdr"].tolist() for rows in tables]
        assert len(scores[0]) == 2 and (scores[0] == scores[1]) == (system == "wiener")


def test_who_is_known_to_play_keeps_what_a_guess_may_lose(folder):
    """A tuba of sine waves is none for the listener."""
    (spec,) = (spec for spec in find_systems(("conditioned_small",)) if spec.source == "conditioned_small")
    stems = references(folder, "two")
    sound = TrackSound("two", sum(stems.values()), stems, RATE_HZ)

    def estimates(gate, certain):
        system = open_system(spec, None, gate)
        # With their notes shared out both sines would be parted altogether, and who is alone in a bin keeps it.
        system.separator.shares_notes = False
        return system.estimate(sound, "true", tuple(stems), certain)

    known, guessed, plain = estimates(True, tuple(stems)), estimates(True, ()), estimates(False, tuple(stems))
    lost = {name: [np.sum(plain[name] ** 2) / np.sum(e[name] ** 2) for e in (known, guessed)] for name in stems}
    # One of the two at least is not recognized.
    assert max(of_known for of_known, _ in lost.values()) < 1.05 < 1.5 < max(of_guess for _, of_guess in lost.values())


def test_killed_run_goes_on_to_the_same_tables(folder, tmp_path):
    arguments = ["evaluate", "folder", str(folder), "--models", "oracles", "--side", "all", "--no-examples"]
    # The slower metrics, so that there is time to kill it before it is done.
    arguments += ["--metrics", "v3_segment,v4"]
    arguments += ["--processes", "1", "--quiet", "-o"]
    code = "from pipelines.cli import main; main()"
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert CliRunner().invoke(main, [*arguments, str(undisturbed)]).exit_code == 0
    process = subprocess.Popen([sys.executable, "-c", code, *arguments, str(killed)], cwd=Path(__file__).parents[2])
    while not list(killed.glob("work/*/[!.]*.json")):
        assert process.poll() is None, "ended before it could be killed"
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    finished = len(list(killed.glob("work/*/[!.]*.json")))
    assert 0 < finished < 15 and not (killed / "tracks.csv").exists()
    result = CliRunner().invoke(main, [*arguments[:-2], "-o", str(killed)])
    assert result.exit_code == 0, result.output
    assert f"{finished} of 15 scores were there already" in result.output
    assert files(killed) == files(undisturbed) and len(files(killed)) == 4


def test_processes_change_nothing(folder, tmp_path):
    settings = {"models": "oracles", **QUICK}
    evaluate("folder", folder, tmp_path / "one", workers=Workers(num_processes=1), **settings)
    seen = []
    evaluate(
        "folder", folder, tmp_path / "two", workers=Workers(num_processes=2),
        progress=lambda *told: seen.append(told), **settings,
    )  # fmt: skip
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert seen[0] == ("tracks", 0.0, 3.0) and seen[-1] == ("tracks", 3.0, 3.0)


# --- labels ----------------------------------------------------------------------------------------------------------


def test_labels_for_a_model_that_needs_them(folder, tmp_path):
    done = evaluate("folder", folder, tmp_path / "out", models="mixture_share", labels="none", **QUICK)
    assert "mixture_share" not in set(done.tables.tracks["system"])
    assert any("(none labels) left out one, three, two: needs labels" in remark for remark in done.tables.remarks)
    # It was asked for and nothing came of it.
    assert done.problems == ("mixture / n (none labels) left out one, three, two: needs labels",)


def test_without_film_nobody_detects(folder, tmp_path):
    done = evaluate("folder", folder, tmp_path / "out", models="mixture_share", labels="detected", **QUICK)
    assert any("there is no film to see what plays" in remark for remark in done.tables.remarks)


def link_demo_stems(folder: Path) -> Path:
    """The demo's stems as the one track of the dataset `folder / "stems"`."""
    track = folder / "stems" / "demo"
    track.mkdir(parents=True)
    for path in (DEMO / "stems").glob("*.flac"):
        (track / path.name).symlink_to(path)
    return track


def test_who_is_out_of_view_is_heard_unless_eyes_alone_are_wanted(tmp_path):
    track = link_demo_stems(tmp_path)
    # Without the right third, in which the trumpeter stands.
    cut = ("-vf", "crop=trunc(iw/3)*2:ih:0:0", "-c:a", "copy", track / "film.mp4")
    subprocess.run([ffmpeg_executable(), "-loglevel", "error", "-i", DEMO / "demo.mp4", *cut], check=True)
    told = {}
    for witnesses in (None, "video"):
        done = evaluate(
            "folder", tmp_path / "stems", tmp_path / str(witnesses), models="wiener", labels="detected", max_seconds=4,
            frames_per_second=0.1, witnesses=witnesses, **QUICK,
        )  # fmt: skip
        rows = done.tables.tracks
        told[witnesses] = set(rows[(rows["labels"] == "detected") & (rows["status"] != "missed")]["instrument"])
    assert told == {None: {"violin", "cello", "trumpet"}, "video": {"violin", "cello"}}


def test_detected_labels_come_from_the_film_and_their_cost_is_told(tmp_path):
    (link_demo_stems(tmp_path) / "demo.mp4").symlink_to(DEMO / "demo.mp4")
    done = evaluate(
        "folder", tmp_path / "stems", tmp_path / "out", models="wiener", labels="true,detected", max_seconds=4,
        frames_per_second=0.1, **QUICK,
    )  # fmt: skip
    rows = done.tables.tracks
    detected = rows[rows["labels"] == "detected"]
    assert list(detected["instrument"]) == ["violin", "cello", "trumpet"] and (detected["status"] == "present").all()
    cost = pd.read_csv(done.output / "label_cost.csv").set_index("system")
    assert cost.loc["wiener", "median"] == 0 and cost.loc["wiener", "count"] == 3
    assert (done.output / "work" / "demo" / "heard.json").exists()
    seen = pd.read_csv(done.output / "vision_by_instrument.csv").set_index("instrument")
    assert seen.loc["trumpet", "true_positives"] == 1 and seen.loc["tuba", "true_positives"] == 0
    assert "Labels by family" in done.page.read_text()


# --- anyone's stems --------------------------------------------------------------------------------------------------


@pytest.fixture
def stems(folder, tmp_path):
    """Estimates of all tracks: "exact" equal the references; "late" lag by a sample and miss a stem of "two"."""
    for track, names in TRACKS.items():
        for name, waveform in references(folder, track).items():
            for kind in ("exact", "late"):
                (tmp_path / kind / track).mkdir(parents=True, exist_ok=True)
            sf.write(tmp_path / "exact" / track / f"{name}.wav", waveform, RATE_HZ, subtype="FLOAT")
            if (track, name) != ("two", "oboe"):
                late = np.pad(waveform, ((1, 0), (0, 0)))[:-1]
                sf.write(tmp_path / "late" / track / f"{name}.wav", late, RATE_HZ, subtype="FLOAT")
    return tmp_path


def test_anyones_stems(folder, stems, tmp_path):
    sf.write(stems / "late" / "one" / "horn.wav", line("horn", 3.0, 5), RATE_HZ, subtype="FLOAT")
    sf.write(stems / "late" / "one" / "residual.wav", line("horn", 3.0, 6), RATE_HZ, subtype="FLOAT")
    done = evaluate_stems([stems / "exact", stems / "late"], folder, tmp_path / "out", **{**QUICK, "side": "test"})
    rows = done.tables.tracks.set_index(["system", "track", "instrument"])
    exact, late = rows.loc["exact"], rows.loc["late"]
    assert np.isposinf(exact["sdr"]).all() and (exact["status"] == "present").all()
    assert late.loc[("two", "oboe"), "status"] == "missed" and np.isneginf(late.loc[("two", "oboe"), "si_sdr"])
    assert late.loc[("two", "oboe"), "sdr_improvement"] == late.loc[("two", "oboe"), "si_sdr_improvement"] == 0
    assert late.loc[("one", "horn"), "status"] == "leak" and ("one", "residual") not in late.index
    shifted = late[late["status"] == "present"]
    # One sample at 22,050 Hz: next to nothing in the bass, a fifth of a period of the flute's overtones.
    assert (shifted["sdr"] < 40).all() and shifted.loc[("one", "flute"), "sdr"] < 15
    assert set(rows.index.get_level_values(0)) == {"exact", "late", "mixture", "wiener", "ideal_ratio_mask"}
    assert set(rows.loc["exact"]["labels"]) == {"unknown"}


def test_one_tracks_stems_need_no_folders(folder, stems, tmp_path):
    done = evaluate_stems([stems / "exact" / "one"], folder / "one", tmp_path / "out", **QUICK)
    assert len(done.tables.tracks[done.tables.tracks["labels"] == "unknown"]) == 2


def test_stems_are_matched_by_what_their_names_mean(folder, stems, tmp_path):
    for old, new in (("flute", "Fl_1"), ("double_bass", "db"), ("oboe", "ob"), ("horn", "french horn")):
        for path in (stems / "exact").glob(f"*/{old}.wav"):
            path.rename(path.with_stem(new))
    (stems / "exact" / "encore").mkdir()
    sf.write(stems / "exact" / "encore" / "kazoo.wav", line("horn", 3.0, 6), RATE_HZ)
    done = evaluate_stems([stems / "exact"], folder, tmp_path / "out", models="mixture_share", **QUICK)
    rows = done.tables.tracks
    own = rows[rows["system"] == "exact"]
    assert len(own) == 7 and (own["status"] == "present").all() and np.isposinf(own["sdr"]).all()
    assert "mixture_share" in set(rows["system"])
    assert "exact/encore is no track of the references" in done.page.read_text()


@pytest.mark.parametrize("side", ["exact", "true"])
def test_a_mixture_in_capitals_is_one(folder, stems, tmp_path, side):
    shutil.copytree(folder, stems / "true")
    for name in ("Mixture", "RESIDUAL"):
        for track in TRACKS:
            whole = sum(references(folder, track).values())
            sf.write(stems / side / track / f"{name}.wav", whole, RATE_HZ, subtype="FLOAT")
    done = evaluate_stems([stems / "exact"], stems / "true", tmp_path / "out", **QUICK)
    assert set(done.tables.tracks["instrument"]) == {name for names in TRACKS.values() for name in names}
    assert not any("leak" in remark or "missing" in remark for remark in done.tables.remarks)
    sf.write(stems / "true" / "one" / "mixture.wav", whole, RATE_HZ)
    sf.write(stems / "true" / "one" / "MIXTURE.wav", whole, RATE_HZ)
    with pytest.raises(MediaError, match="Expected one mixture"):
        evaluate_stems([stems / "exact"], stems / "true", tmp_path / "out", **QUICK)


def test_stems_that_are_nobodys_are_refused(folder, stems, tmp_path):
    for path in (stems / "exact" / "one").glob("*.wav"):
        path.rename(path.with_stem(f"take_{path.stem}"))
    with pytest.raises(MediaError, match=r"Expected stems of double_bass, flute\. Received: take_double_bass, take_"):
        evaluate_stems([stems / "exact"], folder, tmp_path / "out", **QUICK)


def test_silent_file_is_a_missed_stem(folder, stems, tmp_path):
    sf.write(stems / "exact" / "two" / "oboe.wav", np.zeros((3 * RATE_HZ, 1)), RATE_HZ)
    done = evaluate_stems([stems / "exact", stems / "late"], folder, tmp_path / "out", **QUICK)
    rows = done.tables.tracks
    rows = rows[(rows["track"] == "two") & (rows["instrument"] == "oboe")].set_index("system")
    assert rows.loc["exact", "status"] == rows.loc["late", "status"] == "missed"
    assert rows.loc["exact", "sdr_improvement"] == rows.loc["late", "sdr_improvement"] == 0


def test_soloist_leaves_nothing_to_separate(folder, tmp_path):
    for track in ("one", "solo"):
        (tmp_path / "stems" / track).mkdir(parents=True)
    for name in TRACKS["one"]:
        (tmp_path / "stems" / "one" / f"{name}.wav").write_bytes((folder / "one" / f"{name}.wav").read_bytes())
    (tmp_path / "stems" / "solo" / "flute.wav").write_bytes((folder / "one" / "flute.wav").read_bytes())
    done = evaluate("folder", tmp_path / "stems", tmp_path / "out", models="mixture", **QUICK)
    assert set(done.tables.tracks["track"]) == {"one"}
    assert any("left out solo: one instrument alone sounds" in remark for remark in done.tables.remarks)
    shutil.rmtree(tmp_path / "stems" / "one")
    with pytest.raises(MediaError, match="Nothing could be scored: .*one instrument alone sounds"):
        evaluate("folder", tmp_path / "stems", tmp_path / "out", models="mixture", **QUICK)


def test_mixture_of_something_else_is_refused(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "stems")
    shutil.copy(folder / "one" / "flute.wav", tmp_path / "stems" / "two" / "mixture.wav")
    done = evaluate("folder", tmp_path / "stems", tmp_path / "out", models="mixture", **QUICK)
    assert len(done.problems) == 1 and "two: Expected a mixture that holds its stems" in done.problems[0]


def test_nothing_of_an_earlier_evaluation_stays(folder, tmp_path):
    evaluate("folder", folder, tmp_path, models="mixture", side="all", segment_metrics="v3_segment", num_examples=0)
    assert (tmp_path / "segments_v3.csv").exists() and (tmp_path / "scores_of_segments.png").exists()
    evaluate("folder", folder, tmp_path, models="mixture", **QUICK)
    assert not (tmp_path / "segments_v3.csv").exists() and not (tmp_path / "scores_of_segments.png").exists()
    assert "sdr_v3_segment" not in pd.read_csv(tmp_path / "tracks.csv")


@pytest.mark.parametrize(
    "settings, message",
    (
        ({"detector": "nosuch"}, "Unknown detector"),
        ({"frames_per_second": 0}, "Expected frames_per_second above 0"),
        ({"detector": "gone.keras"}, "gone.keras, which does not exist"),
    ),
)
def test_who_cannot_look_is_told_at_once(folder, tmp_path, settings, message):
    with pytest.raises((ParameterError, MediaError), match=message):
        evaluate("folder", folder, tmp_path / "out", models="mixture", labels="detected", **settings, **QUICK)
    assert not (tmp_path / "out").exists()


def test_eyes_for_other_instruments_than_play_are_told_before_any_work(folder, film, tmp_path):
    band = tmp_path / "band" / "take"
    band.mkdir(parents=True)
    for name, path in zip(("bass", "drums"), sorted((folder / "one").glob("*.wav"))):
        shutil.copy(path, band / f"{name}.wav")
    settings = {"models": "mixture", "labels": "true,detected", "taxonomy": "musdb4", **QUICK}
    done = evaluate("folder", tmp_path / "band", tmp_path / "without_film", **settings)
    assert any("no film" in remark for remark in done.tables.remarks)
    (band / "film.mp4").symlink_to(film)
    with pytest.raises(ParameterError, match="Expected a detector of the dataset's instruments .vocals, drums, bass, "):
        evaluate("folder", tmp_path / "band", tmp_path / "out", **settings)
    assert not (tmp_path / "out").exists()


def test_shorter_estimates_are_another_recording(folder, stems, tmp_path):
    for name in TRACKS["one"]:
        path = stems / "exact" / "one" / f"{name}.wav"
        sf.write(path, read(path)[:-RATE_HZ], RATE_HZ, subtype="FLOAT")
    command = ["evaluate", "--estimates", str(stems / "exact"), "--references", str(folder), "--metrics", ""]
    result = CliRunner().invoke(main, [*command, "--no-examples", "--processes", "1", "-o", str(tmp_path / "out")])
    assert result.exit_code == 2
    assert "Not everything could be scored: one: Expected estimates as long as the references." in result.output
    assert "1.00 s shorter" in result.output
    # The others are finished, and the page says what is missing.
    assert "Received: one/double_bass.wav, 1.00 s shorter" in (tmp_path / "out" / "report.html").read_text()
    assert set(pd.read_csv(tmp_path / "out" / "tracks.csv")["track"]) == {"two", "three"}


def test_one_short_stem_beside_whole_ones_is_no_silence(folder, stems, tmp_path):
    path = stems / "exact" / "one" / "flute.wav"
    sf.write(path, read(path)[:-RATE_HZ], RATE_HZ, subtype="FLOAT")
    sf.write(path.with_name("mixture.wav"), read(folder / "one" / "flute.wav"), RATE_HZ, subtype="FLOAT")
    done = evaluate_stems([stems / "exact"], folder, tmp_path / "out", segment_metrics=(), num_examples=0)
    (problem,) = done.problems
    assert "Received: one/flute.wav, 1.00 s shorter" in problem


@pytest.mark.parametrize("rate_hz", (44_100, 96_000, 20_000))
def test_examples_are_heard_at_a_rate_that_mp3_has(rate_hz, tmp_path):
    waveform = np.sin(2 * np.pi * 440 * np.arange(2 * rate_hz) / rate_hz)[:, None]
    (tmp_path / "excerpt.mp3").write_bytes(_mp3(waveform, rate_hz))
    heard, heard_rate = read_audio(tmp_path / "excerpt.mp3")
    crossings = np.count_nonzero(np.diff(np.sign(heard[:, 0])) > 0)
    assert abs(crossings / (len(heard) / heard_rate) - 440) < 5


def test_strangers_estimates_are_told_apart(folder, tmp_path):
    (tmp_path / "theirs" / "song").mkdir(parents=True)
    sf.write(tmp_path / "theirs" / "song" / "flute.wav", line("flute", 1.0, 1), RATE_HZ)
    with pytest.raises(MediaError, match=r"tracks named as the references \(one, three, two\)\. Received: .*song"):
        evaluate_stems([tmp_path / "theirs"], folder, tmp_path / "out")


def test_a_track_left_out_lends_its_stems_to_no_other(folder, stems, tmp_path):
    for track in ("two", "three"):
        shutil.rmtree(stems / "exact" / track)
    with pytest.raises(MediaError, match=r"tracks named as the references \(two\)\. Received: .*one"):
        evaluate_stems([stems / "exact"], folder, tmp_path / "out", leave_out=("one", "three"), **QUICK)


def test_tracks_of_references_left_out_are_named_on_the_page(folder, stems, tmp_path):
    done = evaluate_stems([stems / "exact"], folder, tmp_path / "out", leave_out="one", **QUICK)
    assert set(done.tables.tracks["track"]) == {"two", "three"}
    assert "left out by request: one" in done.page.read_text()
    with pytest.raises(ParameterError, match="Expected a track of the references to leave out. Received: 'noe'"):
        evaluate_stems([stems / "exact"], folder, tmp_path / "out", leave_out="noe", **QUICK)


@pytest.mark.parametrize("settings", ({"split": "authors"}, {"side": "train"}, {"allow_problems": True}))
def test_settings_of_datasets_mean_nothing_beside_references(folder, stems, tmp_path, settings):
    with pytest.raises(ParameterError, match="beside a dataset only"):
        evaluate_stems([stems / "exact"], folder, tmp_path / "out", **{**QUICK, **settings})


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings, message",
    (
        ({"labels": "guessed"}, r"Expected labels among true, detected, none, all\. Received: 'guessed'"),
        ({"segment_metrics": "v5"}, r"Expected segment metrics among v3_segment, v4\. Received: 'v5'"),
        ({"side": "dev"}, r"Expected a side among train, validation, test, all\. Received: 'dev'"),
        ({"max_seconds": float("nan")}, r"Expected max_seconds of 1 or more\. Received: nan"),
        ({"sample_rate_hz": 7}, r"Expected a sample rate of 8000 to 192000 Hz\. Received: 7 Hz"),
        ({"num_channels": 3}, r"Expected 1 or 2 channels\. Received: 3"),
        ({"labels": ""}, r"Expected labels among .*\. Received: an empty list"),
    ),
)
def test_wrong_settings(settings, message):
    with pytest.raises(ParameterError, match=message):
        EvaluateConfig(**settings)


def test_unknown_model_and_missing_file(folder, tmp_path):
    with pytest.raises(ParameterError, match=r"Expected models among floors, .*Received: 'weiner'"):
        evaluate("folder", folder, tmp_path / "out", models="weiner")
    with pytest.raises(MediaError, match=r"Expected a \.keras file\. Received: gone\.keras, which does not exist"):
        evaluate("folder", folder, tmp_path / "out", models="gone.keras")
    assert not (tmp_path / "out").exists()


def test_folder_with_something_else_in_it_stays_as_it_is(folder, tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ParameterError, match=r"Expected a new folder, .* which holds thesis\.tex"):
        evaluate("folder", folder, tmp_path, models="mixture", **QUICK)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("settings", ('{"editor.fontSize": 12}', "[]", "no JSON"))
def test_somebody_else_s_settings_make_no_evaluation(folder, tmp_path, settings):
    (tmp_path / "settings.json").write_text(settings)
    (tmp_path / "results.csv").write_text("mine")
    with pytest.raises(ParameterError, match=r"Expected a new folder, or one of an earlier evaluation"):
        evaluate("folder", folder, tmp_path, models="mixture", **QUICK)
    assert (tmp_path / "settings.json").read_text() == settings and (tmp_path / "results.csv").read_text() == "mine"


def test_tables_of_before_go_and_files_of_others_stay(folder, tmp_path):
    evaluate("folder", folder, tmp_path, models="mixture", **{**QUICK, "segment_metrics": "v4"})
    (tmp_path / "notes.csv").write_text("mine")
    assert (tmp_path / "segments_v4.csv").exists()
    evaluate("folder", folder, tmp_path, models="mixture", **{**QUICK, "segment_metrics": ""})
    assert (tmp_path / "notes.csv").read_text() == "mine"
    assert (tmp_path / "tracks.csv").exists() and not (tmp_path / "segments_v4.csv").exists()


@pytest.mark.parametrize(
    "arguments, message",
    (
        (["folder"], "Expected a dataset and its folder"),
        (["--estimates", "x"], "Expected --references beside --estimates"),
        (["folder", "x", "--models", ""], "Expected models, e.g. --models default,classics. Received: an empty list"),
        (["folder", "x", "--references", "y"], "Expected either a dataset or --references"),
        (["nofolder", "x"], "Expected a dataset among"),
        (["--references", "nowhere"], "Expected a folder of stems. Received: nowhere, which is not there"),
    ),
)
def test_one_line_and_exit_code_2(arguments, message, tmp_path):
    result = CliRunner().invoke(main, ["evaluate", *arguments, "-o", str(tmp_path / "out")])
    assert result.exit_code == 2 and message in result.output and len(result.output.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_empty_side_says_how_to_go_on(folder, tmp_path):
    with pytest.raises(MediaError, match=r"leaves no track of 3; choose another with --split or --side"):
        evaluate("folder", folder, tmp_path / "out", models="mixture", leave_out=("one", "two", "three"), side="test")


def test_damaged_track_is_told_and_the_others_are_scored(folder, tmp_path):
    root = tmp_path / "stems"
    for track in ("one", "two"):
        (root / track).mkdir(parents=True)
        for name in TRACKS[track]:
            (root / track / f"{name}.wav").write_bytes((folder / track / f"{name}.wav").read_bytes())
    (root / "one" / "flute.wav").write_text("this is no sound")
    done = evaluate("folder", root, tmp_path / "out", models="mixture", **QUICK)
    assert len(done.problems) == 1 and done.problems[0].startswith("one: ") and "flute.wav" in done.problems[0]
    assert set(done.tables.tracks["track"]) == {"two"}


def test_a_failure_of_ours_is_one_line_and_keeps_its_traceback(folder, tmp_path, monkeypatch):
    def fails(task):
        raise MediaError("no sound") if task.track.name == "one" else ZeroDivisionError("of ours")

    monkeypatch.setattr("pipelines.evaluate.run.evaluate_track", fails)
    with pytest.raises(RuntimeError, match="^No track could be scored: .*no sound; .*ZeroDivisionError: of") as raised:
        evaluate("folder", folder, tmp_path / "out", models="mixture", **QUICK)
    told = error_line(raised.value)
    assert told.startswith("No track could be scored") and "Traceback" not in told and not is_users(raised.value)
    assert "in fails\n" in "".join(traceback.format_exception(raised.value))
