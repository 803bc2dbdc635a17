"""Settings of a run, frozen. A model's settings are its constructor's; a recipe in `pipelines/configs` fills both."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class TrainConfig:
    """One training run.

    Attributes:
        recipe: name of the recipe it came from.
        model: arguments of `audio.wave_unet.WaveUNet`.
        segment_samples: length of a training example at the model's rate, a multiple of 2**num_levels.
        batch_size: examples per step.
        steps_per_epoch: steps between checkpoints.
        num_epochs: checkpoints in all.
        learning_rate: peak, reached after the warm-up and followed by a cosine to a hundredth.
        warmup_steps: steps of linear warm-up.
        global_clipnorm: largest gradient norm.
        ema_momentum: of the weights' moving average, which is what is validated and kept.
        precision: Keras dtype policy.
        seed: of weights and data.
        validation_steps: batches of the fixed validation set.
        mixing: further arguments of `av_sep.datasets.mixing.MixingConfig`.
    """

    recipe: str
    model: dict[str, Any]
    segment_samples: int
    batch_size: int = 8
    steps_per_epoch: int = 200
    num_epochs: int = 28
    learning_rate: float = 1e-3
    warmup_steps: int = 300
    global_clipnorm: float = 5.0
    ema_momentum: float = 0.998
    precision: str = "float32"
    seed: int = 0
    validation_steps: int = 8
    mixing: dict[str, Any] = field(default_factory=dict)

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.steps_per_epoch * self.num_epochs


@dataclass(frozen=True)
class SeparateConfig:
    """How a performance is separated and what is written.

    Attributes:
        instruments: names, abbreviations or aliases of what plays, as a tuple or as "vn,vc"; None to look at the video.
        all_instruments: assume that any instrument may play.
        model: name of a packaged model or path of a `.keras` file.
        detector: as `vision.detector.create_detector` takes it.
        threshold: confidence in [0, 1] that a seen instrument must reach; None for the detector's own.
        frames_per_second: pictures looked at per second of video.
        file_format: "wav", "flac" or "mp3".
        bit_depth: 16 or 24 (integers) or 32 (float).
        sample_rate_hz: of the stems; None for the input's.
        residual: keep what no stem explains in a file of its own instead of sharing it among the stems.
        overwrite: replace an existing output folder.
        dry_run: look and plan, write nothing.
    """

    instruments: tuple[str, ...] | str | None = None
    all_instruments: bool = False
    model: str = "default"
    detector: str = "embedded"
    threshold: float | None = None
    frames_per_second: float = 1.0
    file_format: str = "wav"
    bit_depth: int = 32
    sample_rate_hz: int | None = None
    residual: bool = False
    overwrite: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class AnnotateConfig:
    """How videos are annotated and what is written.

    Attributes:
        detector: as `vision.detector.create_detector` takes it.
        threshold: confidence in [0, 1] that an instrument must reach; None for the detector's own.
        frames_per_second: pictures looked at per second of video.
        formats: any of "json", "csv", "coco".
        overlay: also write a sheet of pictures with boxes.
        overwrite: replace existing label files.
    """

    detector: str = "embedded"
    threshold: float | None = None
    frames_per_second: float = 1.0
    formats: tuple[str, ...] = ("json", "csv", "coco")
    overlay: bool = False
    overwrite: bool = False
