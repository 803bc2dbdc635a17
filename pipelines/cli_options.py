"""Options that several commands have, each said once."""

import click

DETECTORS = "embedded, hub:<handle or folder>, labels:<file>, several with commas, or a joint model's .keras file"

threshold_option = click.option(
    "--threshold", type=click.FloatRange(0, 1),
    help="Confidence that an instrument must reach to be seen; where ears help, both together must reach 0.5,"
    " whatever this is.  [default: 0.4]",
)  # fmt: skip
fps_option = click.option(
    "--fps", "frames_per_second", default=1.0, show_default=True, help="Pictures looked at per second of video."
)
quiet_option = click.option("--quiet", is_flag=True, help="Print nothing but errors.")
debug_option = click.option("--debug", is_flag=True, help="Show the traceback of an error.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
