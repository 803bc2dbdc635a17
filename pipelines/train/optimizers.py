"""Optimizers and learning rate schedules of the recipes."""

import keras
from keras import ops

from av_sep.errors import ParameterError
from pipelines.config import TrainConfig

SCHEDULES = ("constant", "exponential", "cosine")


@keras.saving.register_keras_serializable(package="av_sep")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """A linear rise from a hundredth of the peak, then another schedule from its own beginning.

    Args:
        peak: learning rate at the end of the rise.
        num_steps: steps of the rise; 0 for none.
        after: the schedule that follows, which begins at `peak`.
    """

    def __init__(self, peak, num_steps, after):
        super().__init__()
        self.peak, self.num_steps, self.after = peak, num_steps, after

    def __call__(self, step):
        step = ops.cast(step, "float32")
        rising = self.peak * (0.01 + 0.99 * step / max(1, self.num_steps))
        return ops.where(step < self.num_steps, rising, self.after(ops.maximum(step - self.num_steps, 0.0)))

    def get_config(self):
        after = keras.saving.serialize_keras_object(self.after)
        return {"peak": self.peak, "num_steps": self.num_steps, "after": after}

    @classmethod
    def from_config(cls, config):
        return cls(config["peak"], config["num_steps"], keras.saving.deserialize_keras_object(config["after"]))


def make_schedule(config: TrainConfig) -> keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate over the steps of a run.

    "exponential" multiplies by `decay_rate` every `decay_steps`, smoothly; "cosine" falls to a hundredth at the last
    step; both begin when the warm-up has ended.

    Raises:
        ParameterError: for an unknown schedule.
    """
    if config.schedule not in SCHEDULES:
        raise ParameterError(f"Expected a schedule among {', '.join(SCHEDULES)}. Received: {config.schedule!r}")
    schedules = keras.optimizers.schedules
    peak, left = config.learning_rate, max(1, config.total_steps - config.warmup_steps)
    if config.schedule == "cosine":
        after = schedules.CosineDecay(peak, decay_steps=left, alpha=0.01)
    elif config.schedule == "exponential":
        after = schedules.ExponentialDecay(peak, config.decay_steps, config.decay_rate)
    else:
        # A decay of 1 is a constant that can be saved like the others.
        after = schedules.ExponentialDecay(peak, 1, 1.0)
    return WarmUp(peak, config.warmup_steps, after)


def make_optimizer(config: TrainConfig) -> keras.optimizers.Optimizer:
    """Adam (Kingma & Ba 2015) with the run's schedule, gradient clipping and moving average of the weights."""
    averaging = {} if config.ema_momentum is None else {"use_ema": True, "ema_momentum": config.ema_momentum}
    return keras.optimizers.Adam(make_schedule(config), global_clipnorm=config.global_clipnorm, **averaging)
