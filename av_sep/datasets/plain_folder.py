"""A plain folder of tracks: the layout for one's own recordings.

Layout, under the root:

    Sonata__take2/           a track; what comes before "__" is its composition, the whole name where there is none
        mixture.wav          all together (where it is missing, the sum of the parts stands for it)
        violin_1.wav         a part: any name or abbreviation of an instrument, and a number where there are several
        violin_2.flac
        vc.mp3
        film.mp4             the film, if there is one; any name

Sounds may be in any format that ffmpeg reads. A sound whose name is no instrument makes the track unusable, as the
mixture then holds something that no stem does.

Splits: "composition" (default): about 70 / 10 / 20 % of the compositions.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from av_sep.datasets.building import Finding, build_dataset, unusable
from av_sep.datasets.splits import by_composition
from av_sep.datasets.track import Dataset, Part, Sound, Track
from av_sep.datasets.tree import (
    Listing,
    Notices,
    distinct_folders,
    is_paper,
    list_folder,
    name_list,
    printable,
)
from av_sep.errors import MediaError, ParameterError, shown
from av_sep.instruments import TAXONOMIES, URMP_13, Taxonomy
from av_sep.media import SOUND_EXTENSIONS, VIDEO_EXTENSIONS

_MIXTURE = "mixture"
_PLAYER_NUMBER = re.compile(r"(.*?)[ _-]*(\d+)")


def open_folder(root: str | os.PathLike[str], *, taxonomy: str | Taxonomy = URMP_13) -> Dataset:
    """Index a plain folder of tracks.

    Args:
        root: the folder that holds a folder for each track.
        taxonomy: which instruments the files are named by: "urmp13", "musdb4", or one of your own.

    Raises:
        MediaError: for a folder that cannot be read or holds no folder with sounds in it.
        ParameterError: for an unknown taxonomy.
    """
    root, taxonomy = Path(root), _taxonomy(taxonomy)
    listing = list_folder(root)
    notices = Notices()
    folders = distinct_folders(root, listing.folders, notices)
    contents = {folder: list_folder(folder) for folder in folders}
    if not any(map(_sounds, contents.values())):
        hint = " (a single track: give the folder above it)" if _sounds(listing) else ""
        raise MediaError(f"Expected folders such as <track>/mixture.wav, violin.wav, …{hint}. Received: {shown(root)}")
    findings = [_track(folder, inner, taxonomy) for folder, inner in contents.items()]
    notices.add_unusable(listing)
    others = [path for path in listing.files if not is_paper(path)]
    notices.add_strays(others, "lies beside the tracks' folders, in none of them")
    return build_dataset("folder", root, taxonomy, findings, notices, {"composition": by_composition()})


def _taxonomy(taxonomy: str | Taxonomy) -> Taxonomy:
    if isinstance(taxonomy, Taxonomy):
        return taxonomy
    if taxonomy not in TAXONOMIES:
        raise ParameterError(f"Expected a taxonomy among {', '.join(TAXONOMIES)}. Received: {taxonomy!r}")
    return TAXONOMIES[taxonomy]


def _sounds(listing: Listing) -> list[Path]:
    return [path for path in listing.files if path.suffix.lower() in SOUND_EXTENSIONS]


def _track(folder: Path, listing: Listing, taxonomy: Taxonomy) -> Finding:
    name, sounds = printable(folder.name), _sounds(listing)
    mixtures = [path for path in sounds if path.stem.lower() == _MIXTURE]
    named = [(path, _instrument(path, taxonomy)) for path in sounds if path not in mixtures]
    faults = [f"{shown(path.name)}: {error}" for path, error in named if isinstance(error, ParameterError)]
    faults += [*_repeated(sounds), *listing.lost_sounds]
    parts = tuple(Part(instrument, Sound(path)) for path, instrument in named if isinstance(instrument, str))
    if not parts and not faults:
        faults.append("there is not one sound of an instrument")
    if faults:
        return unusable(name, shown(folder), dict.fromkeys([*faults, *listing.unusable]))
    videos = [path for path in listing.files if path.suffix.lower() in VIDEO_EXTENSIONS]
    mixture = Sound(mixtures[0]) if mixtures else None
    remarks = _remarks(listing, videos, mixture is None)
    video = videos[0] if videos else None
    return Track(name, name.split("__")[0] or name, parts, mixture, video, remarks=tuple(remarks)), []


def named_instrument(stem: str, taxonomy: Taxonomy) -> str:
    """The instrument that a file is named by ("violin_1", "vc"), with or without a player's number.

    Raises:
        ParameterError: where it is named by none.
    """
    numbered = _PLAYER_NUMBER.fullmatch(stem)
    return taxonomy.parse(printable(numbered.group(1) if numbered else stem))


def _instrument(path: Path, taxonomy: Taxonomy) -> str | ParameterError:
    try:
        return named_instrument(path.stem, taxonomy)
    except ParameterError as error:
        return error


def _repeated(sounds: Sequence[Path]) -> list[str]:
    """Lines about files that differ in nothing but their format: one recording must not count twice."""
    by_name: dict[str, list[Path]] = {}
    for path in sounds:
        by_name.setdefault(path.stem.lower(), []).append(path)
    return [f"{name_list(paths)} are the same sound twice: keep one" for paths in by_name.values() if len(paths) > 1]


def _remarks(listing: Listing, videos: Sequence[Path], no_mixture: bool) -> list[str]:
    remarks = [f"{line}; not used" for line in listing.unusable]
    others = [path for path in listing.files if path not in videos and path.suffix.lower() not in SOUND_EXTENSIONS]
    others = [*listing.folders, *(path for path in others if not is_paper(path))]
    remarks += [f"{shown(path.name)} is neither sound nor video; not used" for path in others]
    if no_mixture:
        remarks.append("mixture is missing: the sum of the parts stands for it")
    if len(videos) > 1:
        remarks.append(f"there are several videos, {shown(videos[0].name)} was taken: {name_list(videos)}")
    return remarks
