"""The index of MedleyDB, on miniature trees with metadata as its authors write them."""

import numpy as np
import pytest
import soundfile
import yaml

from av_sep.datasets.index import open_dataset
from av_sep.datasets.label_tables import MEDLEYDB_TO_MUSDB_4, MEDLEYDB_TO_URMP_13
from av_sep.datasets.medleydb import open_medleydb
from av_sep.errors import MediaError, ParameterError
from av_sep.instruments import MUSDB_4, URMP_13

RATE_HZ = 8000
# All labels of MedleyDB 1 (resources/taxonomy.yaml of its authors' package), and where they belong by ear and by the
# definition of MUSDB18: only the groups that must not come out as "other".
VOCALS = "male singer,female singer,male speaker,female speaker,male rapper,female rapper,beatboxing,vocalists"
DRUMS = "drum set,drum machine,kick drum,snare drum,bass drum,toms,timpani,tabla,shaker,claps,cymbal,tambourine"
OTHER = "piano,violin,acoustic guitar,clean electric guitar,synthesizer,vibraphone,flute,fx/processed sound"


def metadata(name, stems, **changes):
    return {
        "artist": "Somebody",
        "has_bleed": "no",
        "mix_filename": f"{name}_MIX.wav",
        "stem_dir": f"{name}_STEMS",
        "stems": {
            f"S{i:02d}": {"component": "", "filename": f"{name}_STEM_{i:02d}.wav", "instrument": label, "raw": {}}
            for i, label in enumerate(stems, start=1)
        },
        "version": 1.2,
    } | changes


def write_track(root, name, stems, *, beside=False, **changes):
    """A track as MedleyDB has it, its metadata in the track's folder or beside, in Metadata."""
    folder = root / "Audio" / name
    (folder / f"{name}_STEMS").mkdir(parents=True)
    (folder / f"{name}_RAW").mkdir()
    sounds = [folder / f"{name}_MIX.wav"]
    sounds += [folder / f"{name}_STEMS" / f"{name}_STEM_{i:02d}.wav" for i in range(1, len(stems) + 1)]
    for sound in sounds:
        soundfile.write(sound, np.full(800, 0.1), RATE_HZ)
    target = root / "Metadata" if beside else folder
    target.mkdir(exist_ok=True)
    (target / f"{name}_METADATA.yaml").write_text(yaml.safe_dump(metadata(name, stems, **changes)))
    return folder


def heard(track):
    return [(part.instrument, part.sound.path.name[-6:-4]) for part in track.parts]


@pytest.mark.parametrize("beside", [False, True])
def test_stems_get_the_instruments_that_their_labels_stand_for(tmp_path, beside):
    labels = ["violin", "violin section", "French Horn", "tenor saxophone", "cornet"]
    write_track(tmp_path, "MusicDelta_Vivaldi", labels, beside=beside)
    dataset = open_dataset("medleydb", tmp_path)
    (track,) = dataset.tracks
    assert dataset.problems == ()
    assert heard(track) == [
        ("violin", "01"),
        ("violin", "02"),
        ("horn", "03"),
        ("saxophone", "04"),
        ("trumpet", "05"),
    ]
    assert track.mixture.path.name == "MusicDelta_Vivaldi_MIX.wav"
    assert (track.name, track.composition, track.remarks) == ("MusicDelta_Vivaldi", "MusicDelta", ())
    assert track.duration_seconds == pytest.approx(0.1)
    assert (dataset.taxonomy, track.video) == (URMP_13, None)


def test_a_stem_of_no_instrument_of_ours_costs_the_recorded_mixture(tmp_path):
    write_track(tmp_path, "Schubert_Trio", ["cello", "piano", "violin"])
    (track,) = open_medleydb(tmp_path).tracks
    assert heard(track) == [("cello", "01"), ("violin", "03")]
    assert track.mixture is None
    (remark,) = track.remarks
    assert remark == (
        "left out, as urmp13 has no such instrument: piano; the sum of the other stems stands for the mixture"
    )


def test_a_track_without_any_instrument_of_ours_is_a_problem(tmp_path):
    folder = write_track(tmp_path, "LizNelson_Rainfall", ["female singer", "acoustic guitar"])
    dataset = open_medleydb(tmp_path)
    assert not dataset.tracks
    assert dataset.problems == (
        "LizNelson_Rainfall: none of its labels stands for an instrument of urmp13: female singer, acoustic guitar"
        f" ({folder})",
    )


def test_in_musdb_4_all_others_are_other(tmp_path):
    labels = ["female singer", "drum set", "electric bass", "piano", "violin", "theremin from mars"]
    write_track(tmp_path, "Band_Song", labels)
    dataset = open_medleydb(tmp_path, taxonomy="musdb4")
    (track,) = dataset.tracks
    assert dataset.taxonomy == MUSDB_4
    assert [part.instrument for part in track.parts] == ["vocals", "drums", "bass", "other", "other", "other"]
    assert track.mixture is not None


def test_a_stem_of_everything_is_none_of_four(tmp_path):
    write_track(tmp_path, "Band_Song", ["female singer", "Main System", ["drum set", "electric bass"]])
    (track,) = open_medleydb(tmp_path, taxonomy=MUSDB_4).tracks
    assert heard(track) == [("vocals", "01")]
    assert track.mixture is None
    assert "Main System, drum set + electric bass;" in track.remarks[0]


def test_a_stem_with_several_labels_of_one_instrument_is_that_instrument(tmp_path):
    write_track(tmp_path, "Band_Song", [["tenor saxophone", "alto saxophone"], ["violin", "viola"], "oboe"])
    (track,) = open_medleydb(tmp_path).tracks
    assert heard(track) == [("saxophone", "01"), ("oboe", "03")]
    assert "violin + viola" in track.remarks[0]


@pytest.mark.parametrize(("labels", "instrument"), [(VOCALS, "vocals"), (DRUMS, "drums"), (OTHER, "other")])
def test_labels_stand_for_musdbs_stems(labels, instrument):
    assert {MEDLEYDB_TO_MUSDB_4.instrument(label) for label in labels.split(",")} == {instrument}


def test_relatives_of_our_instruments_are_not_ours():
    for label in ("piccolo", "english horn", "euphonium", "string section", "brass section", "horn section", "erhu"):
        assert MEDLEYDB_TO_URMP_13.instrument(label) is None
    assert {MEDLEYDB_TO_URMP_13.instrument(name.replace("_", " ")) for name in URMP_13.names} >= set(
        URMP_13.names
    ) - {"saxophone", "horn"}


def test_a_table_can_be_extended_without_changing_the_one_there_is(tmp_path):
    write_track(tmp_path, "Band_Song", ["piccolo", "violin"])
    (track,) = open_medleydb(tmp_path, labels=MEDLEYDB_TO_URMP_13.extended({"Piccolo": "flute"})).tracks
    assert heard(track) == [("flute", "01"), ("violin", "02")]
    for head in ("label,instrument", " label , instrument "):
        (tmp_path / "labels.csv").write_text(f"{head}\npiccolo,fl\nviolin,\n")
        (track,) = open_medleydb(tmp_path, labels=tmp_path / "labels.csv").tracks
        assert heard(track) == [("flute", "01")]
    assert MEDLEYDB_TO_URMP_13.instrument("piccolo") is None


@pytest.mark.parametrize("value", ["yes", True])
def test_bleed_is_a_remark(tmp_path, value):
    write_track(tmp_path, "Schubert_Trio", ["cello", "violin"], has_bleed=value)
    (track,) = open_medleydb(tmp_path).tracks
    assert track.remarks == ("has bleed: the stems' microphones heard other players as well",)
    assert track.mixture is not None


def test_a_missing_stem_is_a_problem_and_other_oddities_are_remarks(tmp_path):
    folder = write_track(tmp_path, "A_One", ["cello", "violin"])
    (folder / "A_One_STEMS" / "A_One_STEM_02.wav").unlink()
    folder_two = write_track(tmp_path, "B_Two", ["cello", "violin"])
    (folder_two / "B_Two_MIX.wav").unlink()
    (folder_two / "cover.jpg").touch()
    (folder_two / "B_Two_STEMS" / "B_Two_STEM_03.wav").touch()
    dataset = open_medleydb(tmp_path)
    assert dataset.problems == (f"A_One: A_One_STEM_02.wav is missing ({folder})",)
    (track,) = dataset.tracks
    assert track.mixture is None
    assert set(track.remarks) == {
        "B_Two_MIX.wav is missing: the sum of the stems stands for the mixture",
        "B_Two_STEM_03.wav is not in the metadata; not used",
        "cover.jpg is no file of MedleyDB's; not used",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "A_One_METADATA.yaml is missing: nobody knows what the stems are"),
        ("stems: [", "Expected YAML (while parsing"),
        ("a: \udcff", "Expected YAML"),
        ("date: 2014-13-45\nstems: {S01: {filename: a.wav, instrument: cello}}", "Expected YAML (month must"),
        ("just words", "Expected metadata with stems: S01: {instrument, filename}"),
        ("stems: {S01: violin}", "Expected metadata with stems: S01: {instrument, filename}"),
        ("stems: {S01: {instrument: violin}}", "Expected a filename for the stem S01 in the metadata. Received: none"),
        ("stem_dir: elsewhere\nstems: {S01: {filename: a.wav}}", "Cannot open this folder (No such file or directory)"),
        ("stems: {S01: {filename: ../../A_One_MIX.wav, instrument: violin}}", "A_One_MIX.wav is missing"),
        (
            "stem_dir: ../B_Two/B_Two_STEMS\nstems: {S01: {filename: B_Two_STEM_01.wav, instrument: violin}}",
            "Cannot open this folder (No such file or directory)",
        ),
    ],
)
def test_metadata_that_cannot_be_used_are_a_problem_in_one_line(tmp_path, text, message):
    write_track(tmp_path, "B_Two", ["cello"])
    folder = write_track(tmp_path, "A_One", ["cello", "violin"])
    path = folder / "A_One_METADATA.yaml"
    path.unlink()
    if text is not None:
        path.write_bytes(text.encode("utf-8", "surrogateescape"))
    dataset = open_medleydb(tmp_path)
    assert [track.name for track in dataset.tracks] == ["B_Two"]
    (problem,) = dataset.problems
    assert problem.startswith("A_One: ") and message in problem and "\n" not in problem


def test_tracks_may_lie_in_the_root_and_metadata_anywhere(tmp_path):
    write_track(tmp_path, "A_One", ["cello"], beside=True)
    dataset = open_medleydb(tmp_path / "Audio", metadata=tmp_path / "Metadata")
    assert [track.name for track in dataset.tracks] == ["A_One"]
    with pytest.raises(MediaError, match="Cannot open this folder .*nowhere"):
        open_medleydb(tmp_path, metadata=tmp_path / "nowhere")


def test_what_is_no_track_gets_a_line(tmp_path):
    write_track(tmp_path, "A_One", ["cello"], beside=True)
    write_track(tmp_path, "B_Two", ["cello"], beside=True)
    (tmp_path / "Audio" / "B_Two").rename(tmp_path / "elsewhere")
    (tmp_path / "Audio" / "loose.wav").touch()
    (tmp_path / "Audio" / "misc").mkdir()
    (tmp_path / "Annotations").mkdir()
    (tmp_path / "Audio" / "C_Loop").symlink_to(tmp_path / "Audio" / "C_Loop")
    (tmp_path / "Audio" / "D_Again").symlink_to(tmp_path / "Audio" / "A_One")
    (tmp_path / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "list.csv").touch()
    dataset = open_medleydb(tmp_path)
    problems = dataset.problems
    assert set(dataset.remarks) == {
        f"D_Again: a link to {tmp_path / 'Audio' / 'A_One'}, which is there already; left out",
        f"{tmp_path / 'list.csv'} is not a folder of a track; left out",
    }
    assert set(problems) == {
        "C_Loop cannot be opened (Too many levels of symbolic links); left out",
        f"{tmp_path / 'elsewhere'} is not a folder of a track; left out",
        f"{tmp_path / 'linked'} is not a folder of a track; left out",
        f"{tmp_path / 'Audio' / 'misc'} is not a folder of a track; left out",
        f"{tmp_path / 'Audio' / 'loose.wav'} is not a folder of a track; left out",
        "metadata without sound: B_Two",
    }
    assert len(problems) == 6


def test_artists_never_straddle(tmp_path):
    for i in range(30):
        write_track(tmp_path, f"Artist{i}_One", ["cello"])
        write_track(tmp_path, f"Artist{i}_Two", ["violin"])
    sides = open_medleydb(tmp_path).split("artist")
    artists = [{track.name.split("_")[0] for track in tracks} for tracks in sides.values()]
    assert all(artists) and sum(map(len, artists)) == len(set.union(*artists)) == 30
    assert sum(map(len, sides.values())) == 60


def test_a_folder_that_is_not_medleydb_and_an_unknown_taxonomy_are_errors(tmp_path):
    with pytest.raises(MediaError, match="Expected MedleyDB: Audio/Artist_Title.*Received: "):
        open_medleydb(tmp_path)
    with pytest.raises(ParameterError, match="medleydb's labels map into: urmp13, musdb4. Received: 'orchestra'"):
        open_medleydb(tmp_path, taxonomy="orchestra")
