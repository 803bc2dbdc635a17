"""What a shard holds: the two schemas, the names of their features, and the settings that both sides must agree on.

Conventions:
    A shard is a TFRecord file of serialised `tf.train.Example`. A stretch is what one record covers of a track;
    stretches of a track follow each other without gap or overlap. Waveforms are float32 `[time, channels]`, full scale
    is 1.0.

The published schema (`audio/encoded` is a float list) holds one network input and output of fixed size, all sources of
the taxonomy, absent ones as zeros:

    mixture [mixture_samples, channels], then sources [num_sources, source_samples, channels], flattened

The sources are those of the mixture's centre. At the beginning and the end of a track the mixture's context is filled
up with zeros, and so is the last stretch; thus every sample of a track is a target once. (The authors' own files leave
out what does not fill a whole input, at both ends.)

The compact schema (`audio/encoded` is one string) holds a long stretch and only what is there, as 16-bit integers:

    int16, little-endian [num_present (+ 1), time, channels], the mixture first where `audio/has_mixture` is 1

A sample is its integer times `audio/step`, a power of two: 2**-15 at full scale, as in a 16-bit file; less where the
whole record is quieter, more where a signal exceeds full scale, so that nothing clips. Hence 16-bit recordings come
back exactly. The mixture is left out where it is the sum of the stems up to rounding: where they differ nowhere by
more than half a step for each stem and for the mixture itself. The steps meant are those of 16-bit files, 2**-15, or
the record's own where they are larger. It then comes back as the exact sum of the stems.

References:
    O. Slizovskaia, L. Kim, G. Haro, E. Gomez, "End-to-end sound source separation conditioned on instrument labels",
    ICASSP 2019, and the TFRecords of its published code (feature names, sizes).
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from av_sep.errors import ParameterError

SCHEMA_VERSION = 1
SCHEMAS = ("compact", "published")

NAME = "audio/file_basename"
SAMPLE_RATE = "audio/sample_rate"
SAMPLE_IDX = "audio/sample_idx"
NUM_SAMPLES = "audio/num_samples"
CHANNELS = "audio/channels"
NUM_SOURCES = "audio/num_sources"
LABELS = "audio/labels"
SOURCE_NAMES = "audio/source_names"
ENCODED = "audio/encoded"
STEP = "audio/step"
HAS_MIXTURE = "audio/has_mixture"
FRAMES = "video/frames"
FRAME_TIMES = "video/frame_times"
DETECTIONS = "video/detections"
VERSION = "av_sep/schema_version"
COVERED_SAMPLES = "av_sep/covered_samples"

# A protocol buffer ends at 2 GiB; a mebibyte is left for everything but the sound.
_MAX_BYTES = 2**31 - 2**20


@dataclass(frozen=True)
class RecordSpec:
    """What writers and readers of a shard agree on.

    Attributes:
        schema: "compact" or "published".
        source_names: the taxonomy by value, in the order of labels and sources.
        abbreviations: the same instruments as `audio/source_names` writes them ("vn,vc").
        sample_rate_hz: of mixture and sources.
        num_channels: of mixture and sources.
        stretch_samples: compact: samples that a record covers; the last of a track may be shorter.
        mixture_samples: published: length of the network's input.
        source_samples: published: length of its output, which is also what a record covers.

    Raises:
        ParameterError: for values that do not fit together.
    """

    schema: str
    source_names: tuple[str, ...]
    abbreviations: tuple[str, ...]
    sample_rate_hz: int = 22050
    num_channels: int = 1
    stretch_samples: int = 2**18
    mixture_samples: int = 147_443
    source_samples: int = 16_389

    def __post_init__(self) -> None:
        if self.schema not in SCHEMAS:
            raise ParameterError(f"Expected a schema of {', '.join(SCHEMAS)}. Received: {self.schema!r}")
        _check_names(self.source_names, self.abbreviations)
        sizes = ("sample_rate_hz", "num_channels", "stretch_samples", "mixture_samples", "source_samples")
        for name in sizes:
            if getattr(self, name) < 1:
                raise ParameterError(f"Expected {name} of at least 1. Received: {name}={getattr(self, name)}")
        self._check_lengths()

    def _check_lengths(self) -> None:
        context = self.mixture_samples - self.source_samples
        if context < 0 or context % 2:
            raise ParameterError(
                "Expected mixture_samples = source_samples + an even number, the same context on both sides."
                f" Received: mixture_samples={self.mixture_samples}, source_samples={self.source_samples}"
            )
        num_values = {
            "compact": 2 * self.stretch_samples * (1 + len(self.source_names)),
            "published": 4 * (self.mixture_samples + self.source_samples * len(self.source_names)),
        }
        num_bytes = num_values[self.schema] * self.num_channels
        if num_bytes > _MAX_BYTES:
            raise ParameterError(f"Expected records below 2 GiB: shorten them. Received: {num_bytes} bytes a record")

    @property
    def covered_samples(self) -> int:
        """Samples that one record covers of its track, which is the hop between records."""
        return self.stretch_samples if self.schema == "compact" else self.source_samples

    @property
    def context_samples(self) -> int:
        """Samples of mixture that a record holds before and after what it covers."""
        return 0 if self.schema == "compact" else (self.mixture_samples - self.source_samples) // 2

    def to_dict(self) -> dict[str, Any]:
        """The settings and the schema's version, as JSON can hold them."""
        values = dataclasses.asdict(self)
        return {
            "schema_version": SCHEMA_VERSION,
            **{name: list(value) if isinstance(value, tuple) else value for name, value in values.items()},
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "RecordSpec":
        """The inverse of `to_dict`.

        Raises:
            ParameterError: for a version this program does not know yet, and for missing or unknown settings.
        """
        values = dict(values)
        require_known_version(values.pop("schema_version", None))
        known = {field.name for field in dataclasses.fields(cls)}
        if set(values) != known:
            odd = ", ".join(sorted(set(values) ^ known))
            raise ParameterError(f"Expected the settings {', '.join(sorted(known))}. Missing or unknown: {odd}")
        settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**settings)


@dataclass(frozen=True, eq=False)
class RecordPicture:
    """A video frame as a record keeps it.

    Attributes:
        time_seconds: from the start of the track.
        jpeg: the picture.
        detections: what was detected in it, JSON.
    """

    time_seconds: float
    jpeg: bytes
    detections: str = "[]"


def require_known_version(version: Any) -> None:
    """Passes version numbers that this program can read.

    Raises:
        ParameterError: for anything else.
    """
    if not isinstance(version, int) or version < 1:
        raise ParameterError(f"Expected a schema_version of 1 to {SCHEMA_VERSION}. Received: {version!r}")
    if version > SCHEMA_VERSION:
        raise ParameterError(
            "These records were made by a newer av-sep: update this one, or prepare the data again."
            f" Received: schema_version={version}, known up to {SCHEMA_VERSION}"
        )


def _check_names(source_names: tuple[str, ...], abbreviations: tuple[str, ...]) -> None:
    distinct = len(set(source_names)) == len(source_names) == len(abbreviations) == len(set(abbreviations))
    if not source_names or not distinct:
        raise ParameterError(
            "Expected distinct source_names and as many distinct abbreviations."
            f" Received: {source_names!r} and {abbreviations!r}"
        )
    if any("," in text or not text for text in abbreviations):
        raise ParameterError(f"Expected abbreviations without commas. Received: {abbreviations!r}")
