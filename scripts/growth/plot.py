"""Draws how processor time and memory grow with the number of images.

    python scripts/growth/plot.py DIR [FILE.json ...]

Reads `DIR/growth.json` and further files of that form, and writes `DIR/growth.png`. A file is a
list of rows, `{"what": "audit", "n": 1000, "seconds": 12.3, "peak_rss_gib": 1.1}`; other keys are
kept.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FILE, FIGURE = "growth.json", "growth.png"
Row = Mapping[str, Any]


def main(argv: list[str]) -> None:
    if not argv:
        raise SystemExit(__doc__)
    folder = Path(argv[0])
    files = [folder / FILE, *map(Path, argv[1:])]
    rows = [row for file in files if file.is_file() for row in json.loads(file.read_text())]
    draw(rows, folder / FIGURE)


def keep_rows(folder: Path, rows: Sequence[Row]) -> None:
    """Puts rows into `growth.json`, in place of those of the same `what` and `n`, and draws all."""
    file = folder / FILE
    before = json.loads(file.read_text()) if file.is_file() else []
    new = {(row["what"], row["n"]) for row in rows}
    kept = [row for row in before if (row["what"], row["n"]) not in new]
    rows = sorted([*kept, *rows], key=lambda row: (row["what"], row["n"]))
    file.write_text(json.dumps(rows, indent=2) + "\n")
    draw(rows, folder / FIGURE)


def draw(rows: Sequence[Row], file: Path) -> None:
    """Two panels over the number of images: seconds and peak memory, one line per `what`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    panels = figure.subplots(1, 2)
    for panel, key, label in zip(
        panels, ("seconds", "peak_rss_gib"), ("processor time, s", "peak memory, GiB"), strict=True
    ):
        for what in sorted({row["what"] for row in rows}):
            chosen = sorted((row["n"], row[key]) for row in rows if row["what"] == what)
            panel.plot(*zip(*chosen, strict=True), marker="o", label=what)
        panel.set(xscale="log", yscale="log", xlabel="images", ylabel=label)
        panel.grid(True, which="major", alpha=0.3)
    panels[0].legend(frameon=False)
    figure.savefig(file, dpi=150)


if __name__ == "__main__":
    main(sys.argv[1:])
