"""Runs a study cell by cell, each an ordinary training run, and reports after every one."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from fakd_jax.ablation.cells import Cell, cell_config, cells_of, check_study
from fakd_jax.ablation.figure import plot_study
from fakd_jax.ablation.progress import seconds_left, time_left
from fakd_jax.ablation.results import collect, is_finished, mark_finished
from fakd_jax.ablation.summary import summarise
from fakd_jax.ablation.table import study_rows, study_table
from fakd_jax.errors import UserError
from fakd_jax.files import write_whole
from fakd_jax.training.experiment import ExperimentData, open_experiment_data
from fakd_jax.training.logbook import LOGGER, start_logging
from fakd_jax.training.settings import PLACE_KEYS, keep_config
from fakd_jax.trial import train_and_evaluate

# The teacher of a cell is the study's own, wherever the study lies: a moved one goes on.
CELL_PLACE_KEYS = PLACE_KEYS | {"teacher.checkpoint"}


def run_study(config: ConfigDict, workdir: Path) -> dict[str, Any]:
    """Runs what is unfinished of a study, and reports on all of it.

    A workdir takes more seeds, splits or methods at any time: what has finished stays.

    Args:
      config: as `configs/study.py` has it.
      workdir: of the study: `<split>/seed<k>/<method>/` are its cells' workdirs; `study.json`,
        `study.txt`, `study.csv` and `study.png` are made anew after every cell.

    Returns:
      What `study.json` holds.

    Raises:
      UserError: a config that is no study's, a workdir of another one, or what a cell's run says.
      KeyboardInterrupt: interrupted; the same call goes on.
    """
    check_study(config)
    shared = ConfigDict({"base": config.base.to_dict(), "changes": config.changes.to_dict()})
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
    return report


def write_report(config: ConfigDict, workdir: Path) -> dict[str, Any]:
    """Writes the four files of the report from the cells that have finished.

    Returns:
      What `study.json` holds.

    Raises:
      UserError: a finished cell's results are damaged, or a file cannot be written.
    """
    report = summarise(config, collect(config, workdir, cells_of(config)))
    write_whole(workdir / "study.json", json.dumps(report, indent=2, allow_nan=False) + "\n")
    write_whole(workdir / "study.csv", study_rows(report))
    write_whole(workdir / "study.txt", study_table(report))
    plot_study(report, workdir / "study.png")
    return report


def _run_cells(config: ConfigDict, cells: Sequence[Cell], workdir: Path) -> None:
    """Runs the cells that have not finished, one after the other, and reports after each."""
    data: ExperimentData | None = None
    for number, cell in enumerate(cells, start=1):
        if is_finished(workdir, cell):
            continue
        remaining = [other for other in cells if not is_finished(workdir, other)]
        left = time_left(seconds_left(remaining, collect(config, workdir, cells)))
        LOGGER.info("cell %d of %d: %s; %s", number, len(cells), cell, left)
        # All cells read the same images: they are decoded once.
        data = data or open_experiment_data(cell_config(config, cell, workdir))
        _run_cell(config, cell, workdir, data)
        write_report(config, workdir)


def _run_cell(config: ConfigDict, cell: Cell, workdir: Path, data: ExperimentData) -> None:
    """Trains and evaluates one cell, its log in its own workdir too; notes that it is done."""
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
    except UserError as error:
        raise UserError(f"{cell}: {error}") from error
    finally:
        end_logging()
    mark_finished(workdir, cell, time.monotonic() - started)
