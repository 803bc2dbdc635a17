"""Training runs: a recipe and a folder of data in; checkpoints, curves and a model out, whenever it was killed."""

from pipelines.train.run import TrainingRun, train

__all__ = ["TrainingRun", "train"]
