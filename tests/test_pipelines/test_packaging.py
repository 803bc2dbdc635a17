"""What an installed copy contains."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIMIT_BYTES = 60_000_000


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    skipped = shutil.ignore_patterns(".git", ".venv", "build", "*.egg-info", "__pycache__", "out", "examples")
    shutil.copytree(ROOT, source, ignore=skipped)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "-w", str(folder), str(source)], check=True)
    (path,) = folder.glob("av_sep-*.whl")
    return zipfile.ZipFile(path)


def test_packages_weights_and_templates_are_inside_and_tests_are_not(wheel):
    names = set(wheel.namelist())
    on_disk = {
        str(path.relative_to(ROOT))
        for package in ("av_sep", "vision", "audio", "pipelines")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert on_disk <= names
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "examples"))]


def test_package_data_stay_small(wheel):
    assert sum(item.file_size for item in wheel.infolist() if "/weights/" in item.filename) < LIMIT_BYTES
