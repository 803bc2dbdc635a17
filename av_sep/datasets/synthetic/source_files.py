"""Which files a made dataset was made of, so that a file replaced by another of the same name is noticed.

Contents are told apart by a digest of all their bytes, and not by size or time of change: a library that is copied or
unpacked anew is still the same, and one edited note is not. That costs a quarter of a second for a soundfont of 150 MB,
and a few seconds for thousands of notes that nobody has opened before: as long as one piece takes.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from av_sep.datasets.synthetic.config import SyntheticConfig
from av_sep.datasets.synthetic.pictures import open_pictures
from av_sep.datasets.synthetic.score_files import score_paths
from av_sep.datasets.synthetic.sound_sources import SoundSources
from av_sep.errors import MediaError, shown

_BLOCK_BYTES = 2**20
_DIGEST_BYTES = 16


def describe_sources(config: SyntheticConfig, sources: SoundSources) -> dict[str, str]:
    """What sounds, scores and pictures come from -> hexadecimal digest of the files' names and contents.

    Only files that can be chosen count: those that an index leaves out change no piece.

    Args:
        config: names the folders of scores and pictures.
        sources: the sounds.

    Raises:
        MediaError: for a folder without usable files, and a file that cannot be read.
    """
    files: dict[str, Iterable[Path]] = {
        f"notes: {library}/{instrument}": [sample.path for sample in samples]
        for (library, instrument), samples in sources.samples.items()
    }
    # Two soundfonts may have one name.
    files |= {f"soundfont {i}: {path.name}": [path] for i, path in enumerate(sources.soundfonts, 1)}
    if config.scores is not None:
        files["scores"] = score_paths(config.scores)
    if config.video and config.pictures is not None:
        pictures = open_pictures(config.pictures).files
        files |= {f"pictures: {instrument}": paths for instrument, paths in pictures.items() if paths}
    return {name: _digest(files[name]) for name in sorted(files)}


def _digest(paths: Iterable[Path]) -> str:
    total = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for path in paths:
        # A digest each, of one length: two files are not the same as one that holds both.
        total.update(_content_digest(path) + path.name.encode("utf-8", "surrogateescape") + b"\0")
    return total.hexdigest()


def _content_digest(path: Path) -> bytes:
    content = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                content.update(block)
    except OSError as error:
        raise MediaError(f"Cannot read this file ({error.strerror}). Received: {shown(path)}") from error
    return content.digest()
