"""The five runs of the authors' ablation on URMP: networks, learning rates, losses and precisions compared.

All of them: Wave-U-Net of the published size (12 levels, 24 filters per level, context) on 13 instruments, segments of
147,443 samples in and 16,389 out at 22,050 Hz, Adam. The records come from `av-sep prepare urmp URMP --split authors`
(the published schema feeds them too). Their validation side is empty: add `--set validation_split=test` to watch the
test side, or prepare with the split by composition. Batch size and number of steps are ours: 16 examples as in Stoller
et al., 200,000 steps. None of these was run here beyond a few steps on a CPU.

References:
    O. Slizovskaia, L. Kim, G. Haro, E. Gomez, "End-to-end sound source separation conditioned on instrument labels",
    ICASSP 2019, and its published code.
"""

from dataclasses import replace

from av_sep.instruments import URMP_13
from pipelines.config import TrainConfig


def _run(recipe: str, *, conditioning: str | None = None, **settings) -> TrainConfig:
    base = TrainConfig(
        recipe=recipe,
        model={
            "source_names": URMP_13.names,
            "sample_rate_hz": 22050,
            "context": True,
            "conditioning": conditioning,
        },
        segment_samples=147_443,
        batch_size=16,
        steps_per_epoch=2000,
        num_epochs=100,
        schedule="constant",
        warmup_steps=0,
        global_clipnorm=None,
        ema_momentum=None,
        validation_steps=64,
        # As published: segments as they are.
        augmentation=None,
    )
    return replace(base, **settings)


def expanded_mse() -> TrainConfig:
    """Expanded Wave-U-Net, learning rate 1e-5, MSE, float32.

    Command: av-sep train expanded_mse --data RECORDS -o runs/expanded_mse
    Cost: 200,000 steps of 16 segments; not run (a TPU v2 or a large GPU: days).
    Score: not run.
    """
    return _run("expanded_mse", loss="mse", learning_rate=1e-5)


def expanded_mse_decay() -> TrainConfig:
    """Expanded Wave-U-Net, learning rate 1e-5 with decay (0.96 per 2,000 steps), MSE, float32.

    Command: av-sep train expanded_mse_decay --data RECORDS -o runs/expanded_mse_decay
    Cost: as `expanded_mse`; not run.
    Score: not run.
    """
    return _run("expanded_mse_decay", loss="mse", learning_rate=1e-5, schedule="exponential")


def expanded_mse_fast() -> TrainConfig:
    """Expanded Wave-U-Net, learning rate 1e-4, MSE, float32.

    Command: av-sep train expanded_mse_fast --data RECORDS -o runs/expanded_mse_fast
    Cost: as `expanded_mse`; not run.
    Score: not run.
    """
    return _run("expanded_mse_fast", loss="mse", learning_rate=1e-4)


def expanded_sse_bfloat16() -> TrainConfig:
    """Expanded Wave-U-Net, learning rate 1e-5, summed squared error, bfloat16.

    Command: av-sep train expanded_sse_bfloat16 --data RECORDS -o runs/expanded_sse_bfloat16
    Cost: as `expanded_mse`, less where bfloat16 is fast; not run.
    Score: not run.
    """
    return _run("expanded_sse_bfloat16", loss="sse", learning_rate=1e-5, precision="bfloat16")


def conditioned_sse() -> TrainConfig:
    """Conditioned Wave-U-Net (outer product at the bottleneck), learning rate 1e-5, summed squared error, float32.

    Command: av-sep train conditioned_sse --data RECORDS -o runs/conditioned_sse
    Cost: as `expanded_mse`, with half as many weights again; not run.
    Score: not run.
    """
    return _run("conditioned_sse", conditioning="multiplicative", loss="sse", learning_rate=1e-5)
