"""`av-sep train`, `recipes` and `export` in-process, from made pieces to a model that separates."""

import json

import numpy as np
import pytest
import soundfile as sf
from click.testing import CliRunner

from av_sep.instruments import URMP_13
from pipelines.cli import main
from pipelines.configs import RECIPES
from pipelines.prepare import PrepareConfig, prepare

TINY = [
    "segment_samples=4096", "batch_size=2", "steps_per_epoch=6", "num_epochs=3", "validation_steps=2", "warmup_steps=0",
    "learning_rate=0.003", "model.num_levels=4", "model.num_filters=4", "model.sample_rate_hz=16000",
    "validation_split=test",
]  # fmt: skip
SETTINGS = [word for setting in TINY for word in ("--set", setting)]


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Two duets of a high and a low tone, one to train on and one to test on."""
    root = tmp_path_factory.mktemp("data")
    seconds = np.arange(4 * 16000) / 16000
    for track, shift in (("one", 1.0), ("two", 1.05)):
        (root / "tracks" / track).mkdir(parents=True)
        for name, frequency in (("violin", 900), ("tuba", 70)):
            tone = 0.2 * np.sin(2 * np.pi * frequency * shift * seconds) * (1.2 + np.sin(3 * seconds))
            sf.write(root / "tracks" / track / f"{name}.wav", tone, 16000)
    prepare("folder", root / "tracks", root / "all", PrepareConfig(split="all_test", sample_rate_hz=16000))
    prepare("folder", root / "tracks", root / "records", PrepareConfig(split="all_train", sample_rate_hz=16000))
    # A test side beside the training side, as a split of a larger dataset would have it.
    manifest = json.loads((root / "records" / "manifest.json").read_text())
    other = json.loads((root / "all" / "manifest.json").read_text())
    manifest["sides"]["test"] = other["sides"]["test"]
    for shard in other["sides"]["test"]["shards"]:
        (root / "all" / shard["file"]).rename(root / "records" / shard["file"])
    (root / "records" / "manifest.json").write_text(json.dumps(manifest))
    return root / "records"


def test_from_records_to_stems(records, tmp_path):
    run = ("train", "conditioned_small", "--data", records, "-o", tmp_path / "run", "--accelerator", "cpu", *SETTINGS)
    done = invoke(*run)
    assert done.exit_code == 0, done.output
    assert "3 epochs on 1 x cpu" in done.stdout and "hours of audio per hour" in done.stdout
    exported = invoke("export", tmp_path / "run", "-o", tmp_path / "model.keras")
    assert exported.exit_code == 0 and "MB" in exported.stdout, exported.output
    mixture = 0.1 * np.random.default_rng(0).normal(size=20_000)
    sf.write(tmp_path / "take.wav", mixture, 16000, subtype="FLOAT")
    separated = invoke(
        "separate", tmp_path / "take.wav", "--instruments", "vn,tba", "--model", tmp_path / "model.keras", "-o",
        tmp_path / "out",
    )  # fmt: skip
    assert separated.exit_code == 0, separated.output
    stems = [sf.read(tmp_path / "out" / "take" / f"{name}.wav")[0] for name in ("violin", "tuba")]
    np.testing.assert_allclose(sum(stems), mixture.astype(np.float32), atol=1e-5)


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("batch_size=1000", "one batch of 1000 examples or more on the side 'test'"),
        ("augmentation.max_tlt=0.1", "Did you mean 'max_tilt'? Received: 'augmentation.max_tlt'"),
        ("num_epochs=0", "num_epochs of 1 or more. Received: 0"),
    ],
)
def test_a_wrong_setting_leaves_the_folder_to_the_corrected_command(records, tmp_path, setting, words):
    run = ("train", "conditioned_small", "--data", records, "-o", tmp_path / "run", "--accelerator", "cpu", *SETTINGS)
    done = invoke(*run, "--set", setting)
    assert done.exit_code == 2 and words in done.stderr, done.output
    assert len(done.stderr.strip().splitlines()) == 1 and not (tmp_path / "run").exists()


def test_show_prints_the_resolved_settings_and_writes_nothing(tmp_path):
    options = ("--data", "-", "-o", tmp_path / "run", "--show", "--precision", "bfloat16")
    done = invoke("train", "conditioned_sse", *options)
    settings = json.loads(done.stdout)
    assert settings["precision"] == "bfloat16" and settings["loss"] == "sse" and settings["learning_rate"] == 1e-5
    assert settings["model"]["source_names"] == list(URMP_13.names) and not (tmp_path / "run").exists()


def test_recipes_are_listed_with_what_they_are():
    lines = invoke("recipes").stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == list(RECIPES) and all(len(line) < 200 for line in lines)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["conditioned_smal"], "Did you mean 'conditioned_small'?"),
        (["conditioned_small", "--set", "batchsize=2"], "Did you mean 'batch_size'?"),
        (["conditioned_small", "--accelerator", "tpu", "--backend", "tensorflow"], "--backend jax"),
        (["conditioned_small"], "22050 Hz"),
        (["plain_musdb4"], "vocals"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path, urmp_tree, arguments, words):
    data = tmp_path / "records"
    options = PrepareConfig(split="all_train", allow_problems=True, leave_out=("26_King_vn_va_vc_db_fl",))
    prepare("urmp", urmp_tree, data, options)
    done = invoke("train", *arguments, "--data", data, "-o", tmp_path / "run")
    assert done.exit_code == 2 and words in done.stderr, done.output
    assert len(done.stderr.strip().splitlines()) == 1 and not (tmp_path / "run").exists()
