"""What each choice is worth: trains a small conditioned Wave-U-Net many times, with one thing changed in each.

    python benchmarks/ablation.py --bank BANK --solos DIR --output RUNS [--steps 1000] [--only base,loss_l1]

All runs have the same data, seed, size and number of steps. Every one is then scored on the mixtures of
`benchmarks/score_models.py`, of sources that no run was trained on: mean SI-SDR gain over the mixture, and what the
change cost or won on the same stems, with the standard error over mixtures. `RUNS/ablation.md` has the table. Runs
that are finished are not repeated, and one that was stopped goes on. A run each: what the seed decides is in no error.
"""

import argparse
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from mixtures import Example, make_examples, read_data
from score_models import score

from audio.models import load_model, make_separator
from audio.separator import Separator

RECIPE = "wave_unet_conditioned"
BASE = "base"
COMMON = (
    "start_from=null", "precision=bfloat16", "model.num_filters=8", "model.wiener_frame_length=null",
    "model.mixture_consistency=true", "segment_samples=24576", "batch_size=8", "learning_rate=7e-4", "num_epochs=5",
    "patience=null",
)  # fmt: skip

# What differs from the base, as `av-sep train --set` takes it.
VARIANTS: dict[str, tuple[str, ...]] = {
    BASE: (),
    "seed_1": ("seed=1",),
    "concat": ('model.conditioning="concat"',),
    "additive": ('model.conditioning="additive"',),
    "film": ('model.conditioning="film"',),
    "concat_at_input": ('model.conditioning="concat"', 'model.conditioning_site="input"'),
    "multiplicative_at_output": ('model.conditioning_site="output"',),
    "film_at_output": ('model.conditioning="film"', 'model.conditioning_site="output"'),
    "no_gate": ("model.gate=false",),
    "no_consistency": ("model.mixture_consistency=false",),
    "tanh": ('model.output_activation="tanh"',),
    "wiener_filter": ("model.wiener_frame_length=4096",),
    "wiener_filter_alone": ("model.wiener_frame_length=4096", "model.mixture_consistency=false"),
    "loss_l1": ('loss="l1"',),
    "loss_mse": ('loss="mse"',),
    "loss_si_sdr": ('loss="neg_si_sdr"',),
    "rate_1e-4": ("learning_rate=1e-4",),
    "rate_2e-3": ("learning_rate=2e-3",),
    "no_average": ("ema_momentum=null",),
    "float32": ("precision=float32",),
    "no_colour": ("mixing.colour_db=0",),
    "no_rooms": ("mixing.room_probability=0",),
    "true_labels": ("mixing.extra_label_probability=0",),
}


def train(name: str, bank: Path, run: Path, num_steps: int) -> None:
    """A run of a variant, or the rest of it, in a process of its own."""
    settings = (*COMMON, f"steps_per_epoch={num_steps // 5}", "warmup_steps=100", *VARIANTS[name])
    assignments = [part for setting in settings for part in ("--set", setting)]
    command = [sys.executable, "-m", "pipelines", "train", RECIPE, "--data", str(bank), "-o", str(run), *assignments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def gains_of(separators: Mapping[str, Separator], examples: Sequence[Example]) -> dict[str, np.ndarray]:
    """Mean SI-SDR gain (dB) over the stems of each mixture, `[num_examples]`, by system."""
    scored = [pd.DataFrame(score(example, separators)).assign(example=i) for i, example in enumerate(examples)]
    rows = pd.concat(scored).pivot_table(index="example", columns="system", values="si_sdr+")
    return {name: rows[name].to_numpy() for name in separators}


def table(gains: Mapping[str, Mapping[str, np.ndarray]]) -> pd.DataFrame:
    """One row per system: mean gain, and mean and standard error of the difference from the base, by data.

    Args:
        gains: by title of the data and name of the system, `[num_examples]`.
    """
    columns: dict[str, dict[str, str]] = {}
    for title, by_system in gains.items():
        columns[f"{title}: gain"] = {name: f"{values.mean():.2f}" for name, values in by_system.items()}
        differences = {name: values - by_system[BASE] for name, values in by_system.items() if name != BASE}
        columns[f"{title}: change"] = {
            name: f"{values.mean():+.2f} ± {values.std(ddof=1) / len(values) ** 0.5:.2f}"
            for name, values in differences.items()
        }
    return pd.DataFrame(columns).fillna("").rename_axis("system")


def markdown(table: pd.DataFrame) -> str:
    """The table as Markdown has it."""
    rows = [(table.index.name, *table.columns), ["---"] * (1 + table.shape[1]), *table.itertuples()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bank", type=Path, required=True)
    parser.add_argument("--solos", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--only", default=",".join(VARIANTS), help="variants, by name; the base belongs to any table")
    parser.add_argument("--count", type=int, default=40, help="mixtures of two and of three instruments, each")
    parser.add_argument("--seed", type=int, default=0, help="of the mixtures to score")
    options = parser.parse_args()
    chosen = [name for name in VARIANTS if name == BASE or name in options.only.split(",")]
    for name in chosen:
        print(name, flush=True)
        train(name, options.bank, options.output / name, options.steps)
    models = {"wiener": "wiener"} | {name: str(options.output / name / "best.keras") for name in chosen}
    separators = {name: make_separator(load_model(model)) for name, model in models.items()}
    gains = {}
    for title, (clips, seconds) in read_data(options.bank, options.solos).items():
        counts = (2, 3)
        examples = [e for n in counts for e in make_examples(clips, n, options.count, seconds, options.seed)]
        gains[title] = gains_of(separators, examples)
    text = markdown(table(gains))
    (options.output / "ablation.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
