"""Pack a bank of solo lines into a few FLAC files that can be sent, or unpack one.

    python benchmarks/pack_bank.py BANK PACKED
    python benchmarks/pack_bank.py --unpack PACKED BANK

Training reads a packed bank as it is (`av-sep train … --data PACKED`); see `av_sep.datasets.packed_bank`.
"""

from pathlib import Path

import click

from av_sep.datasets.packed_bank import MAX_FILE_BYTES, pack_bank, unpack_bank


@click.command()
@click.argument("bank", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("output", type=click.Path(file_okay=False, path_type=Path))
@click.option("--max-file-bytes", default=MAX_FILE_BYTES, show_default=True, help="No file becomes larger.")
@click.option("--unpack", is_flag=True, help="BANK is a packed one; write the bank it was made from.")
def main(bank: Path, output: Path, max_file_bytes: int, unpack: bool) -> None:
    """Write a packed copy of BANK to OUTPUT."""
    if unpack:
        unpack_bank(bank, output)
        return
    files = pack_bank(bank, output, max_file_bytes)
    sizes = [path.stat().st_size for path in files]
    click.echo(f"{len(files)} files, {sum(sizes) / 1e6:.1f} MB, the largest {max(sizes) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
