"""TFRecords: tracks into shards and back. `spec` describes what a record holds."""

from audio.records.shards import Record, ShardSummary, check_shard, read_records, write_shard
from audio.records.spec import SCHEMA_VERSION, SCHEMAS, RecordPicture, RecordSpec
from audio.records.tracks import Block, track_records

__all__ = [
    "SCHEMAS",
    "SCHEMA_VERSION",
    "Block",
    "Record",
    "RecordPicture",
    "RecordSpec",
    "ShardSummary",
    "check_shard",
    "read_records",
    "track_records",
    "write_shard",
]
