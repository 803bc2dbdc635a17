"""What tells the data of a run from others, wherever they lie and however old their files are."""

import json
import os
from pathlib import Path
from typing import Any

from av_sep.datasets.packed_bank import INDEX_NAME
from av_sep.errors import MediaError, shown
from pipelines.fingerprint import fingerprint
from pipelines.train.files import files_at


def data_digest(location: str) -> str:
    """SHA-256 of what a folder says of its content; sound itself is not read, so that it costs nothing.

    Of records, shards and their checksums; of a packed bank its index, which holds every line's checksum; of another
    bank `bank.json` and the lines' names and sizes, so that a line made anew at its length is not noticed.

    Args:
        location: folder that a feed takes, see `pipelines.train.feeds.open_feed`.

    Raises:
        MediaError: where it cannot be read.
    """
    location = location.rstrip("/")
    files = files_at(location)
    try:
        if files.exists(f"{location}/manifest.json"):
            content = json.loads(files.read(f"{location}/manifest.json")).get("sides")
        elif files.exists(f"{location}/{INDEX_NAME}"):
            content = json.loads(files.read(f"{location}/{INDEX_NAME}"))
        else:
            content = _bank(Path(location))
    except (OSError, ValueError, AttributeError) as error:
        raise MediaError(f"Cannot read {shown(location)}: {getattr(error, 'strerror', None) or error}") from error
    return fingerprint(content)


def _bank(folder: Path) -> dict[str, Any]:
    lines = sorted((path.relative_to(folder).as_posix(), os.path.getsize(path)) for path in folder.glob("*/*/*.npy"))
    return {"bank": json.loads((folder / "bank.json").read_bytes()), "lines": lines}
