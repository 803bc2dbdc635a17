"""Where the reference recordings and photos are, for the tests that use them."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings, photos and clips; they may not be redistributed, so a test skips without them."""
    folder = Path(os.environ.get("AV_SEP_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"reference data not found at {folder} (set AV_SEP_DATA)")
    return folder
