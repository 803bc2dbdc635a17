"""Scores of separation models beside the floors, the classics and the ceiling, on datasets or on anyone's stems.

    from pipelines.evaluate import evaluate
    done = evaluate("urmp", "/data/URMP", "out", models=("default", "classics"), labels=("true", "detected"))

In the output folder: `tracks.csv` (one row per stem), `segments_v3.csv` and `segments_v4.csv`, `summary.csv` (medians
with intervals), the same as JSON where it is not too much, figures, `report.html` with everything in it,
`settings.json`. Under `work/` every finished unit (a system on a track) has a file of its own, so that a run goes on
where it stopped.
"""

from pipelines.evaluate.config import EvaluateConfig
from pipelines.evaluate.run import Evaluation, evaluate, evaluate_stems

__all__ = ["EvaluateConfig", "Evaluation", "evaluate", "evaluate_stems"]
