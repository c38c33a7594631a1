"""Draws how processor time and memory grow with the number of images.

    python scripts/growth/plot.py DIR [FILE.json ...]

Reads `DIR/growth.json` and further files of that form, and writes `DIR/growth.png`. A file is a
list of rows, `{"what": "audit", "n": 1000, "seconds": 12.3, "peak_rss_gib": 1.1}`; other keys are
kept.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fakd_jax.cli.runner import CommandParser, run_command
from fakd_jax.errors import UserError
from fakd_jax.reporting.figures import new_figure, save_figure
from fakd_jax.runtime.atomic_files import write_whole

FILE, FIGURE = "growth.json", "growth.png"
Row = Mapping[str, Any]


def main(argv: list[str]) -> None:
    parser = CommandParser(prog="growth/plot.py", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help=f"holds {FILE}; {FIGURE} goes there")
    parser.add_argument("files", type=Path, nargs="*", help="more files of rows")
    flags = parser.parse_args(argv)
    for file in flags.files:
        if not file.is_file():
            raise UserError(f"there is no file {file}")
    rows = [row for file in (flags.folder / FILE, *flags.files) for row in read_rows(file)]
    if not rows:
        raise UserError(f"{flags.folder / FILE} has no rows to draw; give other files of rows")
    draw(rows, flags.folder / FIGURE)


def read_rows(file: Path) -> list[Row]:
    """The rows in a file; none if it does not exist."""
    return json.loads(file.read_text()) if file.is_file() else []


def keep_rows(folder: Path, rows: Sequence[Row]) -> None:
    """Puts rows into `growth.json`, in place of those of the same `what` and `n`, and draws all."""
    file = folder / FILE
    new = {(row["what"], row["n"]) for row in rows}
    kept = [row for row in read_rows(file) if (row["what"], row["n"]) not in new]
    rows = sorted([*kept, *rows], key=lambda row: (row["what"], row["n"]))
    write_whole(file, json.dumps(rows, indent=2) + "\n")
    draw(rows, folder / FIGURE)


def draw(rows: Sequence[Row], file: Path) -> None:
    """Two panels over the number of images: seconds and peak memory, one line per `what`."""
    from matplotlib.ticker import LogLocator

    figure = new_figure(width=10, height=4)
    panels = figure.subplots(1, 2)
    for panel, key, label in zip(
        panels, ("seconds", "peak_rss_gib"), ("processor time, s", "peak memory, GiB"), strict=True
    ):
        for what in sorted({row["what"] for row in rows}):
            chosen = sorted((row["n"], row[key]) for row in rows if row["what"] == what)
            panel.plot(*zip(*chosen, strict=True), marker="o", label=what)
        panel.set(xscale="log", yscale="log", xlabel="images or predictions", ylabel=label)
        panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_formatter("{x:,.7g}")
            axis.set_minor_formatter("")
        panel.grid(True, which="major", alpha=0.3)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    save_figure(figure, file)


if __name__ == "__main__":
    run_command(main)
