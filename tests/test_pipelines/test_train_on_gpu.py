"""The script that trains recipes in turn: it passes over one that fails, and says so at its end."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "examples" / "train_on_gpu.sh"
# Stands for Python: plans are made by the real one, a training of "good" works, and any other fails.
PYTHON = f"""#!/bin/sh
[ "$1" != - ] || exec {sys.executable} "$@"
[ "$1 $2 $3 $4" = "-m pipelines train good" ]
"""


@pytest.fixture
def train(tmp_path):
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)

    def run(*recipes, **variables):
        given = {"PYTHON": tmp_path / "python", "BANK": tmp_path, "OUT": tmp_path / "runs", "STEPS": 40, **variables}
        environment = {**os.environ, **{name: str(value) for name, value in given.items()}}
        return subprocess.run(["bash", SCRIPT, *recipes], env=environment, capture_output=True, text=True, check=False)

    return run


def test_all_is_well(train):
    done = train("good")
    assert (done.returncode, done.stderr) == (0, "") and "good: steps_per_epoch=10 num_epochs=4" in done.stdout


@pytest.mark.parametrize("recipes", [("bad", "good"), ("good", "bad")])
def test_a_recipe_that_fails_does_not_stop_the_others_and_is_told(train, recipes):
    done = train(*recipes)
    assert done.returncode == 1 and done.stderr == "bad: failed\n1 of 2 recipes failed\n"
    assert all(f"{recipe}: steps_per_epoch" in done.stdout for recipe in recipes)


def test_a_plan_that_fails_is_told(train):
    # Without a number of steps, the speed is measured by a short training first.
    done = train("bad", STEPS="")
    assert done.returncode == 1 and done.stderr == "bad: failed\n1 of 1 recipes failed\n"
