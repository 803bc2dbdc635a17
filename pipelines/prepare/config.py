"""Settings of `prepare`."""

from dataclasses import dataclass

from av_sep.errors import ParameterError
from pipelines.prepare.pictures import PictureConfig

# Whole tracks go into a shard; the published schema takes ten times the room.
_TRACKS_PER_SHARD = {"compact": 8, "published": 1}
_RATES_HZ = (1000, 192_000)


@dataclass(frozen=True)
class PrepareConfig:
    """What becomes of a dataset.

    Attributes:
        split: one of the dataset's; None for its default.
        schema: "compact" or "published".
        sample_rate_hz: of the records.
        num_channels: of the records, 1 or 2.
        tracks_per_shard: None for 8 (compact) or 1 (published).
        pictures: which pictures go in; None for sound alone.
        leave_out: names of tracks to leave out; the manifest says so.
        allow_problems: go on where tracks of the dataset cannot be used; the manifest lists them.
        taxonomy: of datasets that can be read by several; None for the dataset's own.
        overwrite: replace what an earlier run made in the output folder; anything else in it stays.
    """

    split: str | None = None
    schema: str = "compact"
    sample_rate_hz: int = 22050
    num_channels: int = 1
    tracks_per_shard: int | None = None
    pictures: PictureConfig | None = None
    leave_out: tuple[str, ...] = ()
    allow_problems: bool = False
    taxonomy: str | None = None
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.schema not in _TRACKS_PER_SHARD:
            raise ParameterError(f"Expected a schema among {', '.join(_TRACKS_PER_SHARD)}. Received: {self.schema!r}")
        if self.num_channels not in (1, 2):
            raise ParameterError(f"Expected 1 or 2 channels. Received: {self.num_channels}")
        low, high = _RATES_HZ
        if not low <= self.sample_rate_hz <= high:
            raise ParameterError(f"Expected a sample rate of {low} to {high} Hz. Received: {self.sample_rate_hz} Hz")
        if self.resolved_tracks_per_shard < 1:
            raise ParameterError(f"Expected at least one track per shard. Received: {self.tracks_per_shard}")

    @property
    def resolved_tracks_per_shard(self) -> int:
        """Tracks per shard, with the schema's default filled in."""
        return _TRACKS_PER_SHARD[self.schema] if self.tracks_per_shard is None else self.tracks_per_shard
