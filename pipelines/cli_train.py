"""`av-sep train` and `av-sep export`."""

import json
import sys

import click

from pipelines.cli_errors import one_line_errors
from pipelines.cli_options import debug_option, quiet_option
from pipelines.cli_output import say
from pipelines.cli_paths import LOCATION, PATH
from pipelines.progress import TerminalProgress


@click.command(short_help="Train a model by a recipe.")
@click.argument("recipe")
@click.option("--data", required=True, type=LOCATION, help="Records (av-sep prepare) or a bank of solos.")
@click.option("-o", "--output", required=True, type=LOCATION, help="The run's folder; one that was stopped goes on.")
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="Change a setting, e.g. batch_size=16.")
@click.option("--accelerator", default="auto", show_default=True, type=click.Choice(["auto", "cpu", "gpu", "tpu"]))
@click.option("--precision", type=click.Choice(["float32", "bfloat16"]), help="The recipe's by default.")
@click.option("--backend", type=click.Choice(["tensorflow", "jax"]), help="TensorFlow by default; JAX on a TPU.")
@click.option("--devices", "num_devices", type=click.IntRange(1), help="How many; all by default (of CPUs, one).")
@click.option("--show", is_flag=True, help="Print the resolved settings and stop.")
@quiet_option
@debug_option
def train(
    recipe, data, output, assignments, accelerator, precision, backend, num_devices, show, quiet, debug
) -> None:
    """Train a model by its RECIPE (see av-sep recipes), or go on where a run in the same folder stopped."""

    def run() -> None:
        from pipelines.configs import find_recipe
        from pipelines.distribution import choose_backend
        from pipelines.overrides import override

        changes = [*assignments, *([f"precision={precision}"] if precision else [])]
        config = override(find_recipe(recipe)(), changes)
        if show:
            from dataclasses import asdict

            say(json.dumps(asdict(config), indent=2))
            return
        choose_backend(accelerator, backend, num_devices)
        from pipelines.train import train as run_training

        with TerminalProgress(recipe, shown=not quiet and sys.stderr.isatty(), unit="steps") as bar:
            done = run_training(
                config, data, output, accelerator=accelerator, num_devices=num_devices, progress=bar
            )
        if not quiet:
            say(_described(done))

    one_line_errors(run, debug=debug)


def _described(done) -> str:
    best = done.history.loc[done.history["val_loss"].idxmin()]
    lines = [
        f"{len(done.history)} epochs on {done.devices.describe()}",
        f"lowest validation loss {best['val_loss']:.4g} after {int(best['step'])} steps",
        f"{done.history['examples_per_second'].median():.3g} examples/s,"
        f" {done.history['hours_per_hour'].median():.3g} hours of audio per hour",
        f"model: {done.best}",
    ]
    return "\n".join(lines)


@click.command()
def recipes() -> None:
    """List the training recipes."""
    from pipelines.configs import RECIPES

    for name, recipe in RECIPES.items():
        say(f"{name}: {(recipe.__doc__ or '').strip().splitlines()[0]}")


@click.command(short_help="Write a run's model as one .keras file.")
@click.argument("model", type=PATH)
@click.option("-o", "--output", required=True, type=PATH, help="The .keras file to write.")
@click.option("--float16/--float32", default=True, show_default=True, help="How weights are stored.")
@click.option("--overwrite", is_flag=True, help="Replace an existing file.")
@debug_option
def export(model, output, float16, overwrite, debug) -> None:
    """Write one file from a run's folder (its best model) or a .keras file, for `separate --model`."""

    def run() -> None:
        from pipelines.export import export as run_export

        written = run_export(model, output, float16=float16, overwrite=overwrite)
        say(f"{written}: {written.stat().st_size / 1e6:.1f} MB")

    one_line_errors(run, debug=debug)
