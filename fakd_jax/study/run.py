"""Runs a study cell by cell, each an ordinary training run, and reports after every one."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from fakd_jax.errors import NotFiniteError, UserError
from fakd_jax.experiment.resume import PLACE_KEYS, keep_config
from fakd_jax.experiment.run import train_and_evaluate
from fakd_jax.experiment.teacher_and_student import ExperimentData, open_experiment_data
from fakd_jax.runs.files import (
    FAILED_FILE,
    STUDY_FIGURE_FILE,
    STUDY_FILE,
    STUDY_ROWS_FILE,
    STUDY_TABLE_FILE,
)
from fakd_jax.runtime.atomic_files import write_whole
from fakd_jax.study.cells import Cell, cell_config, cells_of, check_study
from fakd_jax.study.failures import failures, mark_failed
from fakd_jax.study.figure import plot_study
from fakd_jax.study.progress import seconds_left, time_left
from fakd_jax.study.results import collect, is_finished, mark_finished, require_same_data
from fakd_jax.study.summary import summarise
from fakd_jax.study.table import study_rows, study_table
from fakd_jax.training.metric_log import LOGGER, start_logging

# The teacher of a cell is the study's own, wherever the study lies: a moved one goes on.
CELL_PLACE_KEYS = PLACE_KEYS | {"teacher.checkpoint"}


def run_study(config: ConfigDict, workdir: Path) -> dict[str, Any]:
    """Runs what is unfinished of a study, and reports on all of it.

    A workdir takes more seeds, splits or methods at any time: what has finished stays. A cell whose
    loss ceases to be finite is left out, with those that need it for a teacher.

    Args:
      config: as `configs/study.py` has it.
      workdir: of the study: `<split>/seed<k>/<method>/` are its cells' workdirs; `study.json`,
        `study.txt`, `study.csv` and `study.png` are made anew after every cell.

    Returns:
      What `study.json` holds.

    Raises:
      UserError: a config that is no study's, a workdir of another one, data that changed since
        its cells ran, or what a cell's run says; where cells had to be left out, after all others.
      KeyboardInterrupt: interrupted; the same call goes on.
    """
    check_study(config)
    shared = {"base": config.base.to_dict(), "changes": config.changes.to_dict()}
    keep_config(shared, workdir, {f"base.{key}" for key in PLACE_KEYS})
    cells = cells_of(config)
    try:
        _run_cells(config, cells, workdir)
    except KeyboardInterrupt:
        finished = sum(is_finished(workdir, cell) for cell in cells)
        LOGGER.info("%d of %d cells have ended; the same command goes on", finished, len(cells))
        raise
    report = write_report(config, workdir)
    LOGGER.info("\n%s", study_table(report))
    LOGGER.info("report: %s (study.csv, study.json, study.png, study.txt)", workdir)
    if failed := failures(config, workdir, cells):
        cell, reason = next(iter(failed.items()))
        raise UserError(
            f"{len(failed)} of {len(cells)} cells failed and are missing in the report, the first "
            f"{cell}: {reason}; choose another --workdir and other settings, or delete "
            f"{workdir / cell.folder / FAILED_FILE} to have it tried again"
        )
    return report


def write_report(config: ConfigDict, workdir: Path) -> dict[str, Any]:
    """Writes the four files of the report from the cells that have finished.

    Returns:
      What `study.json` holds.

    Raises:
      UserError: a finished cell's results are damaged, or a file cannot be written.
    """
    cells = cells_of(config)
    results = collect(config, workdir, cells)
    report = summarise(config, results, failures(config, workdir, cells))
    write_whole(workdir / STUDY_FILE, json.dumps(report, indent=2, allow_nan=False) + "\n")
    write_whole(workdir / STUDY_ROWS_FILE, study_rows(report))
    write_whole(workdir / STUDY_TABLE_FILE, study_table(report))
    plot_study(report, workdir / STUDY_FIGURE_FILE)
    return report


def _run_cells(config: ConfigDict, cells: Sequence[Cell], workdir: Path) -> None:
    """Runs the cells that have not finished, one after the other, and reports after each."""
    data: ExperimentData | None = None
    for number, cell in enumerate(cells, start=1):
        failed = failures(config, workdir, cells)
        if is_finished(workdir, cell) or cell in failed:
            continue
        remaining = [
            other for other in cells if not is_finished(workdir, other) and other not in failed
        ]
        finished = collect(config, workdir, cells)
        left = time_left(seconds_left(remaining, finished))
        LOGGER.info("cell %d of %d: %s; %s", number, len(cells), cell, left)
        # All cells read the same images: they are decoded once.
        data = data or open_experiment_data(cell_config(config, cell, workdir))
        require_same_data(finished, data.dataset.fingerprint)
        _run_cell(config, cell, workdir, data)
        write_report(config, workdir)


def _run_cell(config: ConfigDict, cell: Cell, workdir: Path, data: ExperimentData) -> None:
    """Trains and evaluates one cell, its log in its own workdir too; notes how it ended."""
    folder = workdir / cell.folder
    made = cell_config(config, cell, workdir)
    end_logging = start_logging(folder, console=False)
    started = time.monotonic()
    try:
        # The teacher of a student's cell has a cell, and a report, of its own.
        train_and_evaluate(
            made,
            folder,
            roles=(made.train,),
            data=data,
            latency=False,
            log_report=LOGGER.debug,
            place_keys=CELL_PLACE_KEYS,
        )
    except NotFiniteError as error:
        LOGGER.warning("%s failed: %s; the study goes on with the others", cell, error)
        mark_failed(workdir, cell, str(error))
    except UserError as error:
        raise UserError(f"{cell}: {error}") from error
    else:
        mark_finished(config, workdir, cell, time.monotonic() - started)
    finally:
        end_logging()
