"""`python -m pipelines` is `av-sep`."""

from pipelines.cli import run

run()
