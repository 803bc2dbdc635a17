"""MedleyDB (1 and 2): multitracks of many styles, with what is played on each stem.

Layout, under the root:

    Audio/Artist_Title/                     or without the folder Audio
        Artist_Title_MIX.wav                the mixture
        Artist_Title_STEMS/Artist_Title_STEM_01.wav, …
        Artist_Title_RAW/…                  single microphones (not used)
    Metadata/Artist_Title_METADATA.yaml     or in the track's own folder

The metadata say what each stem is (`stems: S01: {instrument: …, filename: …}`) and whether microphones heard other
players (`has_bleed`, a remark). Labels become instruments by `label_tables`. In URMP-13 many stems stand for no
instrument: then the sum of those that do is the mixture, and the track says so. In MUSDB-4 all others are "other".
There is no video. A track's composition is its artist (its composer, for the classical ones).

Splits: "artist" (default): about 70 / 10 / 20 % of the artists, all tracks of an artist on one side.

References:
    R. Bittner, J. Salamon, M. Tierney, M. Mauch, C. Cannam, J. P. Bello, "MedleyDB: a multitrack dataset for
    annotation-intensive MIR research", ISMIR 2014.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from av_sep.datasets.building import Finding, build_dataset, labelled_track, unusable
from av_sep.datasets.label_tables import Labels, LabelTable, label_table
from av_sep.datasets.splits import by_composition
from av_sep.datasets.track import Dataset, Sound, Track
from av_sep.datasets.tree import Listing, Notices, distinct_folders, is_paper, list_folder, printable
from av_sep.errors import MediaError, shown
from av_sep.instruments import URMP_13, Taxonomy

_METADATA_END = "_METADATA.yaml"
_EXTRA_FOLDERS = frozenset({"Annotations", "Features"})


def open_medleydb(
    root: str | os.PathLike[str],
    *,
    taxonomy: str | Taxonomy = URMP_13,
    labels: Labels = None,
    metadata: str | os.PathLike[str] | None = None,
) -> Dataset:
    """Index MedleyDB.

    Args:
        root: the folder that holds `Audio`, or the tracks themselves.
        taxonomy: "urmp13" or "musdb4": which instruments the stems shall be named by.
        labels: another table from MedleyDB's labels to instruments, or a CSV file that extends it.
        metadata: the folder of the *_METADATA.yaml files, where it is not `Metadata` under the root.

    Raises:
        MediaError: for a folder that cannot be read or holds no track.
        ParameterError: for a taxonomy that there is no table for.
    """
    root = Path(root)
    table = label_table("medleydb", taxonomy if isinstance(taxonomy, str) else taxonomy.name, labels)
    top = list_folder(root)
    folder = root / "Audio" if root / "Audio" in top.folders else root
    listing = top if folder == root else list_folder(folder)
    known = _metadata_files(root / "Metadata" if metadata is None else Path(metadata), required=metadata is not None)
    notices = Notices()
    candidates = distinct_folders(folder, [path for path in listing.folders if _is_candidate(path)], notices)
    contents = {path: list_folder(path) for path in candidates}
    tracks = [path for path in candidates if _is_track(path, contents[path], known)]
    if not tracks:
        raise MediaError(f"Expected MedleyDB: Audio/Artist_Title/Artist_Title_STEMS/…. Received: {shown(root)}")
    findings = [_track(path, contents[path], known, table) for path in tracks]
    strays = [path for path in candidates if path not in tracks]
    strays += [] if listing is top else [path for path in top.folders if _is_candidate(path) and path != folder]
    _notice_strays(notices, strays, [top] if listing is top else [top, listing])
    notices.problems += _without_sound(known, tracks)
    return build_dataset("medleydb", root, table.taxonomy, findings, notices, {"artist": by_composition()})


def _is_candidate(path: Path) -> bool:
    return path.name not in (*_EXTRA_FOLDERS, "Metadata")


def _is_track(folder: Path, listing: Listing, known: Mapping[str, Path]) -> bool:
    ends = ("_STEMS", "_MIX.wav", _METADATA_END)
    return folder.name in known or any(path.name.endswith(ends) for path in (*listing.folders, *listing.files))


def _metadata_files(folder: Path, *, required: bool) -> dict[str, Path]:
    """Metadata by the name of the track."""
    if not folder.is_dir() and not required:
        return {}
    files = list_folder(folder).files
    return {path.name[: -len(_METADATA_END)]: path for path in files if path.name.endswith(_METADATA_END)}


def _notice_strays(notices: Notices, folders: Sequence[Path], listings: Sequence[Listing]) -> None:
    """Lines about what is neither a track nor a known extra."""
    files = [path for listing in listings for path in listing.files if path.suffix != ".yaml" and not is_paper(path)]
    notices.add_strays([*folders, *files], "is not a folder of a track")
    for listing in listings:
        notices.add_unusable(listing)


def _without_sound(known: Mapping[str, Path], tracks: list[Path]) -> list[str]:
    missing = sorted(set(known) - {path.name for path in tracks})
    return [f"metadata without sound: {', '.join(map(printable, missing))}"] if missing else []


def _track(folder: Path, listing: Listing, known: Mapping[str, Path], table: LabelTable) -> Finding:
    name = printable(folder.name)
    own = folder / f"{folder.name}{_METADATA_END}"
    path = own if own in listing.files else known.get(folder.name)
    if path is None:
        return unusable(name, shown(folder), [f"{shown(own.name)} is missing: nobody knows what the stems are"])
    try:
        metadata = _read_metadata(path)
        stems_folder = folder / _file_name(metadata.get("stem_dir"), f"{folder.name}_STEMS")
        stems = list_folder(stems_folder)
        sounds = [_stem(key, stem, stems_folder) for key, stem in sorted(metadata["stems"].items())]
    except MediaError as error:
        return unusable(name, shown(folder), [str(error)])
    missing = [f"{shown(sound.path.name)} is missing" for _, sound in sounds if sound.path not in stems.files]
    if missing:
        return unusable(name, shown(folder), [*missing, *stems.unusable])
    mixture = folder / _file_name(metadata.get("mix_filename"), f"{folder.name}_MIX.wav")
    remarks = _remarks(listing, stems, [sound.path for _, sound in sounds], mixture)
    if str(metadata.get("has_bleed", "no")).lower() in ("yes", "true"):
        remarks.append("has bleed: the stems' microphones heard other players as well")
    has_mixture = mixture in listing.files
    track = Track(name, _artist(name), (), Sound(mixture) if has_mixture else None, remarks=tuple(remarks))
    return labelled_track(track, sounds, table, shown(folder))


def _artist(name: str) -> str:
    return name.split("_")[0]


def _remarks(listing: Listing, stems: Listing, used: list[Path], mixture: Path) -> list[str]:
    remarks = [f"{line}; not used" for line in (*listing.unusable, *stems.unusable)]
    if mixture not in listing.files:
        remarks.append(f"{shown(mixture.name)} is missing: the sum of the stems stands for the mixture")
    unknown = [path for path in stems.files if path not in used]
    remarks += [f"{shown(path.name)} is not in the metadata; not used" for path in unknown]
    ours = [path for path in listing.files if path != mixture and path.suffix != ".yaml" and not is_paper(path)]
    ours += [path for path in listing.folders if not path.name.endswith(("_STEMS", "_RAW"))]
    return remarks + [f"{shown(path.name)} is no file of MedleyDB's; not used" for path in (*ours, *stems.folders)]


def _read_metadata(path: Path) -> dict[str, Any]:
    """A track's metadata, with a mapping of stems for certain.

    Raises:
        MediaError: for a file that is no such YAML.
    """
    import yaml

    try:
        metadata = yaml.safe_load(path.read_bytes())
    except (OSError, ValueError, yaml.YAMLError) as error:  # ValueError: what looks like a date and is none
        raise MediaError(f"Expected YAML ({' '.join(str(error).split())}). Received: {shown(path)}") from error
    stems = metadata.get("stems") if isinstance(metadata, dict) else None
    if not isinstance(stems, dict) or not stems or not all(isinstance(stem, dict) for stem in stems.values()):
        raise MediaError(f"Expected metadata with stems: S01: {{instrument, filename}}. Received: {shown(path)}")
    return {**metadata, "stems": {str(key): stem for key, stem in stems.items()}}


def _file_name(value: Any, default: str) -> str:
    """A file's name out of the metadata; never a path to somewhere else."""
    return Path(str(value)).name if value else default


def _stem(key: str, stem: Mapping[str, Any], folder: Path) -> tuple[list[str], Sound]:
    """Labels and sound of a stem. MedleyDB 2 may name several instruments for one stem."""
    labels = stem.get("instrument")
    labels = labels if isinstance(labels, list) else [labels]
    if not stem.get("filename"):
        raise MediaError(f"Expected a filename for the stem {shown(key)} in the metadata. Received: none")
    return [str(label) for label in labels if label], Sound(folder / _file_name(stem["filename"], ""))
