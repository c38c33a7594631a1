"""Checks and prepares a data set, and prints an inventory.

    python scripts/prepare_data.py --source DIR|ARCHIVE|kaggle|phantom --output DIR

The output is itself a source, on this machine or another one:
`python -m fakd_jax.train --config configs/fakd.py --config.data.source=DIR`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from fakd_jax.cli.checkpoint_flags import CLASS_MAP
from fakd_jax.cli.pixel_flags import add_pixel_flags
from fakd_jax.cli.runner import CommandParser, run_command
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.pixels.window import PixelRules
from fakd_jax.data.preparation import UNREADABLE, listed_problems
from fakd_jax.data.sources import open_dataset, save_prepared
from fakd_jax.errors import listed


def main(argv: list[str]) -> None:
    parser = CommandParser(prog="prepare_data.py", description=__doc__.splitlines()[0])
    parser.add_argument("--source", required=True, help="DIR, ARCHIVE, TABLE, kaggle or phantom")
    parser.add_argument("--output", required=True, type=Path, help="folder for the prepared data")
    parser.add_argument(
        "--unreadable",
        choices=UNREADABLE,
        default="error",
        help="refuse broken, tiny or huge images (default), or skip them",
    )
    parser.add_argument("--class-map", default="", metavar="NAME=CLASS,...", help=CLASS_MAP)
    add_pixel_flags(parser)
    flags = parser.parse_args(argv)
    start = time.monotonic()
    dataset = open_dataset(
        flags.source,
        cache_dir=flags.output,
        unreadable=flags.unreadable,
        rules=PixelRules.parse(flags.window, flags.slice_axis),
        class_map=flags.class_map,
    )
    save_prepared(dataset, flags.output)
    print(inventory(dataset))
    print(f"ready in     {time.monotonic() - start:.1f} s: --config.data.source={flags.output}")


def inventory(dataset: ImageDataset) -> str:
    """The content of a data set, as lines of text."""
    report = dataset.report
    lines = [
        f"source       {dataset.source} ({dataset.name}, version {dataset.version})",
        f"fingerprint  {dataset.fingerprint}",
        *_table(dataset.counts(), dataset.class_names),
        f"sizes        {_counted(report['sizes'])}",
        f"modes        {_counted(report['modes'])}",
        f"re-encoded   {_listed(report['reencoded'])}",
        f"unusable     {_listed(report['skipped'])}",
        f"other files  {_first(len(report['strays']), listed(report['strays']))}",
    ]
    return "\n".join(lines)


def _table(counts: Mapping[str, Mapping[str, int]], class_names: tuple[str, ...]) -> list[str]:
    """Number of images by class (rows) and split (columns), with sums."""
    rows = [["class", *counts, "all"]]
    for name in class_names:
        numbers = [by_class[name] for by_class in counts.values()]
        rows.append([name, *(f"{number:,}" for number in [*numbers, sum(numbers)])])
    sums = [sum(by_class.values()) for by_class in counts.values()]
    rows.append(["all", *(f"{number:,}" for number in [*sums, sum(sums)])])
    width = max(13, *(len(row[0]) + 2 for row in rows))
    return [row[0].ljust(width) + "".join(cell.rjust(9) for cell in row[1:]) for row in rows]


def _counted(counts: Mapping[str, int]) -> str:
    return listed([f"{name}: {number:,}" for name, number in counts.items()])


def _listed(problems: Mapping[str, str]) -> str:
    return _first(len(problems), listed_problems(problems))


def _first(number: int, names: str) -> str:
    return f"{number:,}: {names}" if number else "none"


if __name__ == "__main__":
    run_command(main)
