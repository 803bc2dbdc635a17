"""The bank of solo lines: whole sources on either side of the split, and the format that training reads."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from click.testing import CliRunner

from av_sep.datasets.solo_bank import ENSEMBLES, SoloBank, open_bank
from av_sep.errors import MediaError

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "make_solo_bank.py"


def load_script(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def bank_script():
    return load_script(SCRIPT)


@pytest.fixture(scope="module")
def notes_folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("notes")
    time = np.arange(16000) / 16000
    for library in ("large", "small", "kept_out"):
        folder = root / library / "oboe"
        folder.mkdir(parents=True)
        for i, name in enumerate(("A4", "B4", "Cs5", "Ds5", "F5", "G5", "A5")):
            hz = 440.0 * 2.0 ** (2 * i / 12)
            tone = 0.3 * sum(np.sin(2 * np.pi * k * hz * time) / k for k in (1, 2, 3))
            sf.write(folder / f"oboe_{name}_1_forte_normal.wav", tone, 16000)
            if library == "large":
                sf.write(folder / f"oboe_{name}_1_piano_normal.wav", tone, 16000)
    return root


@pytest.fixture(scope="module")
def line():
    """A line without two samples alike, with both ends of int16."""
    return np.random.default_rng(2).permutation(np.linspace(-32768, 32767, 37).astype(np.int16))


@pytest.mark.parametrize("num_samples", (0, 1, 36, 37, 38, 200))
@pytest.mark.parametrize("start", (0, 1, 17, 36, 37, 80, -5))
def test_crop_goes_round_the_line(line, start, num_samples):
    crop = SoloBank(8000, {"oboe": {"other": line[:3], "one": line}}).crop("oboe", "one", start, num_samples)
    assert crop.dtype == np.float32 and crop.shape == (num_samples,)
    np.testing.assert_array_equal(crop, [line[(start + i) % 37] / 32768 for i in range(num_samples)])


@pytest.mark.parametrize("start", (3, 30))
def test_crop_of_a_bank_on_disk_is_an_array_of_its_own(line, tmp_path, start):
    (tmp_path / "train" / "oboe").mkdir(parents=True)
    np.save(tmp_path / "train" / "oboe" / "one.npy", line)
    (tmp_path / "bank.json").write_text(json.dumps({"sample_rate_hz": 8000}))
    bank = open_bank(tmp_path)
    assert bank.instruments == ("oboe",) and bank.sample_rate_hz == 8000
    assert isinstance(bank.lines["oboe"]["one"], np.memmap)
    crop = bank.crop("oboe", "one", start, 20)
    np.testing.assert_array_equal(crop, np.tile(line, 2)[start : start + 20] / np.float32(32768))
    assert type(crop) is np.ndarray
    crop[:] = 0
    np.testing.assert_array_equal(bank.lines["oboe"]["one"], line)


def test_folders_that_are_no_bank_are_refused(tmp_path):
    with pytest.raises(MediaError, match="a bank.json; make one first. Received: "):
        open_bank(tmp_path)
    (tmp_path / "bank.json").write_text(json.dumps({"sample_rate_hz": 8000}))
    with pytest.raises(MediaError, match=r"heldout/<instrument>/<source>\.npy\. Received: none"):
        open_bank(tmp_path, "heldout")


@pytest.mark.parametrize(
    "index", ("", '{"sample_rate_hz": 80', "{}", "[]", '{"sample_rate_hz": "8000"}', '{"sample_rate_hz": 0}')
)
def test_a_damaged_list_of_files_is_refused_in_one_line(line, tmp_path, index):
    (tmp_path / "train" / "oboe").mkdir(parents=True)
    np.save(tmp_path / "train" / "oboe" / "one.npy", line)
    (tmp_path / "bank.json").write_text(index)
    with pytest.raises(MediaError, match="Expected a .*sample_rate_hz.* Received: .*bank.json") as caught:
        open_bank(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_damaged_line_is_refused_in_one_line(line, tmp_path):
    path = tmp_path / "train" / "oboe" / "one.npy"
    path.parent.mkdir(parents=True)
    (tmp_path / "bank.json").write_text(json.dumps({"sample_rate_hz": 8000}))
    np.save(path, line)
    whole = path.read_bytes()
    for content in (b"", whole[:4], whole[:50], whole[:-1], b"PK\3\4" + whole):
        path.write_bytes(content)
        with pytest.raises(MediaError, match="Expected a line of a bank. Received: .*one.npy, which is damaged"):
            open_bank(tmp_path)


@pytest.mark.parametrize(("dtype", "shape"), ((np.float32, (37,)), (np.int16, (37, 2)), (np.int16, ())))
def test_lines_of_another_kind_are_refused(tmp_path, dtype, shape):
    path = tmp_path / "train" / "oboe" / "one.npy"
    path.parent.mkdir(parents=True)
    (tmp_path / "bank.json").write_text(json.dumps({"sample_rate_hz": 8000}))
    np.save(path, np.ones(shape, dtype))
    with pytest.raises(MediaError, match=r"Expected a line int16 \[time\]. Received: .*one.npy"):
        open_bank(tmp_path)


def test_sources_are_split_whole_and_minutes_shared_by_size(bank_script, notes_folder):
    jobs = {job.source: job for job in bank_script.sample_jobs(notes_folder, 6.0, {"kept_out"})}
    splits = {name: job.split for name, job in jobs.items()}
    assert splits == {"large": "train", "small": "train", "kept_out": "heldout"}
    assert jobs["large"].seconds == pytest.approx(240, rel=0.01)
    assert jobs["small"].seconds == pytest.approx(120, rel=0.01)
    assert jobs["kept_out"].seconds == pytest.approx(60)
    for job in jobs.values():
        assert {sample.library for sample in job.samples} == {job.source}


def test_soundfonts_cover_every_instrument_on_their_side(bank_script):
    jobs = bank_script.soundfont_jobs({"one": "one.sf2", "two": "two.sf2"}, 12.0, {"two"})
    assert len(jobs) == 26
    sides = {(job.source, job.split, job.seconds) for job in jobs}
    assert sides == {("one", "train", 360.0), ("two", "heldout", 120.0)}


def test_rendered_file_keeps_the_bank_format(bank_script, notes_folder, tmp_path):
    job = next(job for job in bank_script.sample_jobs(notes_folder, 0.5, set()) if job.source == "large")
    entry = bank_script.render_job(job, tmp_path, 16000, seed=3)
    stored = np.load(tmp_path / "train" / "oboe" / "large.npy")
    assert stored.dtype == np.int16 and stored.ndim == 1
    assert entry == {"instrument": "oboe", "source": "large", "split": "train", "seconds": len(stored) / 16000}
    assert len(stored) / 16000 == pytest.approx(job.seconds, abs=0.01)
    waveform = stored / 32767
    frames = np.sqrt(np.mean(waveform[: len(waveform) // 800 * 800].reshape(-1, 800) ** 2, axis=1))
    sounding = frames > 1e-3
    assert np.mean(~sounding) < 0.15
    assert 20 * np.log10(np.sqrt(np.mean(frames[sounding] ** 2))) == pytest.approx(-20, abs=1.5)
    assert np.abs(waveform).max() < 0.96
    bank_script.render_job(job, tmp_path / "again", 16000, seed=3)
    np.testing.assert_array_equal(np.load(tmp_path / "again" / "train" / "oboe" / "large.npy"), stored)
    bank_script.render_job(job, tmp_path / "other", 16000, seed=4)
    assert not np.array_equal(np.load(tmp_path / "other" / "train" / "oboe" / "large.npy")[:8000], stored[:8000])


def write_pieces(root, parts):
    """Pieces in URMP's layout, 800 samples long: folder's name -> instrument -> constant levels of its players."""
    for folder, instruments in parts.items():
        (root / folder).mkdir(parents=True)
        number, title = folder.split("_")[:2]
        levels = [(name, level) for name, several in instruments.items() for level in several]
        for i, (name, level) in enumerate(levels, start=1):
            sound = np.full(800, level, np.int16)
            sf.write(root / folder / f"AuSep_{i}_{name}_{number}_{title}.wav", sound, 8000)
        sf.write(root / folder / f"AuMix_{folder}.wav", np.zeros(800, np.int16), 8000)


def test_pieces_join_a_bank_on_one_time_axis(tmp_path):
    bank, pieces = tmp_path / "bank", tmp_path / "pieces"
    write_pieces(pieces, {"0001_One_vn_vc": {"vn": [1000], "vc": [2000]}, "0002_Two_vn_vn": {"vn": [4000, 300]}})
    (bank / "train" / "violin").mkdir(parents=True)
    np.save(bank / "train" / "violin" / "solo.npy", np.ones(50, np.int16))
    (bank / "bank.json").write_text(json.dumps({"sample_rate_hz": 8000, "files": []}))
    script = load_script(SCRIPT.with_name("add_ensembles.py"))
    done = CliRunner().invoke(script.main, [str(bank), str(pieces)], catch_exceptions=False)
    assert done.output.strip() == "0.0 minutes of 4 parts"
    opened = open_bank(bank)
    violin, cello = (opened.lines[name][ENSEMBLES] for name in ("violin", "cello"))
    # Players of one instrument are one line; full scale is 32,768 in files and 32,767 in banks.
    np.testing.assert_allclose(violin, np.repeat([1000, 4300], 800), atol=1)
    np.testing.assert_allclose(cello, np.repeat([2000, 0], 800), atol=1)
    assert not cello[800:].any()
    assert opened.solos("violin").keys() == {"solo"} and opened.solos("cello") == {}
    listed = json.loads((bank / "bank.json").read_text())["files"]
    assert {(entry["instrument"], entry["source"], entry["seconds"]) for entry in listed} == {
        ("violin", ENSEMBLES, 0.2), ("cello", ENSEMBLES, 0.2)
    }  # fmt: skip


def test_pieces_do_not_join_others_on_another_time_axis(tmp_path):
    """The cello of the first run would seem to play with the flute of the second."""
    bank = tmp_path / "bank"
    write_pieces(tmp_path / "first", {"0001_One_vn_vc": {"vn": [1000], "vc": [2000]}})
    write_pieces(tmp_path / "second", {"0001_Two_vn_fl": {"vn": [3000], "fl": [4000]}})
    bank.mkdir()
    (bank / "bank.json").write_text(json.dumps({"sample_rate_hz": 8000, "files": []}))
    script = load_script(SCRIPT.with_name("add_ensembles.py"))
    assert CliRunner().invoke(script.main, [str(bank), str(tmp_path / "first")]).exit_code == 0
    before = {path: path.read_bytes() for path in bank.rglob("*.*")}
    done = CliRunner().invoke(script.main, [str(bank), str(tmp_path / "second")])
    assert done.exit_code == 1 and len(done.stderr.strip().splitlines()) == 1
    assert "Expected a bank without ensembles" in done.stderr and "cello/ensembles.npy and 1 more" in done.stderr
    assert {path: path.read_bytes() for path in bank.rglob("*.*")} == before
