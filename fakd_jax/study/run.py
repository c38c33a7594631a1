"""Runs a study cell by cell, each an ordinary training run, and reports after every one."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from ml_collections import ConfigDict

from fakd_jax.errors import NotFiniteError, UserError
from fakd_jax.experiment.resume import PLACE_KEYS, keep_config
from fakd_jax.experiment.run import train_and_evaluate
from fakd_jax.experiment.teacher_and_student import ExperimentData, open_experiment_data
from fakd_jax.reporting.numbers import duration
from fakd_jax.runs.files import (
    FAILED_FILE,
    STUDY_FIGURE_FILE,
    STUDY_FILE,
    STUDY_ROWS_FILE,
    STUDY_TABLE_FILE,
)
from fakd_jax.runtime.atomic_files import write_whole
from fakd_jax.study.cells import Cell, Study, open_study
from fakd_jax.study.figure import plot_study
from fakd_jax.study.results import (
    CellResult,
    failures,
    is_finished,
    mark_failed,
    mark_finished,
    read_results,
    require_same_data,
)
from fakd_jax.study.summary import summarise
from fakd_jax.study.table import study_rows, study_table
from fakd_jax.training.metric_log import LOGGER, logging_to

# A cell's teacher is the study's own, wherever the study lies: a moved study can be resumed.
CELL_PLACE_KEYS = PLACE_KEYS | {"teacher.checkpoint"}


def run_study(config: ConfigDict, workdir: Path) -> dict[str, Any]:
    """Runs the unfinished cells of a study and reports on all of them.

    Seeds, splits and methods may be added at any time: finished cells stay. A cell whose loss is
    no longer finite is skipped, and so are the cells that need it as their teacher.

    Args:
      config: as in `configs/study.py`.
      workdir: has a workdir `<split>/seed<k>/<method>/` for each cell; `study.json`, `study.txt`,
        `study.csv` and `study.png` are rewritten after every cell.

    Returns:
      The content of `study.json`.

    Raises:
      UserError: not a study's config, the workdir of another study, data that changed since its
        cells ran, or an error in a cell's run; at the end, if cells had to be skipped.
      KeyboardInterrupt: interrupted; call again to resume.
    """
    study = open_study(config, workdir)
    shared = {"base": config.base.to_dict(), "changes": config.changes.to_dict()}
    keep_config(shared, workdir, {f"base.{key}" for key in PLACE_KEYS})
    try:
        _run_cells(study)
    except KeyboardInterrupt:
        count = f"{sum(is_finished(study, cell) for cell in study.cells)} of {len(study.cells)}"
        LOGGER.info("%s cells are finished; run the same command to resume", count)
        raise
    report = write_report(study)
    LOGGER.info("\n%s", study_table(report))
    LOGGER.info("report: %s (study.csv, study.json, study.png, study.txt)", workdir)
    if failed := failures(study):
        cell, reason = next(iter(failed.items()))
        raise UserError(
            f"{len(failed)} of {len(study.cells)} cells failed and are missing in the report, "
            f"first {cell}: {reason}; choose another --workdir and other settings, or delete "
            f"{study.folder(cell) / FAILED_FILE} to have it run again"
        )
    return report


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
    """An estimate in words: a cell takes the mean of its method's, else of all finished cells."""
    if not finished:
        return "time left unknown until a cell has finished"
    seconds: dict[str, list[float]] = {}
    for result in finished:
        seconds.setdefault(result.cell.method, []).append(result.seconds)
    mean = fmean(result.seconds for result in finished)
    left = sum(fmean(seconds.get(cell.method, [mean])) for cell in remaining)
    return f"about {duration(left)} left"


def _run_cells(study: Study) -> None:
    """Runs the unfinished cells one after the other, and reports after each."""
    data: ExperimentData | None = None
    for number, cell in enumerate(study.cells, start=1):
        failed = failures(study)
        remaining = [c for c in study.cells if c not in failed and not is_finished(study, c)]
        if cell not in remaining:
            continue
        finished = read_results(study)
        left = time_left(remaining, finished)
        LOGGER.info("cell %d of %d: %s; %s", number, len(study.cells), cell, left)
        # All cells use the same images, which are decoded once.
        data = data or open_experiment_data(study.settings[cell])
        require_same_data(finished, data.dataset.fingerprint)
        _run_cell(study, cell, data)
        write_report(study)


def _run_cell(study: Study, cell: Cell, data: ExperimentData) -> None:
    """Trains and evaluates one cell, with a log in its own workdir, and marks how it ended."""
    settings, folder = study.settings[cell], study.folder(cell)
    started = time.monotonic()
    with logging_to(folder, console=False):
        try:
            # A student's teacher has a cell, and a report, of its own.
            train_and_evaluate(
                settings,
                folder,
                roles=(settings.train,),
                data=data,
                latency=False,
                log_report=LOGGER.debug,
                place_keys=CELL_PLACE_KEYS,
            )
        except NotFiniteError as error:
            LOGGER.warning("%s failed: %s; continuing with the other cells", cell, error)
            mark_failed(study, cell, str(error))
        except UserError as error:
            raise UserError(f"{cell}: {error}") from error
        else:
            mark_finished(study, cell, time.monotonic() - started)
