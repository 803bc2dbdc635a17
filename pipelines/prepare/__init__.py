"""A dataset becomes TFRecords: planned once, made shard by shard anywhere, complete when the manifest is there.

In the output folder: `<side>-<number>-of-<count>.tfrecord`, and `manifest.json` when all of them are finished. Until
then `.prepare/` holds the plan and an entry for each finished shard, so that a run that was killed goes on where it
stopped; a shard without its entry does not count. The same dataset and settings give the same bytes, however often the
run was interrupted and whoever did the work. A dataset is the same while its files' sizes and times of change are
(where a remote filesystem tells no times, their sizes), and so is a detector that looks at its pictures.
"""

from pipelines.prepare.config import PrepareConfig
from pipelines.prepare.pictures import PictureConfig
from pipelines.prepare.run import Prepared, prepare

__all__ = ["PictureConfig", "PrepareConfig", "Prepared", "prepare"]
