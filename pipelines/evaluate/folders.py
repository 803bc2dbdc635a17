"""Anyone's stems in folders: `<root>/<track>/<instrument>.<format>`, or one track's stems in the root itself.

References may hold `mixture.<format>` too; where it is missing, their sum stands for it. `mixture` and `residual` among
the estimates are no stems, in capitals or not. Where all references of a folder are named by instruments of one
taxonomy, names, abbreviations and players' numbers are understood on both sides as elsewhere ("vn", "violin_1"); else
stems are matched by their files' names as they are.
"""

from collections.abc import Callable, Iterable
from pathlib import Path

from av_sep.datasets.plain_folder import named_instrument
from av_sep.datasets.track import Part, Sound, Track
from av_sep.errors import MediaError, ParameterError
from av_sep.instruments import TAXONOMIES, Taxonomy
from av_sep.media import SOUND_EXTENSIONS

_MIXTURE, _NO_STEMS = "mixture", ("mixture", "residual")
Naming = Callable[[str], str]


def open_references(root: str | Path) -> tuple[tuple[Track, ...], Naming]:
    """The tracks of a folder of references by name, and how their stems are named.

    Raises:
        MediaError: where there are no stems in it.
    """
    files = _files(Path(root))
    if not files:
        raise MediaError(
            f"Expected stems as <track>/<instrument>.wav (or .flac, ...). Received: {root}, which holds none"
        )
    naming = _naming({name for sounds in files.values() for name in sounds if _is_stem(name)})
    return tuple(_track(name, sounds, naming) for name, sounds in files.items()), naming


def open_estimates(
    root: str | Path, references: tuple[Track, ...], naming: Naming
) -> tuple[dict[str, Track], tuple[str, ...]]:
    """The estimates that a folder holds for tracks of the references.

    Args:
        root: the folder.
        references: what they shall be scored against.
        naming: of the references.

    Returns:
        Track name -> its stems; and remarks on what no reference has, one line each.

    Raises:
        MediaError: where no track has any, or none of a track's stems is one of the references.
    """
    tracks = {name: _track(name, sounds, naming) for name, sounds in _files(Path(root)).items()}
    if len(references) == 1 and holds_stems(root):
        # One track's stems in the folder itself, whose name says nothing of the track.
        tracks = {references[0].name: next(iter(tracks.values()))}
    known = {track.name: track for track in references}
    found = {name: track for name, track in tracks.items() if name in known}
    if not found:
        received = ", ".join(sorted(tracks)[:3]) or "no stems"
        expected = ", ".join(sorted(known)[:3])
        raise MediaError(
            f"Expected estimates of tracks named as the references ({expected}). Received: {root}, {received}"
        )
    remarks = [f"{Path(root).name}/{name} is no track of the references" for name in tracks if name not in known]
    for name, track in found.items():
        unknown = [stem for stem in track.stems if stem not in known[name].stems]
        if len(unknown) == len(track.stems):
            expected = ", ".join(known[name].stems)
            raise MediaError(f"Expected stems of {expected}. Received: {', '.join(unknown)} in {root}, track {name}")
        remarks += [f"{Path(root).name}/{name}: {stem} is no stem of the references: a leak" for stem in unknown]
    return found, tuple(remarks)


def holds_stems(root: str | Path) -> bool:
    """Whether a folder holds the stems of one track itself, not folders of tracks."""
    return _are_stems(_sounds(Path(root)))


def _are_stems(sounds: Iterable[str]) -> bool:
    return any(map(_is_stem, sounds))


def _is_stem(name: str) -> bool:
    return name.lower() not in _NO_STEMS


def _naming(names: Iterable[str]) -> Naming:
    for taxonomy in TAXONOMIES.values():
        if all(_named(name, taxonomy) is not None for name in names):
            return lambda name: _named(name, taxonomy) or name
    return lambda name: name


def _named(name: str, taxonomy: Taxonomy) -> str | None:
    try:
        return named_instrument(name, taxonomy)
    except ParameterError:
        return None


def _files(root: Path) -> dict[str, dict[str, Path]]:
    """Track -> name of a file without its suffix -> the file; tracks without stems left out."""
    if not root.is_dir():
        raise MediaError(f"Expected a folder of stems. Received: {root}, which is not there")
    own = _sounds(root)
    if _are_stems(own):
        return {root.resolve().name: own}
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    found = {folder.name: _sounds(folder) for folder in folders}
    return {name: sounds for name, sounds in found.items() if _are_stems(sounds)}


def _sounds(folder: Path) -> dict[str, Path]:
    sounds: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix.lower() in SOUND_EXTENSIONS:
            if path.stem in sounds:
                raise MediaError(f"Expected one file per stem. Received: {path} and {sounds[path.stem].name}")
            sounds[path.stem] = path
    return sounds


def _track(name: str, sounds: dict[str, Path], naming: Naming) -> Track:
    parts = tuple(Part(naming(stem), Sound(path)) for stem, path in sounds.items() if _is_stem(stem))
    mixtures = [path for stem, path in sounds.items() if stem.lower() == _MIXTURE]
    if len(mixtures) > 1:
        raise MediaError(f"Expected one mixture. Received: {mixtures[0]} and {mixtures[1].name}")
    return Track(name, name, parts, Sound(mixtures[0]) if mixtures else None)
