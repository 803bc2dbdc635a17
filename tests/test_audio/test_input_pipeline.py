"""The input pipeline on shards whose samples tell where they come from, so that every crop can be checked."""

import dataclasses
import json

import cv2
import numpy as np
import pytest
import tensorflow as tf

from audio.augmentation import Augmentation
from audio.input_pipeline import InputConfig, make_dataset
from audio.records import RecordPicture, RecordSpec, track_records, write_shard
from av_sep.errors import MediaError, ParameterError

NAMES = ("violin", "viola", "flute", "tuba")
SPEC = RecordSpec("compact", NAMES, ("vn", "va", "fl", "tba"), 16000, stretch_samples=600)
PUBLISHED = dataclasses.replace(SPEC, schema="published", mixture_samples=180, source_samples=100)
# Instruments (slots) and lengths of the tracks; two tracks a shard.
TRACKS = (((0, 2), 1250), ((1, 3), 700), ((0, 1, 3), 600), ((2,), 1201), ((0, 3), 90), ((1, 2, 3), 1299))
PLAIN = InputConfig(batch_size=4, segment_samples=128, shuffle_segments=8, cycle_length=2)
CHANGED = dataclasses.replace(PLAIN, augmentation=Augmentation(max_shift_semitones=1.0))


def stem(track, slot):
    """Samples `[time, 1]` that no other stem and no other time has, none of them zero."""
    codes = (track * 4 + slot) * 1300 + np.arange(TRACKS[track][1])
    return ((codes - 15999.5)[:, None] / 32768).astype(np.float32)


def recording(track):
    sources = {NAMES[slot]: stem(track, slot) for slot in TRACKS[track][0]}
    return sum(sources.values()), sources


def write_shards(folder, spec=SPEC, pictures=()):
    for number in range(3):
        tracks = (2 * number, 2 * number + 1)
        records = [r for t in tracks for r in track_records(b"%d" % t, [recording(t)], spec, pictures)]
        write_shard(folder / f"train-{number:05d}-of-00003.tfrecord", records)
    return str(folder)


@pytest.fixture(scope="module")
def compact(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("compact"))


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("published"), PUBLISHED)


def with_manifest(folder):
    """A manifest beside the shards, as `av-sep prepare` writes it."""
    shards = []
    for path in sorted(folder.glob("*.tfrecord")):
        num_records = sum(1 for _ in tf.data.TFRecordDataset(str(path)))
        tracks = [{"num_samples": length} for _, length in TRACKS[2 * len(shards) : 2 * len(shards) + 2]]
        sizes = {"num_records": num_records, "num_bytes": path.stat().st_size}
        shards.append({"file": path.name, "tracks": tracks, **sizes})
    content = {"record_spec": SPEC.to_dict(), "sides": {"train": {"shards": shards}}}
    (folder / "manifest.json").write_text(json.dumps(content))


def batches(location, config, num=None, spec=SPEC):
    dataset = make_dataset(location, spec, config)
    return list((dataset if num is None else dataset.take(num)).as_numpy_iterator())


def examples(*arguments, **options):
    """(mixture, label_vector, sources) one by one."""
    for inputs, sources in batches(*arguments, **options):
        yield from zip(inputs["mixture"], inputs["label_vector"], sources)


def assert_equal(first, second):
    for left, right in zip(tf.nest.flatten(first), tf.nest.flatten(second), strict=True):
        np.testing.assert_array_equal(left, right)


def origin(sources):
    """(track, start) of sources that were cropped and not changed, told from the first sample that is not padding."""
    slot, time = np.argwhere(sources[:, :, 0] != 0)[0]
    code = round(sources[slot, time, 0] * 32768 + 15999.5)
    return (code // 1300) // 4, code % 1300 - time


def test_crops_are_stretches_of_one_track(compact):
    seen = set()
    for mixture, labels, sources in examples(compact, PLAIN, 60):
        track, start = origin(sources)
        slots, length = TRACKS[track]
        # A record ends at the next multiple of 600, or with the track.
        end = min(length, (start // 600 + 1) * 600)
        expected = np.zeros((4, 128, 1), np.float32)
        for slot in slots:
            stretch = stem(track, slot)[start : min(start + 128, end)]
            expected[slot, : len(stretch)] = stretch
        np.testing.assert_array_equal(sources, expected)
        np.testing.assert_array_equal(mixture, expected.sum(axis=0))
        np.testing.assert_array_equal(labels, [slot in slots for slot in range(4)])
        seen.add((track, start))
    assert {track for track, _ in seen} == set(range(6))
    assert len(seen) > 150


def frames(track, segment, output):
    """Every segment of a track's records as NumPy cuts it: mixture, labels, sources."""
    mixture, sources = recording(track)
    context = (segment - output) // 2
    for begin in range(0, len(mixture), 600):
        padding = ((context, segment), (0, 0))
        parts = {name: np.pad(wave[begin : begin + 600], padding) for name, wave in sources.items()}
        whole = np.pad(mixture[begin : begin + 600], padding)
        for start in range(0, len(mixture[begin : begin + 600]), output):
            dense = [parts.get(name, np.zeros_like(whole))[start + context :][:output] for name in NAMES]
            yield whole[start : start + segment], [name in sources for name in NAMES], np.stack(dense)


@pytest.mark.parametrize(("segment", "output"), ((128, 128), (200, 100), (600, 600), (1000, 998)))
def test_evaluation_covers_every_sample_in_order(compact, segment, output):
    config = dataclasses.replace(CHANGED, segment_samples=segment, output_samples=output, training=False, batch_size=7)
    expected = [frame for track in range(6) for frame in frames(track, segment, output)]
    received = list(examples(compact, config))
    for made, wanted in zip(received, expected, strict=True):
        for left, right in zip(made, wanted, strict=True):
            np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("training", (True, False))
def test_published_records_are_segments(published, training):
    config = InputConfig(1, 180, 100, training=training, repeat=False)
    expected = {}
    for track, (slots, length) in enumerate(TRACKS):
        mixture = np.pad(recording(track)[0], ((40, 280), (0, 0)))
        stems = np.zeros((4, length + 100, 1), np.float32)
        for slot in slots:
            stems[slot, :length] = stem(track, slot)
        for start in range(0, length, 100):
            expected[stems[:, start : start + 100].tobytes()] = mixture[start : start + 180]
    received = list(examples(published, config, spec=PUBLISHED))
    assert len(received) == len(expected) == 53
    for mixture, _, sources in received:
        np.testing.assert_array_equal(mixture, expected.pop(sources.tobytes()))


BOTH = pytest.mark.parametrize("config", (PLAIN, CHANGED), ids=("plain", "changed"))


@BOTH
def test_batches_depend_on_the_seed_alone(compact, config):
    config = dataclasses.replace(config, num_parallel_calls=1)
    tf.random.set_seed(1)
    expected = batches(compact, config, 12)
    tf.random.set_seed(2)
    dataset = make_dataset(compact, SPEC, dataclasses.replace(config, num_parallel_calls=4)).take(12)
    assert_equal(list(dataset.as_numpy_iterator()), expected)
    # A dataset that is run through again starts again.
    assert_equal(list(dataset.as_numpy_iterator()), expected)
    assert_equal(batches(compact, dataclasses.replace(config, num_parallel_calls=None), 12), expected)
    other = batches(compact, dataclasses.replace(config, seed=1), 12)
    assert not any(np.array_equal(a[1], b[1]) for a, b in zip(expected, other))


@BOTH
def test_interrupted_run_goes_on_with_the_same_batches(tmp_path, config):
    folder = write_shards(tmp_path)
    expected = batches(folder, config, 26)
    assert_equal(batches(folder, dataclasses.replace(config, first_batch=5), 4), expected[5:9])
    # With a manifest whole epochs are jumped over, 37 segments each.
    with_manifest(tmp_path)
    for first_batch in (9, 23):
        later = dataclasses.replace(config, first_batch=first_batch)
        assert_equal(batches(folder, later, 3), expected[first_batch : first_batch + 3])


def test_epochs_hold_every_record_in_proportion_to_its_length_in_new_order(compact):
    tracks = [origin(sources)[0] for _, _, sources in examples(compact, dataclasses.replace(PLAIN, batch_size=1), 74)]
    first, second = tracks[:37], tracks[37:]
    # Four segments for every 600 samples, rounded up at the end of a track.
    expected = [4 * (length // 600) + -(-4 * (length % 600) // 600) for _, length in TRACKS]
    assert np.bincount(first).tolist() == np.bincount(second).tolist() == expected
    assert first != second
    once = dataclasses.replace(PLAIN, repeat=False, drop_remainder=False)
    assert len(list(examples(compact, once))) == 37


def test_context_lies_around_the_targets(compact):
    config = dataclasses.replace(PLAIN, segment_samples=200, output_samples=100)
    starts, partial = [], 0
    for mixture, _, sources in examples(compact, config, 60):
        np.testing.assert_array_equal(mixture[50:150], sources.sum(axis=0))
        starts.append(origin(sources)[1] % 600)
        partial += not mixture[[0, -1]].all()
    # Targets reach the first and the last hundred samples of a record's 600.
    assert min(starts) < 25 and max(starts) > 475
    assert 40 < partial < 160
    inside = dataclasses.replace(config, whole_context=True)
    for mixture, _, sources in examples(compact, inside, 40):
        track, start = origin(sources)
        remaining = TRACKS[track][1] - start // 600 * 600
        assert mixture[[0, -1]].all() or remaining < 200


def test_shapes_are_static(compact):
    inputs, sources = make_dataset(compact, SPEC, dataclasses.replace(CHANGED, output_samples=100)).element_spec
    assert {name: spec.shape.as_list() for name, spec in inputs.items()} == {
        "mixture": [4, 128, 1],
        "label_vector": [4, 4],
    }
    assert sources.shape.as_list() == [4, 4, 100, 1]


def test_last_batch_is_dropped_only_if_asked(compact):
    config = dataclasses.replace(PLAIN, batch_size=10, repeat=False)
    assert [len(sources) for _, sources in batches(compact, config)] == [10] * 3
    config = dataclasses.replace(config, drop_remainder=False)
    assert [len(sources) for _, sources in batches(compact, config)] == [10] * 3 + [7]


def test_bfloat16_is_the_rounded_float32(compact):
    expected = batches(compact, CHANGED, 3)
    received = make_dataset(compact, SPEC, dataclasses.replace(CHANGED, dtype="bfloat16")).take(3)
    for (inputs, sources), (wanted, references) in zip(received, expected, strict=True):
        assert (inputs["mixture"].dtype, sources.dtype) == (tf.bfloat16, tf.bfloat16)
        assert_equal(sources.numpy(), tf.cast(references, tf.bfloat16).numpy())
        assert_equal(inputs["mixture"].numpy(), tf.cast(wanted["mixture"], tf.bfloat16).numpy())
        assert_equal(inputs["label_vector"].numpy(), wanted["label_vector"])


def test_changed_examples_are_sums_with_their_labels(compact):
    num_audible = []
    for mixture, labels, sources in examples(compact, CHANGED, 60):
        np.testing.assert_allclose(mixture, sources.sum(axis=0), atol=1e-6)
        audible = np.any(sources, axis=(1, 2))
        num_audible.append(audible.sum())
        assert np.all(labels[audible] == 1) and 1 <= labels.sum() <= 4
        assert np.abs(mixture).max() < 1
    # The last record of one track is a single sample, which a change of pitch can step over.
    assert np.mean(np.equal(num_audible, 0)) < 0.05 and set(num_audible) >= {1, 2, 3}


def test_dropped_sources_lose_sound_and_label(compact):
    dropping = Augmentation((0, 0), 0, 0, 0, dropout_probability=0.9, extra_label_probability=0)
    for mixture, labels, sources in examples(compact, dataclasses.replace(PLAIN, augmentation=dropping), 40):
        np.testing.assert_array_equal(labels, np.any(sources, axis=(1, 2)))
        assert 1 <= labels.sum() <= 3
        np.testing.assert_allclose(mixture, sources.sum(axis=0), atol=1e-7)


def test_remixed_examples_come_from_several_tracks(compact):
    only = Augmentation((0, 0), 0, 0, remix_probability=0.5, dropout_probability=0, extra_label_probability=0)
    config = dataclasses.replace(PLAIN, augmentation=only, batch_size=8)
    several = 0
    for _, labels, sources in examples(compact, config, 20):
        present = sources[labels > 0]
        # Their samples rise by one step each, unless all were turned down to fit full scale.
        steps = np.median(np.diff(present[:, :20, 0]), axis=1) * 32768
        codes = present[:, 0, 0] / np.maximum(steps, 1e-3) * 32768 + 15999.5
        tracks = set((codes[steps > 0.1] + 0.1).astype(int) // 1300 // 4)
        several += len(tracks) > 1
    # Half of them are remixed, among those the solos and the chance duets of one track do not count.
    assert 30 < several < 80


@pytest.fixture(scope="module")
def pictured(tmp_path_factory):
    """Shards with a grey picture every 25 ms in the first stretch of every track."""
    shades = [np.full((40, 60, 3), 20 + 5 * k, np.uint8) for k in range(2)]
    jpegs = [cv2.imencode(".jpg", shade)[1].tobytes() for shade in shades]
    pictures = [RecordPicture(0.025 * k, jpeg) for k, jpeg in enumerate(jpegs)]
    return write_shards(tmp_path_factory.mktemp("pictured"), pictures=pictures)


def test_pictures_come_in_the_wanted_size_with_a_mask(pictured):
    config = dataclasses.replace(PLAIN, picture_size=(24, 32))
    assert make_dataset(pictured, SPEC, config).element_spec[0]["picture"].shape.as_list() == [4, 24, 32, 3]
    shades = set()
    for inputs, sources in batches(pictured, config, 60):
        for picture, mask, (_, start) in zip(inputs["picture"], inputs["picture_mask"], map(origin, sources)):
            assert picture.dtype == np.uint8 and picture.min() == picture.max()
            assert mask == float(picture.any()) == float(start < 600)
            shades.add(int(picture[0, 0, 0]))
    assert shades == {0, 20, 25}


def test_evaluation_takes_the_middle_picture_every_time(pictured):
    config = dataclasses.replace(PLAIN, picture_size=(8, 8), training=False)
    inputs, _ = batches(pictured, config, 1)[0]
    np.testing.assert_array_equal(inputs["picture"], 25)
    assert_equal(batches(pictured, config), batches(pictured, dataclasses.replace(config, seed=5)))


def test_remixed_examples_show_nobody(pictured):
    remixed = Augmentation(remix_probability=1.0)
    for inputs, _ in batches(pictured, dataclasses.replace(PLAIN, picture_size=(8, 8), augmentation=remixed), 10):
        assert not inputs["picture"].any() and not inputs["picture_mask"].any()


def test_records_without_pictures_give_zeros(compact):
    inputs, _ = batches(compact, dataclasses.replace(PLAIN, picture_size=(8, 9)), 1)[0]
    assert inputs["picture"].shape == (4, 8, 9, 3) and not inputs["picture"].any()
    assert not inputs["picture_mask"].any()


@pytest.mark.parametrize(("context", "segment", "output"), ((False, 128, None), (True, 221, 53)))
def test_network_learns_from_the_pipeline_without_retracing(compact, make_network, context, segment, output):
    network = make_network(NAMES, context=context, conditioning="multiplicative", gate=True)
    from audio.framing import valid_lengths
    from audio.losses import NegativeSNR

    if context:
        lengths = valid_lengths(50, num_levels=3)
        segment, output = lengths.num_input_samples, lengths.num_output_samples
    config = dataclasses.replace(CHANGED, segment_samples=segment, output_samples=output)
    network.compile(optimizer="sgd", loss=NegativeSNR(), jit_compile=False)
    traces = []
    call = network.loss.call
    network.loss.call = lambda *arguments: traces.append(1) or call(*arguments)
    before = [np.array(weights) for weights in network.get_weights()]
    history = network.fit(make_dataset(compact, SPEC, config), steps_per_epoch=4, epochs=2, shuffle=False, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert any(not np.array_equal(a, b) for a, b in zip(before, network.get_weights()))
    assert len(traces) <= 2


def test_truncated_shard_is_refused_before_training(tmp_path):
    folder = write_shards(tmp_path)
    path = tmp_path / "train-00001-of-00003.tfrecord"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(MediaError, match=rf"Received: {path} with"):
        make_dataset(folder, SPEC, PLAIN)
    make_dataset(folder, SPEC, dataclasses.replace(PLAIN, verify=False))


def test_location_without_records_is_named(tmp_path):
    with pytest.raises(MediaError, match=rf"Received: {tmp_path}/train-\*\.tfrecord, which matches none"):
        make_dataset(str(tmp_path), SPEC, PLAIN)


def test_records_of_another_rate_are_refused_before_training(compact):
    with pytest.raises(MediaError, match=r"audio/sample_rate of 8000\. Received: \[16000\] in record 0 of .*00000-of"):
        make_dataset(compact, dataclasses.replace(SPEC, sample_rate_hz=8000), PLAIN)


def test_spec_that_contradicts_the_manifest_is_refused(tmp_path):
    folder = write_shards(tmp_path)
    with_manifest(tmp_path)
    with pytest.raises(ParameterError, match=r"the manifest's record_spec"):
        make_dataset(folder, dataclasses.replace(SPEC, sample_rate_hz=8000), PLAIN)


def test_published_records_refuse_what_they_do_not_hold(published):
    with pytest.raises(ParameterError, match=r"segment_samples=180 and output_samples=100.*Received: 128 and 128"):
        make_dataset(published, PUBLISHED, PLAIN)
    config = dataclasses.replace(CHANGED, segment_samples=180, output_samples=100)
    with pytest.raises(ParameterError, match=r"use the compact schema"):
        make_dataset(published, PUBLISHED, config)


@pytest.mark.parametrize(
    ("change", "message"),
    (
        ({"batch_size": 0}, r"batch_size of at least 1\. Received: 0"),
        ({"output_samples": 127}, r"even number.*segment_samples=128, output_samples=127"),
        ({"output_samples": 130}, r"output_samples=130"),
        ({"output_samples": 0}, r"output_samples=0"),
        ({"dtype": "float16"}, r"float32, bfloat16\. Received: 'float16'"),
        ({"seed": -1}, r"seed=-1"),
        ({"first_batch": -1}, r"first_batch=-1"),
    ),
)
def test_settings_that_cannot_be_used_are_refused(change, message):
    with pytest.raises(ParameterError, match=message):
        dataclasses.replace(PLAIN, **change)
