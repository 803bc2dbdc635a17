"""Shards as files: complete or absent, and refused in one line when they are damaged, foreign or made for others."""

import dataclasses
import hashlib
import json
import resource

import numpy as np
import pytest
import tensorflow as tf

from audio.records import RecordSpec, check_shard, read_records, track_records, write_shard
from audio.records.prepared import list_shards, require_whole
from audio.records.shards import check_first_record
from av_sep.errors import MediaError, ParameterError

SPEC = RecordSpec("compact", ("violin", "flute", "tuba"), ("vn", "fl", "tba"), 16000, stretch_samples=500)
PUBLISHED = dataclasses.replace(SPEC, schema="published", mixture_samples=300, source_samples=100)
SPECS = pytest.mark.parametrize("spec", (SPEC, PUBLISHED), ids=lambda spec: spec.schema)


def records_of(rng, spec=SPEC, num_samples=1700, name=b"a"):
    violin, tuba = rng.normal(size=(2, num_samples, spec.num_channels)).astype(np.float32)
    return list(track_records(name, [(violin + tuba, {"violin": violin, "tuba": tuba})], spec))


@pytest.fixture
def shard(tmp_path, rng):
    path = tmp_path / "train-00000-of-00001.tfrecord"
    write_shard(path, records_of(rng))
    return path


@SPECS
def test_summary_is_that_of_the_file(tmp_path, rng, spec):
    path = tmp_path / "a.tfrecord"
    summary = write_shard(path, [*records_of(rng, spec), *records_of(rng, spec, 333, b"b")])
    assert check_shard(path, spec) == summary
    assert summary.num_samples == 1700 + 333
    assert summary.num_records == {"compact": 4 + 1, "published": 17 + 4}[spec.schema]
    assert (summary.num_bytes, summary.sha256) == (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
    names = [record.name for record in read_records(path, spec)]
    assert names == ["a"] * names.count("a") + ["b"] * {"compact": 1, "published": 4}[spec.schema]


def ends_of_records(path):
    ends = [0]
    for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
        ends.append(ends[-1] + 16 + len(record))
    return ends


@pytest.mark.parametrize("record", (0, 2))
@pytest.mark.parametrize("kept", (1, 8, 11, 12, 13, 400, -5, -4, -1))
def test_truncated_shard_is_refused_by_name(shard, record, kept):
    ends = ends_of_records(shard)
    size = ends[record] + kept if kept > 0 else ends[record + 1] + kept
    shard.write_bytes(shard.read_bytes()[:size])
    for check in (lambda: check_shard(shard, SPEC), lambda: list(read_records(shard, SPEC))):
        with pytest.raises(MediaError, match=rf"Received: {shard}") as caught:
            check()
        assert "\n" not in str(caught.value)
    with pytest.raises(MediaError, match=rf"prepare it or copy it again\. Received: {shard} with {size} bytes"):
        require_whole(list_shards(str(shard)))


@pytest.mark.parametrize("place", (3, 9, 700, -2))
def test_changed_byte_is_found(shard, place):
    data = bytearray(shard.read_bytes())
    data[place] ^= 64
    shard.write_bytes(data)
    with pytest.raises(MediaError, match=r"damaged"):
        check_shard(shard, SPEC)


@pytest.mark.parametrize("content", (b"RIFF" + bytes(200), b"hello", bytes(1000), b"\xff" * 4096))
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "a.tfrecord"
    path.write_bytes(content)
    with pytest.raises(MediaError, match=r"TFRecord file") as caught:
        check_shard(path, SPEC)
    assert "\n" not in str(caught.value)


def test_empty_and_missing_files_are_refused(tmp_path):
    (tmp_path / "empty").touch()
    with pytest.raises(MediaError, match="empty"):
        check_shard(tmp_path / "empty", SPEC)
    with pytest.raises(MediaError, match="no such file"):
        check_shard(tmp_path / "missing", SPEC)


def test_records_of_something_else_are_refused(tmp_path):
    image = tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"x"]))
    foreign = tf.train.Example(features=tf.train.Features(feature={"image/encoded": image})).SerializeToString()
    for name, record, message in (
        ("foreign", foreign, r"has no av_sep/schema_version"),
        ("none", b"\xff\xfe not a protocol buffer", r"record 0 is something else"),
    ):
        write_raw(tmp_path / name, [record])
        with pytest.raises(MediaError, match=message):
            check_shard(tmp_path / name, SPEC)


def write_raw(path, records):
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)


def changed(record, name, **kind):
    example = tf.train.Example.FromString(record)
    example.features.feature[name].CopyFrom(tf.train.Feature(**kind))
    return example.SerializeToString()


def int64(*values):
    return {"int64_list": tf.train.Int64List(value=values)}


@pytest.mark.parametrize(
    ("feature", "kind", "message"),
    (
        ("av_sep/schema_version", int64(9), r"made by a newer av-sep: update this one.*record 3 of"),
        ("audio/sample_rate", int64(44100), r"audio/sample_rate of 16000\. Received: \[44100\] in record 3 of"),
        ("audio/sample_rate", {}, r"audio/sample_rate of 16000\. Received: \[\]"),
        ("audio/channels", int64(2), r"audio/channels of 1\. Received: \[2\]"),
        ("audio/num_sources", int64(13), r"audio/num_sources of 3\. Received: \[13\]"),
        ("audio/labels", int64(1, 0), r"instruments vn,fl,tba\. Received: 'vn,tba' with the labels \[1, 0\]"),
        ("audio/labels", int64(1, 1, 0), r"with the labels \[1, 1, 0\]"),
        ("audio/num_samples", int64(501), r"1 to 500 samples\. Received: audio/num_samples=\[501\]"),
        ("audio/num_samples", int64(), r"audio/num_samples=\[\]"),
        ("av_sep/covered_samples", int64(0), r"covered_samples=\[0\]"),
        ("audio/encoded", {"bytes_list": tf.train.BytesList(value=[b"1234"])}, r"800 bytes.*Received: 4 bytes"),
        ("audio/encoded", {"float_list": tf.train.FloatList(value=[0] * 200)}, r"Received: 800 bytes of float_list"),
    ),
)
def test_record_that_does_not_fit_is_named(tmp_path, rng, feature, kind, message):
    records = records_of(rng)
    records[-1] = changed(records[-1], feature, **kind)
    path = tmp_path / "a.tfrecord"
    write_raw(path, records)
    for check in (lambda: check_shard(path, SPEC), lambda: list(read_records(path, SPEC))):
        with pytest.raises(MediaError, match=message) as caught:
            check()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "other",
    (
        PUBLISHED,
        dataclasses.replace(SPEC, sample_rate_hz=22050),
        dataclasses.replace(SPEC, num_channels=2),
        dataclasses.replace(SPEC, abbreviations=("vl", "fl", "tba")),
        dataclasses.replace(SPEC, source_names=("a", "b"), abbreviations=("a", "b")),
        dataclasses.replace(SPEC, stretch_samples=400),
    ),
)
def test_shard_of_another_spec_is_refused(shard, other):
    with pytest.raises(MediaError, match=r"Expected .* Received: .*record 0 of"):
        check_shard(shard, other)


def test_failed_writing_leaves_nothing(tmp_path, rng):
    def broken():
        yield records_of(rng)[0]
        raise MediaError("the recording ends early")

    with pytest.raises(MediaError, match="ends early"):
        write_shard(tmp_path / "a.tfrecord", broken())
    assert list(tmp_path.iterdir()) == []


def test_full_disk_is_one_line(tmp_path, rng):
    records = records_of(rng, num_samples=100_000)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The system refuses to let a file grow, as it does on a full disk; Python ignores the signal that goes with it.
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(MediaError, match=rf"Cannot write {tmp_path}/a\.tfrecord: ") as caught:
            write_shard(tmp_path / "a.tfrecord", records)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_missing_folder_is_one_line(tmp_path, rng):
    with pytest.raises(MediaError, match="Cannot write"):
        write_shard(tmp_path / "missing" / "a.tfrecord", records_of(rng))


@pytest.fixture
def prepared(tmp_path, rng):
    """A folder as `av-sep prepare` leaves it."""
    sides = {"train": 2, "validation": 1, "test": 0}
    manifest = {"record_spec": SPEC.to_dict(), "sides": {side: {"shards": []} for side in sides}}
    for side, num_shards in sides.items():
        for k in range(num_shards):
            name = f"{side}-{k:05d}-of-{num_shards:05d}.tfrecord"
            summary = write_shard(tmp_path / name, records_of(rng, num_samples=600 + 500 * k))
            entry = {"file": name, "num_records": summary.num_records, "num_bytes": summary.num_bytes}
            entry["tracks"] = [{"name": "a", "num_samples": summary.num_samples}]
            manifest["sides"][side]["shards"].append(entry)
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path


def test_manifest_lists_the_shards_of_a_split(prepared):
    shards = list_shards(f"{prepared}/", "train")
    assert shards.files == tuple(f"{prepared}/train-0000{k}-of-00002.tfrecord" for k in range(2))
    assert (shards.covered_samples, shards.spec) == ((500, 100, 500, 500, 100), SPEC)
    require_whole(shards)
    assert len(list_shards(str(prepared), "validation").files) == 1


def test_folder_without_manifest_and_patterns_are_listed_by_name(prepared):
    expected = list_shards(str(prepared), "train").files
    (prepared / "manifest.json").unlink()
    assert list_shards(str(prepared), "train").files == expected
    assert list_shards(f"{prepared}/train-*").files == expected
    assert list_shards(expected[1]).files == expected[1:]
    require_whole(list_shards(f"{prepared}/*.tfrecord"))


def test_a_folder_s_name_is_no_pattern(tmp_path, rng):
    folder = tmp_path / "urmp [22k]*"
    folder.mkdir()
    write_shard(folder / "train-00000-of-00001.tfrecord", records_of(rng, num_samples=600))
    assert list_shards(str(folder), "train").files == (f"{folder}/train-00000-of-00001.tfrecord",)


def test_an_empty_shard_has_no_first_record(tmp_path):
    (tmp_path / "train-00000-of-00001.tfrecord").touch()
    with pytest.raises(MediaError, match="train-00000-of-00001.tfrecord, which holds none"):
        check_first_record(str(tmp_path / "train-00000-of-00001.tfrecord"), SPEC)


def test_shard_cut_between_records_is_found_by_the_manifest(prepared):
    path = prepared / "train-00001-of-00002.tfrecord"
    path.write_bytes(path.read_bytes()[: ends_of_records(path)[1]])
    check_shard(path, SPEC)
    with pytest.raises(MediaError, match=rf"Received: {path} with"):
        require_whole(list_shards(str(prepared)))


def test_missing_shard_is_named(prepared):
    (prepared / "train-00000-of-00002.tfrecord").unlink()
    with pytest.raises(MediaError, match=r"Expected a shard\. Received: .*train-00000-of-00002"):
        require_whole(list_shards(str(prepared)))


def test_location_without_shards_is_named(tmp_path):
    for location in (tmp_path, tmp_path / "missing", tmp_path / "*.tfrecord"):
        with pytest.raises(MediaError, match=rf"Received: {tmp_path}.*, which matches none"):
            list_shards(str(location))


def test_split_without_records_is_refused(prepared):
    with pytest.raises(MediaError, match=r"records in the split 'test'"):
        list_shards(str(prepared), "test")
    with pytest.raises(ParameterError, match=r"split of train, validation, test\. Received: 'dev'"):
        list_shards(str(prepared), "dev")


@pytest.mark.parametrize("text", ("{", "[]", '{"sides": {}}', '{"sides": {"train": 3}, "record_spec": []}'))
def test_damaged_manifest_is_named(prepared, text):
    (prepared / "manifest.json").write_text(text)
    with pytest.raises((MediaError, ParameterError), match=r"Received: .*") as caught:
        list_shards(str(prepared))
    assert "\n" not in str(caught.value)
