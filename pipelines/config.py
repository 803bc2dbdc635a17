"""Settings of a run, frozen. A model's settings are its constructor's; a recipe in `pipelines/configs` fills both."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class TrainConfig:
    """One training run.

    Attributes:
        recipe: name of the recipe it came from.
        model: arguments of the network.
        segment_samples: length of a mixture at the model's rate, as the network can take it.
        network: class of the network, one of `pipelines.networks.NETWORKS`.
        loss: one of `audio.losses.LOSSES`.
        loss_options: its arguments.
        batch_size: examples per step, over all devices.
        steps_per_epoch: steps between checkpoints.
        num_epochs: checkpoints in all.
        learning_rate: reached after the warm-up.
        schedule: what follows: "constant", "exponential" (times `decay_rate` every `decay_steps`) or "cosine" (to a
            hundredth at the end).
        warmup_steps: steps of linear warm-up.
        decay_rate: see `schedule`.
        decay_steps: see `schedule`.
        global_clipnorm: largest gradient norm; None for any.
        ema_momentum: of the weights' moving average, which is then what is validated and kept; None for none.
        patience: epochs without a lower validation loss after which the run ends; None for no such end.
        precision: "float32" or "bfloat16" (weights stay float32).
        jit_compile: have XLA compile the steps under TensorFlow; JAX always does.
        steps_per_execution: steps per call of the compiled function; `steps_per_epoch` must be a multiple of it.
        seed: of weights and data.
        validation_steps: batches of the fixed validation set.
        validation_split: side of the records that they come from.
        sound_epochs: epochs between sound examples for TensorBoard; 0 for none.
        mixing: further arguments of `av_sep.datasets.mixing.MixingConfig`, for a bank of solos.
        start_from: name of a packaged model or path of a `.keras` file whose weights a new run starts from; None for
            random ones. So hours add up: a run at a constant learning rate, then one that decays from its end.
        mix_on_device: keep the bank in the device's memory and mix inside the compiled steps; JAX on one device, see
            `pipelines.train.device_feed`.
        augmentation: arguments of `audio.augmentation.Augmentation`, for records; None leaves them as they are.
        label_noise: arguments of `audio.label_noise.LabelNoise`, for labels that are wrong in training as a detector's
            are; None for labels as the data have them.
        picture_size: (height, width) of the joint model's pictures.
    """

    recipe: str
    model: dict[str, Any]
    segment_samples: int
    network: str = "WaveUNet"
    loss: str = "neg_snr"
    loss_options: dict[str, Any] = field(default_factory=dict)
    batch_size: int = 8
    steps_per_epoch: int = 200
    num_epochs: int = 28
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    warmup_steps: int = 300
    decay_rate: float = 0.96
    decay_steps: int = 2000
    global_clipnorm: float | None = 5.0
    ema_momentum: float | None = 0.998
    patience: int | None = None
    precision: str = "float32"
    jit_compile: bool = False
    steps_per_execution: int = 1
    seed: int = 0
    validation_steps: int = 8
    validation_split: str = "validation"
    sound_epochs: int = 0
    mixing: dict[str, Any] = field(default_factory=dict)
    start_from: str | None = None
    mix_on_device: bool = False
    augmentation: dict[str, Any] | None = field(default_factory=dict)
    label_noise: dict[str, Any] | None = None
    picture_size: tuple[int, int] | None = None

    @property
    def total_steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.steps_per_epoch * self.num_epochs


@dataclass(frozen=True)
class SeparateConfig:
    """How a performance is separated and what is written.

    Attributes:
        instruments: names, abbreviations or aliases of what plays, among the model's sources, as a tuple or as "vn,vc";
            None to look at the video.
        all_instruments: assume that any instrument that the model knows may play.
        labels: who else says what plays: "video", "audio" (a tagger that listens) or "both", as
            `pipelines.witnesses.fuse` joins them; sound alone has only "audio" to go by. None for whom
            `pipelines.witnesses.default_witnesses` names, sound adding to what is seen where anything is.
        model: name of a packaged model or path of a `.keras` file; one of a joint model looks as well.
        detector: as `pipelines.given_labels.detector_for` takes it; None for the joint model's own eyes, or "embedded".
        threshold: confidence in [0, 1] that a seen instrument must reach; None for
            `vision.labels.DEFAULT_THRESHOLD`, whatever the detector.
        frames_per_second: pictures looked at per second of video.
        gate_rests: silence stems where the sound says that their player rests; networks only.
        file_format: "wav", "flac" or "mp3".
        bit_depth: 16 or 24 (integers) or 32 (float).
        sample_rate_hz: of the stems; None for the input's.
        residual: keep what no stem explains in a file of its own instead of sharing it among the stems.
        overwrite: replace an existing output folder.
        dry_run: look and plan, write nothing.
    """

    instruments: tuple[str, ...] | str | None = None
    all_instruments: bool = False
    labels: str | None = None
    model: str = "default"
    detector: str | None = None
    threshold: float | None = None
    frames_per_second: float = 1.0
    gate_rests: bool = True
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
        detector: as `pipelines.joint.files.open_detector` takes it.
        threshold: confidence in [0, 1] that an instrument must reach; None for
            `vision.labels.DEFAULT_THRESHOLD`, whatever the detector.
        frames_per_second: pictures taken per second of video.
        labels: who says what plays: "video", or "both" for eyes and ears where there is sound; boxes and players are
            the picture's in any case.
        scenes: pass over pictures that look almost like the one before; see `pipelines.similar_pictures`.
        min_confidence: detections below it, in [0, 1], are left out of the files; labels and players do not change.
        formats: any of "json", "csv", "coco", "jams".
        overlay: also write a sheet of pictures with boxes.
        overlay_video: also write a film of the pictures taken, with boxes and names.
        review: also write a page on which a person corrects the labels.
        overwrite: replace existing label files, however they were made.
    """

    detector: str = "embedded"
    threshold: float | None = None
    frames_per_second: float = 1.0
    labels: str = "video"
    scenes: bool = False
    min_confidence: float = 0.0
    formats: tuple[str, ...] = ("json", "csv", "coco")
    overlay: bool = False
    overlay_video: bool = False
    review: bool = False
    overwrite: bool = False
