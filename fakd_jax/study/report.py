"""The report of a study, finished or not: `study.json`, `.txt`, `.csv` and `.png`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from fakd_jax.reporting.numbers import duration
from fakd_jax.runs.files import (
    STUDY_FIGURE_FILE,
    STUDY_FILE,
    STUDY_ROWS_FILE,
    STUDY_TABLE_FILE,
)
from fakd_jax.runtime.atomic_files import write_whole
from fakd_jax.study.cells import Cell, Study
from fakd_jax.study.figure import plot_study
from fakd_jax.study.results import CellResult, failures, read_results
from fakd_jax.study.summary import summarise
from fakd_jax.study.table import study_rows, study_table


def write_report(study: Study) -> dict[str, Any]:
    """Writes the four files of the report, and returns the content of `study.json`.

    Raises:
      UserError: a finished cell's results are damaged, or a file cannot be written.
    """
    report = summarise(study, read_results(study), failures(study))
    text = json.dumps(report, indent=2, allow_nan=False) + "\n"
    write_whole(study.workdir / STUDY_FILE, text)
    write_whole(study.workdir / STUDY_ROWS_FILE, study_rows(report))
    write_whole(study.workdir / STUDY_TABLE_FILE, study_table(report))
    plot_study(report, study.workdir / STUDY_FIGURE_FILE)
    return report


def time_left(remaining: Sequence[Cell], finished: Sequence[CellResult]) -> str:
    """An estimate in words of the remaining cells' time, one after the other.

    A cell takes the mean of its method's finished cells, else of all finished cells.
    """
    if not finished:
        return "time left unknown until a cell has finished"
    seconds: dict[str, list[float]] = {}
    for result in finished:
        seconds.setdefault(result.cell.method, []).append(result.seconds)
    mean = fmean(result.seconds for result in finished)
    left = sum(fmean(seconds.get(cell.method, [mean])) for cell in remaining)
    return f"about {duration(left)} of work left"
