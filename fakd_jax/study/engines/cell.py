"""One cell of a study: trained and evaluated as an ordinary run, marked, and stressed."""

from __future__ import annotations

import dataclasses
import time

from fakd_jax.data.splits import kind_for
from fakd_jax.errors import NotFiniteError, UserError
from fakd_jax.experiment.resume import PLACE_KEYS
from fakd_jax.experiment.run import train_and_evaluate
from fakd_jax.experiment.teacher_and_student import ExperimentData
from fakd_jax.study.cells import Cell, Study
from fakd_jax.study.results import (
    is_evaluated,
    mark_evaluated,
    mark_failed,
    mark_stressed,
    read_results,
    require_same_data,
)
from fakd_jax.study.stress import StressPlan, stress_cell
from fakd_jax.training.metric_log import LOGGER, logging_to

# A cell's teacher is the study's own, wherever the study lies: a moved study can be resumed.
CELL_PLACE_KEYS = PLACE_KEYS | {"teacher.checkpoint"}


def run_cell(study: Study, cell: Cell, data: ExperimentData) -> None:
    """Trains and evaluates one cell, or resumes it, and marks how it ended.

    Where the study asks for it, the cell's network is then measured under shifts; a cell that was
    evaluated before goes on from there. The log goes to the cell's own workdir too. A cell whose
    loss is not finite is marked as failed.

    Args:
      study: the cell's.
      cell: the caller's alone, see :class:`fakd_jax.study.engines.claims.Claims`.
      data: the cell's, opened.

    Raises:
      UserError: the data changed since other cells ran, or has no such split; or an error in the
        cell's run.
      KeyboardInterrupt: interrupted, after saving.
    """
    evaluated = dataclasses.replace(study, stress=None)  # whether stressed or not
    require_same_data(read_results(evaluated), data.dataset.fingerprint)
    if kind_for(cell.split, data.dataset) != cell.split:  # its results would have a wrong name
        raise UserError(
            f"{data.dataset.source} has no splits of its own, hence no {cell.split} one; use "
            "config.study.splits=grouped or kfold"
        )
    with logging_to(study.folder(cell), console=False):
        try:
            if not is_evaluated(study, cell):
                _train_and_evaluate(study, cell, data)
            if study.stress:
                _stress(study, cell, study.stress)
        except NotFiniteError as error:
            LOGGER.warning("%s failed: %s; continuing with the other cells", cell, error)
            mark_failed(study, cell, str(error))
        except UserError as error:
            raise UserError(f"{cell}: {error}") from error


def _train_and_evaluate(study: Study, cell: Cell, data: ExperimentData) -> None:
    settings, started = study.settings[cell], time.monotonic()
    # A student's teacher has a cell, and a report, of its own.
    train_and_evaluate(
        settings,
        study.folder(cell),
        roles=(settings.train,),
        data=data,
        latency=False,
        log_report=LOGGER.debug,
        place_keys=CELL_PLACE_KEYS,
    )
    mark_evaluated(study, cell, time.monotonic() - started)


def _stress(study: Study, cell: Cell, plan: StressPlan) -> None:
    started = time.monotonic()
    stress_cell(study.settings[cell], study.folder(cell), plan)
    mark_stressed(study, cell, plan, time.monotonic() - started)
