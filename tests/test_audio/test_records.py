"""Tracks into records and back: both schemas against NumPy and a literal feature spec, and blocks that do not fit."""

import dataclasses
import io
import json
from itertools import count, islice

import numpy as np
import pytest
import tensorflow as tf

from audio.records import (
    SCHEMA_VERSION,
    RecordPicture,
    RecordSpec,
    check_shard,
    read_records,
    track_records,
    write_shard,
)
from av_sep.errors import ParameterError
from av_sep.instruments import URMP_13

NAMES, ABBREVIATIONS = URMP_13.names, tuple(instrument.abbreviation for instrument in URMP_13.instruments)
COMPACT = RecordSpec("compact", NAMES, ABBREVIATIONS, stretch_samples=1000, mixture_samples=700, source_samples=300)
PUBLISHED = dataclasses.replace(COMPACT, schema="published")
SPECS = pytest.mark.parametrize("spec", (COMPACT, PUBLISHED), ids=lambda spec: spec.schema)
TRIO = ("flute", "cello", "tuba")


def sixteen_bit(rng, num_samples, instruments=TRIO, num_channels=1, peak=32768):
    """Stems as 16-bit files hold them, both ends of the range reached, and their sum (which exceeds full scale)."""
    integers = {name: rng.integers(-peak, peak, size=(num_samples, num_channels)) for name in instruments}
    for stem in integers.values():
        stem[[1, 2], 0] = -peak, peak - 1
    sources = {name: (stem / 32768).astype(np.float32) for name, stem in integers.items()}
    return sum(sources.values()), sources


def cut(track, *sizes):
    """The track in blocks of the given sizes, the last of which is repeated."""
    mixture, sources = track
    start, sizes = 0, list(sizes)
    while start < len(mixture):
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        yield mixture[start : start + size], {name: stem[start : start + size] for name, stem in sources.items()}
        start += size


def write(tmp_path, track, spec, name=b"01_Trio", **options):
    path = tmp_path / "a.tfrecord"
    write_shard(path, track_records(name, cut(track, 256), spec, **options))
    return path


def padded(waveform, before, after):
    return np.pad(waveform, ((before, after), (0, 0)))


@pytest.mark.parametrize("num_channels", (1, 2))
@pytest.mark.parametrize("num_samples", (1, 999, 1000, 1001, 3456))
def test_compact_keeps_16_bit_stems_exactly(tmp_path, rng, num_samples, num_channels):
    spec = dataclasses.replace(COMPACT, num_channels=num_channels)
    mixture, sources = sixteen_bit(rng, max(num_samples, 3), num_channels=num_channels)
    mixture, sources = mixture[:num_samples], {name: stem[:num_samples] for name, stem in sources.items()}
    records = list(read_records(write(tmp_path, (mixture, sources), spec), spec))
    assert [record.start_sample for record in records] == list(range(0, num_samples, 1000))
    np.testing.assert_array_equal(np.concatenate([record.mixture for record in records]), mixture)
    for name, stem in sources.items():
        np.testing.assert_array_equal(np.concatenate([record.sources[name] for record in records]), stem)


@pytest.mark.parametrize("num_channels", (1, 2))
@pytest.mark.parametrize("num_samples", (1, 299, 300, 301, 500, 1000, 1234))
def test_published_holds_every_sample_as_a_target_once(tmp_path, rng, num_samples, num_channels):
    spec = dataclasses.replace(PUBLISHED, num_channels=num_channels)
    mixture, sources = (
        rng.normal(size=(num_samples, num_channels)).astype(np.float32),
        {name: rng.normal(size=(num_samples, num_channels)).astype(np.float32) for name in TRIO},
    )
    records = list(read_records(write(tmp_path, (mixture, sources), spec), spec))
    hops = -(-num_samples // 300)
    assert [record.sample_idx for record in records] == list(range(hops))
    long = padded(mixture, 200, 300 * hops + 200 - num_samples)
    for k, record in enumerate(records):
        np.testing.assert_array_equal(record.mixture, long[300 * k : 300 * k + 700])
        for name, stem in sources.items():
            stretch = padded(stem, 0, 300 * hops - num_samples)[300 * k : 300 * k + 300]
            np.testing.assert_array_equal(record.sources[name], stretch)
    assert sum(record.covered_samples for record in records) == num_samples


def test_published_record_reads_by_the_authors_feature_names(rng):
    track = sixteen_bit(rng, 500)
    second = list(track_records(b"01_Trio", cut(track, 256), PUBLISHED))[1]
    scalar = tf.io.FixedLenFeature([], tf.int64)
    features = tf.io.parse_single_example(
        second,
        {
            "audio/file_basename": tf.io.FixedLenFeature([], tf.string),
            "audio/sample_rate": scalar,
            "audio/sample_idx": scalar,
            "audio/num_samples": scalar,
            "audio/channels": scalar,
            "audio/num_sources": scalar,
            "audio/labels": tf.io.FixedLenFeature([13], tf.int64),
            "audio/source_names": tf.io.FixedLenFeature([], tf.string),
            "audio/encoded": tf.io.VarLenFeature(tf.float32),
        },
    )
    values = {name.removeprefix("audio/"): value for name, value in features.items()}
    assert values["file_basename"] == b"01_Trio" and values["source_names"] == b"vc,fl,tba"
    assert [int(values[name]) for name in ("sample_rate", "sample_idx", "num_samples")] == [22050, 1, 300]
    assert (int(values["channels"]), int(values["num_sources"])) == (1, 13)
    np.testing.assert_array_equal(values["labels"], [0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1])
    encoded = values["encoded"].values.numpy()
    assert len(encoded) == 700 + 13 * 300
    np.testing.assert_array_equal(encoded[:700], padded(track[0], 200, 600)[300:1000, 0])
    sources = encoded[700:].reshape(13, 300)
    np.testing.assert_array_equal(sources[4], padded(track[1]["flute"], 0, 100)[300:600, 0])
    np.testing.assert_array_equal(sources[[0, 1, 3, 5]], 0)


@SPECS
@pytest.mark.parametrize("sizes", ((1,), (7,), (300,), (999,), (1000,), (3, 2000, 1, 800), (2345,)), ids=str)
def test_records_do_not_depend_on_the_blocks(rng, spec, sizes):
    track = sixteen_bit(rng, 2345)
    expected = list(track_records(b"a", cut(track, 64), spec))
    assert list(track_records(b"a", cut(track, *sizes), spec)) == expected
    assert len(expected) == -(-2345 // spec.covered_samples)


@SPECS
def test_bytes_are_those_of_the_sorted_features(rng, spec):
    record = next(track_records(b"a", cut(sixteen_bit(rng, 100), 100), spec))
    features = tf.train.Example.FromString(record).features.feature
    places = [record.index(name.encode()) for name in sorted(features)]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("peak", "step"),
    ((32767.4 / 32768, 2**-15), (1.0, 2**-14), (1.7, 2**-14), (0.4, 2**-16), (0.0, 2**-23), (90, 2**-8)),
)
def test_step_is_the_finest_power_of_two_that_clips_nothing(tmp_path, rng, peak, step):
    stem = rng.uniform(-1, 1, size=(500, 1)) * peak
    stem[17] = peak
    track = (stem.astype(np.float32), {"oboe": stem.astype(np.float32)})
    path = write(tmp_path, track, COMPACT)
    example = tf.train.Example.FromString(next(iter(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())))
    assert example.features.feature["audio/step"].float_list.value[0] == step
    (record,) = read_records(path, COMPACT)
    assert np.abs(record.sources["oboe"] - stem).max() <= step / 2 + 1e-7 * peak


def has_mixture(track):
    record = next(track_records(b"a", cut(track, 100), COMPACT))
    features = tf.train.Example.FromString(record).features.feature
    num_signals = len(features["audio/encoded"].bytes_list.value[0]) / 2 / len(track[0])
    assert num_signals == len(track[1]) + features["audio/has_mixture"].int64_list.value[0]
    return bool(features["audio/has_mixture"].int64_list.value[0])


def test_mixture_is_left_out_where_rounding_explains_it(rng):
    mixture, sources = sixteen_bit(rng, 400, peak=8000)
    assert not has_mixture((mixture, sources))
    # Two half steps by its own rounding and that of three stems.
    rounded = {name: stem + np.float32(0.49 / 32768) for name, stem in sources.items()}
    assert not has_mixture((mixture + np.float32(0.49 / 32768), rounded))
    assert not has_mixture((mixture + np.float32(1.9 / 32768), sources))
    beyond = mixture.copy()
    beyond[333] += np.float32(2.2 / 32768)
    assert has_mixture((beyond, sources))


def test_mixture_with_something_else_in_it_comes_back(tmp_path, rng):
    mixture, sources = sixteen_bit(rng, 1500, peak=6000)
    noise = (rng.integers(-300, 300, size=mixture.shape) / 32768).astype(np.float32)
    path = write(tmp_path, (mixture + noise, sources), COMPACT)
    records = list(read_records(path, COMPACT))
    np.testing.assert_array_equal(np.concatenate([record.mixture for record in records]), mixture + noise)


def test_stems_beyond_the_sum_of_full_scale_stay_exact(tmp_path, rng):
    track = sixteen_bit(rng, 300, NAMES[:5])
    assert np.abs(track[0]).max() > 2
    (record,) = read_records(write(tmp_path, track, COMPACT), COMPACT)
    np.testing.assert_array_equal(record.mixture, sum(record.sources.values()))
    np.testing.assert_array_equal(record.sources["cello"], track[1]["cello"])


def test_compact_is_an_eighth_of_the_published_size_for_five_stems(tmp_path, rng):
    track = sixteen_bit(rng, 20 * 22050, NAMES[:5], peak=5000)
    sizes = {}
    for schema in ("compact", "published"):
        spec = RecordSpec(schema, NAMES, ABBREVIATIONS)
        summary = write_shard(tmp_path / schema, track_records(b"a", cut(track, 65536), spec))
        assert summary.num_samples == 20 * 22050
        sizes[schema] = summary.num_bytes
    assert sizes["published"] / sizes["compact"] >= 8


@SPECS
def test_long_track_is_never_held(rng, spec):
    mixture, sources = sixteen_bit(rng, 100)
    taken = count()

    def endless():
        while True:
            next(taken)
            yield mixture, sources

    list(islice(track_records(b"a", endless(), spec), 3))
    # Three records and one context ahead, in blocks of 100.
    assert next(taken) <= (3 * spec.covered_samples + spec.context_samples) / 100 + 1


@SPECS
def test_pictures_go_to_the_record_that_covers_their_time(tmp_path, rng, spec):
    hop_seconds = spec.covered_samples / spec.sample_rate_hz
    times = [-0.1, 0.0, 0.9 * hop_seconds, hop_seconds, 1.5 * hop_seconds, 2.01 * hop_seconds, 99.0]
    pictures = [RecordPicture(time, f"jpeg {i}".encode(), json.dumps({"é": i})) for i, time in enumerate(times)]
    num_samples = 2 * spec.covered_samples + 100
    path = write(tmp_path, sixteen_bit(rng, num_samples), spec, pictures=iter(pictures))
    records = list(read_records(path, spec))
    assert [[p.jpeg[-1:] for p in record.pictures] for record in records] == [[b"1", b"2"], [b"3", b"4"], [b"5"]]
    assert records[1].pictures[1].time_seconds == pytest.approx(1.5 * hop_seconds)
    assert json.loads(records[1].pictures[1].detections) == {"é": 4}


def test_pictures_are_taken_as_the_sound_proceeds(rng):
    pictures = (RecordPicture(k * 0.01, b"jpeg") for k in count())
    records = track_records(b"a", cut(sixteen_bit(rng, 5000), 100), COMPACT, pictures)
    next(records)
    assert next(pictures).time_seconds < 0.1


def test_pictures_out_of_order_are_refused(rng):
    pictures = [RecordPicture(0.02, b"b"), RecordPicture(0.01, b"a")]
    with pytest.raises(ParameterError, match=r"ordered by time\. Received: 0\.01 s after 0\.02 s"):
        list(track_records(b"a", cut(sixteen_bit(rng, 2000), 100), COMPACT, pictures))


def spoilt(rng, **changes):
    mixture, sources = sixteen_bit(rng, 10)
    sources.update(changes)
    return mixture, {name: stem for name, stem in sources.items() if stem is not None}


@pytest.mark.parametrize(
    ("change", "message"),
    (
        ({"theremin": np.zeros((10, 1), np.float32)}, r"Received: .*theremin"),
        ({"flute": np.zeros((9, 1), np.float32)}, r"Expected float32 samples \[10, 1\] of flute.*float32 \[9, 1\]"),
        ({"flute": np.zeros((10, 2), np.float32)}, r"Received: float32 \[10, 2\]"),
        ({"flute": np.zeros((10, 1))}, r"Received: float64 \[10, 1\]"),
        ({"flute": np.full((10, 1), np.nan, np.float32)}, r"finite samples.*track a"),
        (dict.fromkeys(TRIO), r"Received: none"),
    ),
)
def test_blocks_that_do_not_fit_are_refused(rng, change, message):
    with pytest.raises(ParameterError, match=message):
        list(track_records(b"a", [spoilt(rng, **change)], COMPACT))


def test_instruments_that_change_within_a_track_are_refused(rng):
    with pytest.raises(ParameterError, match="the same in every block"):
        list(track_records(b"a", [spoilt(rng), spoilt(rng, flute=None)], COMPACT))


@pytest.mark.parametrize("blocks", ([], [(np.zeros((0, 1), np.float32), {"flute": np.zeros((0, 1), np.float32)})]))
def test_track_without_sound_is_refused(blocks):
    with pytest.raises(ParameterError, match="Received: none for track a"):
        list(track_records(b"a", blocks, COMPACT))


@SPECS
def test_spec_survives_json(spec):
    assert RecordSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert spec.to_dict()["schema_version"] == SCHEMA_VERSION


@pytest.mark.parametrize(
    ("change", "message"),
    (
        ({"schema_version": SCHEMA_VERSION + 1}, r"made by a newer av-sep: update this one"),
        ({"schema_version": None}, r"schema_version of 1 to"),
        ({"colour": "red"}, r"Missing or unknown: colour"),
        ({"schema": "loose"}, r"compact, published\. Received: 'loose'"),
        ({"source_names": ["violin", "violin"]}, "distinct source_names"),
        ({"sample_rate_hz": 0}, r"sample_rate_hz=0"),
        ({"source_samples": 301}, r"even number.*mixture_samples=700, source_samples=301"),
        ({"source_samples": 702}, r"even number"),
        ({"stretch_samples": 10**8}, r"below 2 GiB.*Received: 2800000000 bytes"),
    ),
)
def test_settings_that_cannot_be_used_are_refused(change, message):
    with pytest.raises(ParameterError, match=message) as caught:
        RecordSpec.from_dict({**COMPACT.to_dict(), **change})
    assert "\n" not in str(caught.value)


def test_missing_setting_is_named():
    values = COMPACT.to_dict()
    del values["num_channels"]
    with pytest.raises(ParameterError, match=r"Missing or unknown: num_channels"):
        RecordSpec.from_dict(values)


def test_writer_takes_any_iterable(tmp_path, rng):
    records = list(track_records(b"a", cut(sixteen_bit(rng, 50), 50), COMPACT))
    assert write_shard(tmp_path / "a", records) == write_shard(tmp_path / "b", iter(records))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert io.BytesIO((tmp_path / "a").read_bytes()).read(8) == len(records[0]).to_bytes(8, "little")
    assert check_shard(tmp_path / "a", COMPACT).num_samples == 50
