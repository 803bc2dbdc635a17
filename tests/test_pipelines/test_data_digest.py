"""The data of a run: the same after a copy, others where anything that an index knows of has changed."""

import json
import shutil

import numpy as np
import pytest

from av_sep.datasets.packed_bank import pack_bank
from av_sep.errors import MediaError
from pipelines.train.data_digest import data_digest


@pytest.fixture
def bank(tmp_path):
    folder = tmp_path / "bank"
    for split in ("train", "heldout"):
        (folder / split / "violin").mkdir(parents=True)
        np.save(folder / split / "violin" / "tones.npy", np.arange(9000, dtype=np.int16))
    (folder / "bank.json").write_text(json.dumps({"sample_rate_hz": 8000}))
    return folder


@pytest.mark.parametrize("packed", [False, True])
def test_a_bank_is_known_by_its_lines(bank, tmp_path, packed):
    def digest(name):
        if not packed:
            return data_digest(str(shutil.copytree(bank, tmp_path / name)))
        pack_bank(bank, tmp_path / name)
        return data_digest(f"{tmp_path / name}/")

    first = digest("first")
    assert digest("again") == first
    line = bank / "train" / "violin" / "tones.npy"
    np.save(line, np.arange(9000 if packed else 9001, dtype=np.int16)[::-1])
    longer = digest("other line")
    shutil.copy(line, line.with_name("more.npy"))
    assert len({first, longer, digest("one more")}) == 3


def test_records_are_known_by_their_checksums(tmp_path):
    def digest(checksum, **others):
        shards = {"train": {"shards": [{"file": "a.tfrecord", "sha256": checksum}]}}
        (tmp_path / "manifest.json").write_text(json.dumps({"sides": shards, **others}))
        return data_digest(str(tmp_path)), data_digest(f"file://{tmp_path}")

    (here, by_url), (other, _) = digest("12ab"), digest("34cd")
    assert here == by_url != other
    # When they were made, and from which copy of the dataset, is nothing that training sees.
    assert digest("12ab", fingerprint="56ef") == (here, by_url)


@pytest.mark.parametrize("content", ["{", "[]", b"\xff"])
def test_a_damaged_index_is_named(tmp_path, content):
    (tmp_path / "manifest.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(MediaError, match=f"Cannot read {tmp_path}"):
        data_digest(str(tmp_path))
