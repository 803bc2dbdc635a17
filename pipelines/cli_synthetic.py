"""`av-sep prepare synthetic`: an ensemble dataset for those who have none."""

import re
import sys

import click

from av_sep.errors import ParameterError
from av_sep.instruments import URMP_13
from pipelines.cli_errors import one_line_errors
from pipelines.cli_options import debug_option, quiet_option
from pipelines.cli_output import say
from pipelines.cli_paths import PATH
from pipelines.progress import TerminalProgress


@click.command()
@click.option("-o", "--output", required=True, type=PATH, help="The dataset's folder.")
@click.option("--pieces", "num_pieces", default=100, show_default=True, type=click.IntRange(1))
@click.option("--seconds", default=30.0, show_default=True, help="Length of a piece.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0))
@click.option("--notes", type=PATH, help="Recorded notes: <library>/<instrument>/<files>.")
@click.option(
    "--soundfont", "soundfonts", multiple=True, type=PATH,
    help="General MIDI .sf2 or .sf3; may be repeated. Without sounds of any kind, Debian's are looked for.",
)
@click.option("--scores", type=PATH, help="MusicXML or MIDI; composed if not given.")
@click.option("--pictures", type=PATH, help="<instrument>/<files>; drawn if not given.")
@click.option("--instruments", help="What may play, e.g. vn,va,vc; all that there are sounds for if not given.")
@click.option("--players", default="2-5", show_default=True, help="How many play at once.")
@click.option("--sample-rate", "sample_rate_hz", default=48000, show_default=True, help="Hz.")
@click.option("--channels", "num_channels", default=2, show_default=True, type=click.IntRange(1, 2))
@click.option("--video/--no-video", default=True, show_default=True)
@click.option("--processes", type=click.IntRange(1), show_default="one per core")
@quiet_option
@debug_option
def synthetic(output, players, instruments, processes, quiet, debug, **settings) -> None:  # fmt: skip
    """Make chamber pieces with exact stems, notes, film and boxes, in URMP's layout.

    A run that was stopped goes on where it ended; the same settings give the same bytes.
    """

    def run() -> None:
        from av_sep.datasets.synthetic.config import SyntheticConfig
        from av_sep.datasets.synthetic.generate import generate
        from pipelines.workers import available_cores

        config = SyntheticConfig(
            min_players=_players(players)[0],
            max_players=_players(players)[1],
            instruments=None if instruments is None else URMP_13.parse_list(instruments),
            **settings,
        )
        with TerminalProgress("synthetic", shown=not quiet and sys.stderr.isatty(), unit="pieces") as bar:
            pieces = generate(config, output, processes or available_cores(), bar)
        if not quiet:
            say(f"{len(pieces)} pieces in {output}\nnext: av-sep prepare urmp {output} -o RECORDS")

    one_line_errors(run, debug=debug)


def _players(text: str) -> tuple[int, int]:
    """Lowest and highest number of players from "2-5" or "3"."""
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", text)
    if match is None:
        raise ParameterError(f"Expected a number of players or a range, e.g. 2-5. Received: {text!r}")
    return int(match[1]), int(match[2] or match[1])
