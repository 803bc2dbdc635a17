"""Anyone's stems in folders: `<root>/<track>/<instrument>.<format>`, or one track's stems in the root itself.

References may hold `mixture.<format>` too; where it is missing, their sum stands for it. Stems are matched by the
names of tracks and files, whatever they are; `mixture` and `residual` among the estimates are no stems.
"""

from pathlib import Path

from av_sep.datasets.track import Part, Sound, Track
from av_sep.datasets.tree import SOUND_EXTENSIONS
from av_sep.errors import MediaError

_MIXTURE, _NO_STEMS = "mixture", ("mixture", "residual")


def open_references(root: str | Path) -> tuple[Track, ...]:
    """The tracks of a folder of references, by name.

    Raises:
        MediaError: where there are no stems in it.
    """
    tracks = _tracks(Path(root))
    if not tracks:
        raise MediaError(
            f"Expected stems as <track>/<instrument>.wav (or .flac, ...). Received: {root}, which holds none"
        )
    return tracks


def open_estimates(root: str | Path, references: tuple[Track, ...]) -> dict[str, Track]:
    """The estimates that a folder holds for tracks of the references: track name -> its stems.

    Raises:
        MediaError: where no track has any.
    """
    tracks = {track.name: track for track in _tracks(Path(root))}
    if len(tracks) == len(references) == 1:
        # One track's stems in the folders themselves: their names say nothing about each other.
        (only,) = tracks.values()
        tracks = {references[0].name: only}
    known = {track.name for track in references}
    found = {name: track for name, track in tracks.items() if name in known}
    if not found:
        expected = ", ".join(sorted(known)[:3])
        received = ", ".join(sorted(tracks)[:3]) or "no stems"
        raise MediaError(
            f"Expected estimates of tracks named as the references ({expected}). Received: {root}, {received}"
        )
    return found


def _tracks(root: Path) -> tuple[Track, ...]:
    if not root.is_dir():
        raise MediaError(f"Expected a folder of stems. Received: {root}, which is not there")
    own = _track(root)
    if own is not None:
        return (own,)
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    return tuple(track for track in map(_track, folders) if track is not None)


def _track(folder: Path) -> Track | None:
    sounds: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix.lower() in SOUND_EXTENSIONS:
            if path.stem in sounds:
                raise MediaError(f"Expected one file per stem. Received: {path} and {sounds[path.stem].name}")
            sounds[path.stem] = path
    parts = tuple(Part(name, Sound(path)) for name, path in sounds.items() if name not in _NO_STEMS)
    if not parts:
        return None
    mixture = Sound(sounds[_MIXTURE]) if _MIXTURE in sounds else None
    return Track(folder.name, folder.name, parts, mixture)
