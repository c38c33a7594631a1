"""One cell of a study: trained and evaluated as an ordinary run, then marked."""

from __future__ import annotations

import time

from fakd_jax.errors import NotFiniteError, UserError
from fakd_jax.experiment.resume import PLACE_KEYS
from fakd_jax.experiment.run import train_and_evaluate
from fakd_jax.experiment.teacher_and_student import ExperimentData
from fakd_jax.study.cells import Cell, Study
from fakd_jax.study.results import mark_failed, mark_finished, read_results, require_same_data
from fakd_jax.training.metric_log import LOGGER, logging_to

# A cell's teacher is the study's own, wherever the study lies: a moved study can be resumed.
CELL_PLACE_KEYS = PLACE_KEYS | {"teacher.checkpoint"}


def run_cell(study: Study, cell: Cell, data: ExperimentData) -> None:
    """Trains and evaluates one cell, or resumes it, and marks how it ended.

    The log goes to the cell's own workdir too. A cell whose loss is not finite is marked as failed.

    Args:
      study: the cell's.
      cell: the caller's alone, see :class:`fakd_jax.study.engines.claims.Claims`.
      data: the cell's, opened.

    Raises:
      UserError: the data changed since other cells ran, or an error in the cell's run.
      KeyboardInterrupt: interrupted, after saving.
    """
    require_same_data(read_results(study), data.dataset.fingerprint)
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
