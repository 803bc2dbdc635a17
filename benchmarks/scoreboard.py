"""Makes the README's scoreboard from nothing, on data that no packaged model was trained on.

    python benchmarks/scoreboard.py OUT --solos DATA/audio/real_solos --soundfont TimGM6mb.sf2 \\
        --notes DATA/audio/notes --pictures PICTURES

Two datasets are made under OUT/data, by seed: mixtures of two, three and four recorded solos (`--solos`, a folder
`<instrument>/<files>`; whole phrases of unrelated music), and chamber pieces with film from a soundfont and sample
libraries that were held out (`--libraries` of `--notes`), with pictures of players that were held out, too
(`--pictures`, a folder `<instrument>/<files>`: only its instruments play, since drawn players are no test of eyes).
Both are scored by `av-sep evaluate`, whose pages lie in OUT/real_solos and OUT/made; the tables go to
OUT/scoreboard.md. Everything resumes. `--soundfont`: pretty_midi (PyPI) brings TimGM6mb.sf2.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import numpy as np
import pandas as pd
import soundfile
from mixtures import read_solos

from av_sep.datasets.mixing import set_level
from av_sep.datasets.synthetic.config import SyntheticConfig
from av_sep.datasets.synthetic.generate import generate
from av_sep.instruments import URMP_13
from pipelines.evaluate import Evaluation, evaluate
from pipelines.evaluate.systems import FLOORS
from pipelines.evaluate.tables import SystemInfo, complete_systems, label_cost
from pipelines.progress import TerminalProgress
from pipelines.staging import staged_folder
from pipelines.workers import Workers, available_cores

RATE_HZ = 44100
MIXTURE_LEVEL_DB = -23.0
LEVEL_SPREAD_DB = 3.0
LONGEST_SECONDS = 10.0
HELD_OUT_LIBRARIES = "iowa,dsmolken.double-bass,EthanWiner.Soundfonts,karoryfer.weresax,Ixox.Flute"
METRICS = {"si_sdr_improvement": "SI-SDR gain", "sdr_v4": "SDR v4"}
TOLD = {"true": "true labels", "all": "no labels: any of the 13 may play"}
FEWEST_TRACKS = 5  # a median over fewer says little


def write_solo_mixtures(solos: Path, folder: Path, sizes: Sequence[int], count: int, seed: int) -> None:
    """Mixtures of real solos as tracks `<n>_<i>/<instrument>.flac`: which, from where and how loud is drawn by seed."""
    waveforms = read_solos(solos, RATE_HZ)
    for size in sizes:
        rng = np.random.default_rng((seed, size))
        for i in range(count):
            names = sorted(rng.choice(sorted(waveforms), size, replace=False), key=URMP_13.index)
            stems = _crops([waveforms[name][rng.integers(len(waveforms[name]))] for name in names], rng)
            track = folder / f"{size}_{i:03d}"
            track.mkdir(parents=True, exist_ok=True)
            for name, stem in zip(names, set_level(stems, MIXTURE_LEVEL_DB)):
                # 24 bits, so that the sum of the stems is their mixture far below anything that is measured.
                soundfile.write(track / f"{name}.flac", stem, RATE_HZ, subtype="PCM_24")


def _crops(waveforms: Sequence[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Crops of one length and about equal loudness, `[num_sources, time, 1]`."""
    length = min(int(LONGEST_SECONDS * RATE_HZ), *(len(waveform) for waveform in waveforms))
    crops = []
    for waveform in waveforms:
        start = rng.integers(len(waveform) - length + 1)
        crop = waveform[start : start + length]
        level = 10 ** (rng.normal(0, LEVEL_SPREAD_DB) / 20)
        crops.append(level * crop / (np.sqrt(np.mean(crop**2)) + 1e-9))
    return np.stack(crops)[..., None].astype(np.float32)


def make_pieces(folder: Path, notes: Path | None, libraries: str, **settings) -> None:
    """Chamber pieces in URMP's layout from sounds and pictures that nothing was trained on."""
    if notes is not None:
        chosen = folder.with_name("held_out_notes")
        chosen.mkdir(parents=True, exist_ok=True)
        for library in libraries.split(","):
            link = chosen / library
            if not link.exists():
                link.symlink_to((notes / library).resolve(), target_is_directory=True)
        notes = chosen
    with TerminalProgress("made", shown=True, unit="pieces") as bar:
        generate(SyntheticConfig(notes=notes, **settings), folder, available_cores(), bar)


def markdown(title: str, done: Evaluation) -> str:
    """A dataset's tables: medians [intervals] by number of sources, by true labels and without any; what detected ones
    cost."""
    summary = done.summary[done.summary["group"] == "num_sources"]
    num_tracks = summary.groupby("value")["num_tracks"].max()
    sizes = sorted((size for size in num_tracks.index if num_tracks[size] >= FEWEST_TRACKS), key=int)
    counts = ", ".join(f"{num_tracks[size]} of {size} instruments" for size in sizes)
    lines = [f"**{title}**, {done.tables.tracks['track'].nunique()} tracks ({counts})", ""]
    systems = complete_systems(done.tables.tracks, done.systems)
    for labels, head in TOLD.items():
        if labels in set(summary["labels"]):
            lines += [*_table(head, summary[summary["labels"] == labels], systems, sizes), ""]
    return "\n".join([*lines, *_label_costs(done, systems)])


def _table(head: str, summary: pd.DataFrame, systems: Sequence[SystemInfo], sizes: Sequence[str]) -> Iterator[str]:
    """One row for each system that has scores."""
    columns = [f"{name}, {size}" for name in METRICS.values() for size in sizes]
    yield f"| {head} | {' | '.join(columns)} |"
    yield "|---" * (1 + len(columns)) + "|"
    for system in systems:
        own = summary[summary["system"] == system.name]
        if not own.empty:
            yield f"| {system.title} | {' | '.join(_cell(own, metric, size) for metric in METRICS for size in sizes)} |"


def _label_costs(done: Evaluation, systems: Sequence[SystemInfo]) -> list[str]:
    costs = label_cost(done.tables.tracks).set_index("system")
    if costs.empty:
        return []
    lines = ["| detected labels | SI-SDR gain, true | detected | lost | stems | missed | leaks |", "|---" * 7 + "|"]
    for system in systems:
        if system.name in costs.index and system.name not in FLOORS[:2]:
            row = costs.loc[system.name]
            lost = _interval(row["median"], row["low"], row["high"])
            gains = f"{row['median_true']:.1f} | {row['median_detected']:.1f} | {lost}"
            counts = " | ".join(f"{row[name]:.0f}" for name in ("count", "missed", "leaks"))
            lines.append(f"| {system.title} | {gains} | {counts} |")
    return lines


def _cell(rows: pd.DataFrame, metric: str, size: str) -> str:
    row = rows[(rows["metric"] == metric) & (rows["value"] == size)]
    if row.empty:
        return ""
    return _interval(*(float(row[name].iloc[0]) for name in ("median", "low", "high")))


def _interval(median: float, low: float, high: float) -> str:
    # Adding zero turns "-0.0" into "0.0".
    median, low, high = (round(value, 1) + 0.0 for value in (median, low, high))
    return f"{median:.1f} [{low:.1f}, {high:.1f}]"


def _datasets(options: dict) -> Iterator[tuple[str, str, Path, dict]]:
    """Title, kind, folder and settings of each dataset that is asked for, made where it is not there yet."""
    data, sizes = options["output"] / "data", [int(size) for size in options["sizes"].split(",")]
    if options["solos"]:
        folder = data / "real_solos"
        if not folder.exists():
            with staged_folder(folder, overwrite=False) as staging:
                write_solo_mixtures(options["solos"], staging, sizes, options["mixtures"], options["seed"])
        yield "real_solos", "folder", folder, {"labels": ("true", "all")}
    if options["soundfont"]:
        folder = data / "made"
        pictures = options["pictures"]
        seen = None if pictures is None else tuple(n for n in URMP_13.names if (pictures / n).is_dir())
        make_pieces(
            folder, options["notes"], options["libraries"], soundfonts=(options["soundfont"],), instruments=seen,
            pictures=pictures, num_pieces=options["pieces"], seconds=options["seconds"],
            seed=options["seed"], min_players=min(sizes), max_players=max(sizes),
        )  # fmt: skip
        yield "made", "urmp", folder, {"labels": ("true", "all", "detected"), "frames_per_second": 0.5}


@click.command(help=(__doc__ or "").split("\n\n")[0])
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--solos", type=click.Path(path_type=Path), help="Recorded solos, <instrument>/<files>.")
@click.option("--soundfont", type=click.Path(path_type=Path), help="Held-out soundfont of the made pieces.")
@click.option("--notes", type=click.Path(path_type=Path), help="Recorded notes, <library>/<instrument>/<files>.")
@click.option("--libraries", default=HELD_OUT_LIBRARIES, show_default=True, help="Of --notes, those held out.")
@click.option("--pictures", type=click.Path(path_type=Path), help="Held-out pictures; drawn players if not given.")
@click.option("--models", default="default,classics,oracles", show_default=True)
@click.option("--sizes", default="2,3,4", show_default=True, help="Numbers of instruments.")
@click.option("--mixtures", default=20, show_default=True, help="Mixtures of solos for each number.")
@click.option("--pieces", default=24, show_default=True, help="Made pieces.")
@click.option("--seconds", default=16.0, show_default=True, help="Length of a made piece.")
@click.option("--seed", default=0, show_default=True)
@click.option("--processes", default=available_cores, show_default="one per core", type=click.IntRange(1))
def main(**options) -> None:
    tables = []
    for title, kind, folder, settings in _datasets(options):
        with TerminalProgress(title, shown=True, unit="tracks") as bar:
            done = evaluate(
                kind, folder, options["output"] / title, side="all", models=options["models"],
                workers=Workers(num_processes=options["processes"]), progress=bar, **settings,
            )  # fmt: skip
        tables.append(markdown(title, done))
        click.echo(f"\n{tables[-1]}\n")
    (options["output"] / "scoreboard.md").write_text("\n\n".join(tables) + "\n")


if __name__ == "__main__":
    main()
