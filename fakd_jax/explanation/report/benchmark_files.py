"""What a benchmark leaves on disk: figures as JSON and CSV, a table, a picture, a gallery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fakd_jax.explanation.benchmark.cells import CELLS
from fakd_jax.explanation.benchmark.summary import summarise
from fakd_jax.explanation.files import json_bytes
from fakd_jax.explanation.report.benchmark_figure import plot_benchmark
from fakd_jax.explanation.report.benchmark_table import (
    benchmark_rows,
    benchmark_table,
    class_tables,
)
from fakd_jax.explanation.report.gallery.page import gallery
from fakd_jax.explanation.report.gallery.pictures import stored_pictures
from fakd_jax.runs.files import (
    BENCHMARK_FIGURE_FILE,
    BENCHMARK_FILE,
    BENCHMARK_ROWS_FILE,
    BENCHMARK_TABLE_FILE,
    GALLERY_FILE,
)
from fakd_jax.runtime.atomic_files import write_whole


def write_benchmark(
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
      What `benchmark.json` holds.
    """
    summary = {**facts, **summarise(cells, methods, controls, groups=groups)}
    ids = list(dict.fromkeys(cell["id"] for cell in cells))
    plot_benchmark(summary, output / BENCHMARK_FIGURE_FILE)
    page = gallery(
        summary,
        cells,
        stored_pictures(output / CELLS, ids),
        benchmark_picture=(output / BENCHMARK_FIGURE_FILE).read_bytes(),
    )
    for name, content in {
        BENCHMARK_FILE: json_bytes(summary),
        BENCHMARK_TABLE_FILE: f"{benchmark_table(summary)}\n\n{class_tables(summary)}".encode(),
        BENCHMARK_ROWS_FILE: benchmark_rows(summary).encode(),
        GALLERY_FILE: page.encode(),
    }.items():
        write_whole(output / name, content)
    return summary
