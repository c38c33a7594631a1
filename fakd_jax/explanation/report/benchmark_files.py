"""What a scorecard leaves on disk: figures as JSON and CSV, a table, a picture, a gallery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fakd_jax.explanation.benchmark.cells import CELLS
from fakd_jax.explanation.benchmark.summary import summarise
from fakd_jax.explanation.files import json_bytes
from fakd_jax.explanation.report.benchmark_figure import plot_scorecard
from fakd_jax.explanation.report.benchmark_table import (
    class_tables,
    scorecard_rows,
    scorecard_table,
)
from fakd_jax.explanation.report.gallery.page import gallery
from fakd_jax.explanation.report.gallery.pictures import stored_pictures
from fakd_jax.runtime.atomic_files import write_whole

SCORECARD_FILE = "scorecard.json"
TABLE_FILE, ROWS_FILE = "scorecard.txt", "scorecard.csv"
FIGURE_FILE, GALLERY_FILE = "scorecard.png", "gallery.html"


def write_scorecard(
    output: Path,
    cells: Sequence[Mapping[str, Any]],
    methods: Sequence[str],
    controls: Sequence[str],
    facts: Mapping[str, Any],
    groups: Mapping[str, int] | None,
) -> dict[str, Any]:
    """Sums up cells and writes everything that is made of them.

    Args:
      output: the folder in which `cells/` lies.
      cells: of all images, those of one image beside each other.
      methods: judged.
      controls: held against.
      facts: config, checkpoint and data, as JSON-able values.
      groups: group of copies by id, where an audit knows them.

    Returns:
      What `scorecard.json` holds.
    """
    summary = {**facts, **summarise(cells, methods, controls, groups=groups)}
    ids = list(dict.fromkeys(cell["id"] for cell in cells))
    plot_scorecard(summary, output / FIGURE_FILE)
    page = gallery(
        summary,
        cells,
        stored_pictures(output / CELLS, ids),
        scorecard_picture=(output / FIGURE_FILE).read_bytes(),
    )
    for name, content in {
        SCORECARD_FILE: json_bytes(summary),
        TABLE_FILE: f"{scorecard_table(summary)}\n\n{class_tables(summary)}".encode(),
        ROWS_FILE: scorecard_rows(summary).encode(),
        GALLERY_FILE: page.encode(),
    }.items():
        write_whole(output / name, content)
    return summary
