"""The joint model in a run on records with pictures, and what `separate` makes of the file that comes out."""

import dataclasses
import json
import subprocess

import cv2
import keras
import numpy as np
import pandas as pd
import pytest
import soundfile as sf

import av_sep
from av_sep.errors import MediaError, ParameterError
from av_sep.instruments import MUSDB_4, URMP_13
from av_sep.media import ffmpeg_executable, probe, video_frames
from pipelines.configs import find_recipe
from pipelines.joint.detector import JointDetector
from pipelines.joint.files import is_joint, load_joint, load_separation_model, open_detector
from pipelines.joint.model import JointModel
from pipelines.look import Looker
from pipelines.prepare import PictureConfig, PrepareConfig, prepare
from pipelines.progress import silent

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RATE_HZ, SECONDS = 8000, 4
PARTS = {"violin": (1100.0, (220, 60, 40)), "flute": (420.0, (60, 200, 90)), "tuba": (70.0, (50, 80, 230))}
TRACKS = (("violin", "tuba"), ("violin", "flute"), ("flute", "tuba"), ("violin", "flute", "tuba"))
RECIPE = find_recipe("joint_small")()
SIZE = (64, 96)
TINY = dataclasses.replace(
    RECIPE,
    model={
        **RECIPE.model,
        "sample_rate_hz": RATE_HZ,
        "separator": {**RECIPE.model["separator"], "num_levels": 4, "num_filters": 4},
        "picture_size": SIZE,
    },
    picture_size=SIZE,
    segment_samples=1024,
    precision="float32",
    batch_size=4,
    steps_per_epoch=12,
    num_epochs=3,
    learning_rate=5e-3,
    warmup_steps=2,
    ema_momentum=0.8,
    validation_steps=3,
    validation_split="train",
)


def picture(names):
    """Panels from left to right, striped and of a colour of their own where the instrument is there."""
    stage = np.full((90, 144, 3), 70, np.uint8)
    for place, (name, (_, colour)) in enumerate(PARTS.items()):
        if name in names:
            panel = stage[10:80, 48 * place + 4 : 48 * place + 44]
            panel[:] = colour
            panel[:: 3 + 4 * place] = 255
    return stage


def write_film(path, names, mixture):
    still, sound = path.with_suffix(".png"), path.with_suffix(".sound.wav")
    cv2.imwrite(str(still), cv2.cvtColor(picture(names), cv2.COLOR_RGB2BGR))
    sf.write(sound, mixture, RATE_HZ)
    shown = ("-loop", "1", "-framerate", "5", "-i", still, "-i", sound, "-pix_fmt", "yuv444p", "-shortest")
    command = [ffmpeg_executable(), "-y", "-loglevel", "error", *shown, "-t", SECONDS, path]
    subprocess.run([str(word) for word in command], check=True, stdin=subprocess.DEVNULL)
    still.unlink()
    sound.unlink()


@pytest.fixture(scope="module")
def ensembles(tmp_path_factory):
    """A folder of tracks, each with its stems and its film."""
    root = tmp_path_factory.mktemp("ensembles")
    seconds = np.arange(SECONDS * RATE_HZ) / RATE_HZ
    for number, names in enumerate(TRACKS):
        folder = root / f"track{number}"
        folder.mkdir()
        stems = {
            name: 0.2 * np.sin(2 * np.pi * PARTS[name][0] * (1 + 0.02 * number) * seconds) * (1.2 + np.sin(3 * seconds))
            for name in names
        }
        for name, stem in stems.items():
            sf.write(folder / f"{name}.wav", stem, RATE_HZ)
        write_film(folder / "film.mp4", names, sum(stems.values()))
    return root


@pytest.fixture(scope="module")
def records(ensembles, tmp_path_factory):
    folder = tmp_path_factory.mktemp("records") / "pictured"
    settings = PrepareConfig(split="all_train", sample_rate_hz=RATE_HZ, pictures=PictureConfig(2.0))
    prepare("folder", ensembles, folder, settings)
    return folder


def train(config, data, folder, **options):
    from pipelines.train import train as run

    return run(config, str(data), str(folder), accelerator="cpu", **options)


@pytest.fixture(scope="module")
def whole(records, tmp_path_factory):
    """An undisturbed run's folder."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(TINY, records, folder)
    return folder


class Killed(Exception):
    """Stands for a kill in the middle of an epoch."""


def test_both_losses_fall(whole):
    history = pd.read_csv(whole / "history.csv")
    for name in ("sources_loss", "label_vector_loss", "val_sources_loss", "val_label_vector_loss", "val_loss"):
        assert history[name].iloc[-1] < 0.8 * history[name].iloc[0], name
    assert history["val_label_vector_f1"].iloc[-1] > 0.9 > history["label_vector_f1"].iloc[0]


def test_a_run_that_goes_on_equals_one_that_never_stopped(records, whole, tmp_path):
    def kill_in_the_second_epoch(stage, done, total):
        if done == 17:
            raise Killed

    with pytest.raises(Killed):
        train(TINY, records, tmp_path / "run", progress=kill_in_the_second_epoch)
    assert len(pd.read_csv(tmp_path / "run" / "history.csv")) == 1
    train(TINY, records, tmp_path / "run")
    mine, theirs = (pd.read_csv(folder / "history.csv") for folder in (tmp_path / "run", whole))
    for column in ("epoch", "sources_loss", "label_vector_loss", "val_loss", "val_label_vector_f1"):
        np.testing.assert_allclose(mine[column], theirs[column], rtol=1e-4)
    one, other = (keras.saving.load_model(folder / "last.keras").get_weights() for folder in (tmp_path / "run", whole))
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-5)


@pytest.fixture(scope="module")
def feed(records):
    return make_feed(TINY, records)


def make_feed(config, data, **options):
    from pipelines.joint.feed import JointFeed
    from pipelines.train.feeds import open_feed

    model = JointModel(**{**config.model, **options})
    return JointFeed(open_feed(config, str(data), config.segment_samples), model, config)


def test_a_batch_depends_on_its_number_alone(feed):
    third = list(feed.training(0).take(3).as_numpy_iterator())[2]
    first = next(feed.training(2).take(1).as_numpy_iterator())
    for mine, theirs in zip(third, first):
        assert mine.keys() == theirs.keys()
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name])


def test_some_examples_are_given_labels_with_some_too_many(feed):
    batches = list(feed.training(0).take(60).as_numpy_iterator())
    given = np.concatenate([inputs["label_given"] for inputs, _, _ in batches])
    pictured = np.concatenate([inputs["picture_mask"] for inputs, _, _ in batches])
    assert set(given) == {0.0, 1.0} and abs(given[pictured == 1].mean() - 0.5) < 0.12
    assert 0.1 < (pictured == 0).mean() < 0.4 and given[pictured == 0].all()
    labels = np.concatenate([inputs["label_vector"] for inputs, _, _ in batches])
    true = np.concatenate([targets["label_vector"] for _, targets, _ in batches])
    assert set((labels - true).ravel()) == {0.0, 1.0}
    assert 0.02 < (labels != true).any(axis=1).mean() < 0.2 and (labels - true).sum(axis=1).max() == 1
    sounding = np.concatenate([np.abs(targets["sources"]).max(axis=(2, 3)) > 0 for _, targets, _ in batches])
    np.testing.assert_array_equal(sounding, true)


def test_labels_weigh_only_where_there_is_a_picture_and_it_shows_who_is_heard(feed):
    for inputs, targets, weights in feed.training(0).take(20).as_numpy_iterator():
        np.testing.assert_array_equal(weights["label_vector"], inputs["picture_mask"])
        np.testing.assert_array_equal(weights["sources"], 1)
        for shown, mask, labels in zip(inputs["picture"], inputs["picture_mask"], targets["label_vector"]):
            names = [name for name, label in zip(URMP_13.names, labels) if label]
            expected = cv2.resize(picture(names), SIZE[::-1], interpolation=cv2.INTER_AREA) * mask
            assert np.abs(shown - expected).mean() < 12


def test_nothing_is_given_away_in_validation(feed):
    inputs, targets, _ = next(feed.validation().take(1).as_numpy_iterator())
    assert set(inputs) == {"mixture", "picture", "picture_mask"} and inputs["picture_mask"].all()
    assert set(targets) == {"sources", "label_vector"}


def test_data_and_settings_that_do_not_fit_are_refused(records, ensembles, tmp_path):
    prepare("folder", ensembles, tmp_path / "deaf", PrepareConfig(split="all_train", sample_rate_hz=RATE_HZ))
    with pytest.raises(ParameterError, match="records with pictures.*--fps 1"):
        make_feed(TINY, tmp_path / "deaf")
    with pytest.raises(ParameterError, match=r"\(64, 96\).*Received: \(32, 32\)"):
        make_feed(dataclasses.replace(TINY, picture_size=(32, 32)), records, picture_size=SIZE)
    with pytest.raises(ParameterError, match="dropout_probability=0"):
        make_feed(dataclasses.replace(TINY, augmentation={}), records)
    with pytest.raises(ParameterError, match="label_noise=None"):
        make_feed(dataclasses.replace(TINY, label_noise={}), records)
    with pytest.raises(ParameterError, match="one batch of 512 examples or more on the side 'train'"):
        make_feed(dataclasses.replace(TINY, batch_size=512), records)


def test_separate_uses_both_halves(whole, ensembles, tmp_path):
    best = str(whole / "best.keras")
    for number in (0, 1):
        result = av_sep.separate(ensembles / f"track{number}" / "film.mp4", tmp_path / str(number), model=best)
        assert tuple(result.stems) == TRACKS[number]
        manifest = json.loads(result.manifest.read_text())
        assert manifest["labels"]["detector"] == manifest["model"]["name"] == manifest["settings"]["detector"] == best
        frame = next(video_frames(ensembles / f"track{number}" / "film.mp4", frames_per_second=1))
        seen = JointDetector(load_joint(best)).detect_frame(frame)[0]
        confidences = [manifest["labels"]["label_vector"][name] for name in URMP_13.names]
        np.testing.assert_allclose(seen.label_confidences, confidences, atol=2e-3)
        assert seen.whole_frame and seen.box_xyxy == (0, 0, 144, 90) and seen.instrument in TRACKS[number]


def test_stems_are_those_of_the_half_that_hears(whole, ensembles, tmp_path):
    from audio.separator import Separator

    best = str(whole / "best.keras")
    film = ensembles / "track0" / "film.mp4"
    result = av_sep.separate(film, tmp_path, model=best, instruments="tba")
    assert list(result.stems) == ["tuba"]
    assert json.loads(result.manifest.read_text())["labels"]["detector"] is None
    result = av_sep.separate(film, tmp_path / "two", model=best)
    stems = {name: sf.read(path, always_2d=True)[0] for name, path in result.stems.items()}
    mixture = sum(stems.values())
    labels = np.array([name in stems for name in URMP_13.names], np.float32)
    rate_hz = sf.info(result.stems["tuba"]).samplerate
    estimates = Separator(load_separation_model(best)).separate(mixture.astype(np.float32), labels, rate_hz)
    np.testing.assert_allclose(estimates[URMP_13.index("tuba")], stems["tuba"], atol=1e-3)


def test_a_detector_that_is_named_wins(whole, ensembles, tmp_path, monkeypatch):
    asked = []

    def open_other(name):
        asked.append(name)
        raise ParameterError("no such detector here")

    monkeypatch.setattr("pipelines.look.open_detector", open_other)
    with pytest.raises(ParameterError, match="no such detector"):
        film = ensembles / "track0" / "film.mp4"
        av_sep.separate(film, tmp_path, model=str(whole / "best.keras"), detector="embedded")
    assert asked == ["embedded"]


def test_annotate_takes_the_half_that_looks(whole, ensembles, tmp_path):
    film = ensembles / "track1" / "film.mp4"
    av_sep.annotate(film, tmp_path, detector=str(whole / "best.keras"), formats=("json",))
    (file,) = tmp_path.rglob("*.json")
    assert json.loads(file.read_text())["instruments"] == ["violin", "flute"]


def test_export_takes_a_joint_model(whole, tmp_path):
    from pipelines.export import export

    written = export(whole, tmp_path / "joint.keras")
    assert is_joint(written) and written.stat().st_size < 0.6 * (whole / "best.keras").stat().st_size
    assert load_separation_model(written).source_names == URMP_13.names


def test_files_that_are_no_joint_model(tmp_path):
    assert not is_joint("default") and not is_joint(tmp_path / "nothing.keras")
    (tmp_path / "text.keras").write_text("no archive")
    assert not is_joint(tmp_path / "text.keras")
    with pytest.raises(ParameterError, match="joint model. Received: .*text.keras"):
        open_detector(str(tmp_path / "text.keras"))
    with pytest.raises(MediaError, match="does not exist"):
        open_detector(str(tmp_path / "nothing.keras"))


def test_a_violin_and_a_viola_that_are_both_seen_are_two_stems(ensembles):
    model = JointModel(("violin", "viola", "tuba"), separator=RECIPE.model["separator"], picture_size=(32, 32))
    model.head.set_weights([np.zeros((1280, 3)), np.array([1.0, 0.5, -3.0])])
    looker = Looker("embedded", frames_per_second=1.0, threshold=None)
    looker.detector = JointDetector(model)
    film = ensembles / "track0" / "film.mp4"
    labels = looker.look(film, probe(film), silent).labels
    assert labels.instruments == ("violin", "viola") and labels.taxonomy == model.source_names
    np.testing.assert_allclose(labels.label_vector, 1 / (1 + np.exp([-1.0, -0.5, 3.0])), atol=1e-5)


@pytest.mark.parametrize("names", [MUSDB_4.names, ("violin", "kazoo", "tuba")])
def test_joint_model_of_another_taxonomy_separates_what_it_sees(names, ensembles, tmp_path):
    model = JointModel(
        names, sample_rate_hz=RATE_HZ, separator=TINY.model["separator"], picture_size=(32, 32)
    )
    # Sees the first two, whatever it is shown.
    bias = np.where(np.arange(len(names)) < 2, 1.0, -3.0)
    model.head.set_weights([np.zeros((1280, len(names))), bias])
    model.save(tmp_path / "other.keras")
    result = av_sep.separate(ensembles / "track0" / "film.mp4", tmp_path, model=tmp_path / "other.keras")
    assert tuple(result.stems) == names[:2] and result.labels.taxonomy == names
    page = result.report.read_text()
    family = "band" if names == MUSDB_4.names else "strings"
    assert all(f"<td>{name}</td>" in page for name in names) and f"<td>{names[0]}</td><td>{family}</td>" in page
    (mixture, stems) = (sf.read(path, always_2d=True)[0] for path in result.stems.values())
    assert mixture.shape == stems.shape and np.abs(mixture).max() > 0
