"""A packed bank holds every sample of the bank in files under a limit, and says so when it does not."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from click.testing import CliRunner

from av_sep.datasets.packed_bank import is_bank, open_any_bank, pack_bank, unpack_bank
from av_sep.datasets.solo_bank import open_bank
from av_sep.errors import MediaError, ParameterError

LIMIT = 2_000_000
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "pack_bank.py"
# Noise at full scale, which FLAC cannot compress, longer than two files; and what a bank may hold besides.
LINES = {
    ("train", "violin", "noise"): 2_300_000,
    ("train", "violin", "short"): 1,
    ("train", "tuba", "noise"): 40_000,
    ("heldout", "tuba", "other"): 300_001,
}


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bank")
    rng = np.random.default_rng(11)
    for (split, instrument, source), num_samples in LINES.items():
        (folder / split / instrument).mkdir(parents=True, exist_ok=True)
        line = rng.integers(-32768, 32768, size=num_samples).astype(np.int16)
        np.save(folder / split / instrument / f"{source}.npy", line)
    (folder / "bank.json").write_text(json.dumps({"sample_rate_hz": 22050, "seed": 3, "files": []}))
    return folder


@pytest.fixture(scope="module")
def packed(bank, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed") / "new"
    pack_bank(bank, folder, LIMIT)
    return folder


def line_of(bank, split, instrument, source):
    return np.load(bank / split / instrument / f"{source}.npy")


def test_no_file_exceeds_the_limit_and_they_are_few(packed):
    sizes = {path.name: path.stat().st_size for path in packed.iterdir()}
    assert max(sizes.values()) <= LIMIT
    assert sum(name.endswith(".flac") for name in sizes) == len(sizes) - 1 >= 3
    # 5.3 MB that do not compress.
    assert 5_200_000 < sum(sizes.values()) < 5_500_000 and len(sizes) < 10


def test_opens_as_the_bank_it_was_made_of(bank, packed):
    for split in ("train", "heldout"):
        opened, expected = open_any_bank(packed, split), open_bank(bank, split)
        assert opened.sample_rate_hz == 22050 and opened.instruments == expected.instruments
        for instrument, sources in expected.lines.items():
            assert list(opened.lines[instrument]) == list(sources)
            for source in sources:
                line = opened.lines[instrument][source]
                assert line.dtype == np.int16
                np.testing.assert_array_equal(line, line_of(bank, split, instrument, source))


def test_a_bank_that_is_not_packed_opens_as_well(bank):
    assert open_any_bank(bank, "heldout").instruments == ("tuba",)
    assert is_bank(bank) and not is_bank(bank / "train")


def test_unpacking_gives_the_bank_back(bank, packed, tmp_path):
    unpack_bank(packed, tmp_path / "again")
    paths = sorted(path.relative_to(bank) for path in bank.rglob("*.npy"))
    assert paths == sorted(path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*.npy"))
    assert len(paths) == len(LINES)
    for path in paths:
        np.testing.assert_array_equal(np.load(tmp_path / "again" / path), np.load(bank / path))
    assert json.loads((tmp_path / "again" / "bank.json").read_text())["seed"] == 3


def test_music_takes_less_room(tmp_path):
    (tmp_path / "bank" / "train" / "flute").mkdir(parents=True)
    tone = 8000 * np.sin(2 * np.pi * 440 * np.arange(400_000) / 22050)
    np.save(tmp_path / "bank" / "train" / "flute" / "tone.npy", tone.astype(np.int16))
    (tmp_path / "bank" / "bank.json").write_text(json.dumps({"sample_rate_hz": 22050}))
    files = pack_bank(tmp_path / "bank", tmp_path / "packed")
    assert [path.name for path in files] == ["lines-000.flac", "packed_bank.json"]
    assert files[0].stat().st_size < 0.6 * 800_000
    # Any player of sound can look into it.
    assert sf.info(files[0]).frames == 400_000 and sf.info(files[0]).samplerate == 22050


def test_damage_is_noticed(bank, tmp_path):
    pack_bank(bank, tmp_path / "packed", LIMIT)
    index = json.loads((tmp_path / "packed" / "packed_bank.json").read_text())
    index["lines"][0]["pieces"][0]["start"] += 1
    (tmp_path / "packed" / "packed_bank.json").write_text(json.dumps(index))
    with pytest.raises(MediaError, match="Expected the line train/"):
        open_any_bank(tmp_path / "packed")
    (tmp_path / "packed" / "lines-000.flac").unlink()
    with pytest.raises(MediaError, match=r"lines-000\.flac, which cannot be read"):
        open_any_bank(tmp_path / "packed")
    (tmp_path / "packed" / "packed_bank.json").write_text("{}")
    with pytest.raises(MediaError, match="damaged"):
        open_any_bank(tmp_path / "packed")


INDEX_DAMAGED = r"^Expected the index .*/packed_bank\.json, which is damaged[^\n]*$"
LINE = {"split": "train", "instrument": "tuba", "source": "a", "num_samples": 3, "crc32": 0}
PIECE = {"file": "lines-000.flac", "start": 0, "num_samples": 3}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{}", "bank and lines"),
        ("[]", "bank and lines"),
        ('{"bank": {}, "lines": {}}', "bank and lines"),
        ('{"bank": {}, "lines": [{}]}', "sample_rate_hz above 0"),
        ('{"bank": {"sample_rate_hz": "22050"}, "lines": []}', "sample_rate_hz above 0"),
        ('{"bank": {"sample_rate_hz": 0}, "lines": []}', "sample_rate_hz above 0"),
        ('{"bank": {"sample_rate_hz": 22050}, "lines": [', "damaged"),
        ("\x00\xff", "damaged"),
        *[
            (json.dumps({"bank": {"sample_rate_hz": 22050}, "lines": [{**LINE, "pieces": [PIECE]}, line]}), "line 1 is")
            for line in (
                {},
                7,
                LINE,
                {**LINE, "pieces": 3},
                {**LINE, "pieces": [3]},
                {**LINE, "pieces": [{"file": "lines-000.flac", "start": 0}]},
                {**LINE, "pieces": [{**PIECE, "start": "0"}]},
                {**LINE, "pieces": [], "num_samples": 0},
                {**LINE, "pieces": [PIECE], "source": None},
            )
        ],
    ],
)
def test_an_index_that_is_damaged(tmp_path, content, words):
    (tmp_path / "packed_bank.json").write_bytes(content.encode("latin-1"))
    for read in (open_any_bank, lambda packed: unpack_bank(packed, tmp_path / "out")):
        with pytest.raises(MediaError, match=INDEX_DAMAGED) as error:
            read(tmp_path)
        assert words in str(error.value)


@pytest.mark.parametrize("name", ("../../elsewhere", "/tmp/elsewhere", "..", ""))
@pytest.mark.parametrize("key", ("split", "instrument", "source", "file"))
def test_names_that_lead_out_of_the_folder(bank, tmp_path, key, name):
    pack_bank(bank, tmp_path / "packed", LIMIT)
    index = json.loads((tmp_path / "packed" / "packed_bank.json").read_text())
    line = index["lines"][0]
    (line["pieces"][0] if key == "file" else line)[key] = name
    (tmp_path / "packed" / "packed_bank.json").write_text(json.dumps(index))
    with pytest.raises(MediaError, match=INDEX_DAMAGED) as error:
        unpack_bank(tmp_path / "packed", tmp_path / "out")
    assert f"line 0 has {name!r} for a name" in str(error.value) and not (tmp_path / "out").exists()


def test_streams_of_two_channels(bank, tmp_path):
    pack_bank(bank, tmp_path / "packed", LIMIT)
    sf.write(tmp_path / "packed" / "lines-001.flac", np.zeros((9, 2), np.int16), 22050)
    with pytest.raises(MediaError, match=r"of one channel. Received: .*lines-001\.flac, of 2$"):
        open_any_bank(tmp_path / "packed")


def test_what_cannot_be_packed_or_opened(bank, packed, tmp_path):
    with pytest.raises(MediaError, match="make one first"):
        pack_bank(tmp_path, tmp_path / "out")
    with pytest.raises(ParameterError, match="without a packed bank"):
        pack_bank(bank, packed)
    with pytest.raises(ParameterError, match="Received: 1000"):
        pack_bank(bank, tmp_path / "out", 1000)
    with pytest.raises(MediaError, match="make one first"):
        unpack_bank(tmp_path, tmp_path / "out")
    with pytest.raises(MediaError, match="side 'test'"):
        open_any_bank(packed, "test")


def test_script_packs_and_unpacks(bank, tmp_path):
    spec = importlib.util.spec_from_file_location("pack_bank_script", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    done = CliRunner().invoke(script.main, [str(bank), str(tmp_path / "packed")])
    assert done.exit_code == 0 and done.output.startswith("2 files, 5.")
    done = CliRunner().invoke(script.main, ["--unpack", str(tmp_path / "packed"), str(tmp_path / "bank")])
    expected = line_of(bank, "heldout", "tuba", "other")
    np.testing.assert_array_equal(line_of(tmp_path / "bank", "heldout", "tuba", "other"), expected)
