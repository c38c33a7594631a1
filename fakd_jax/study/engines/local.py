"""Runs the cells of a study in this process; several processes may share its workdir."""

from __future__ import annotations

import time

from fakd_jax.experiment.teacher_and_student import ExperimentData, open_experiment_data
from fakd_jax.runtime.precision import compute_dtype
from fakd_jax.study.cells import Study
from fakd_jax.study.engines.cell import run_cell
from fakd_jax.study.engines.claims import Claims
from fakd_jax.study.report import time_left, write_report
from fakd_jax.study.results import is_ready, read_results, unfinished
from fakd_jax.training.metric_log import LOGGER

POLL_SECONDS = 2.0


class LocalEngine:
    """This process, and others that were started with the same workdir."""

    def compute_dtype(self, name: str) -> str:
        """The precision called `name`; "auto" is this machine's."""
        return compute_dtype(name).name

    def run(self, study: Study) -> None:
        """Runs one unfinished cell after the other until all are finished; reports after each.

        A cell that another process has claimed is left to it; at the end this one waits for those.

        Raises:
          UserError: as :func:`run_cell`.
          KeyboardInterrupt: interrupted.
        """
        claims, numbers = Claims(), {cell: n for n, cell in enumerate(study.cells, start=1)}
        data: ExperimentData | None = None
        waiting = False
        while remaining := unfinished(study):
            for cell in remaining:
                if not is_ready(study, cell):
                    continue
                with claims.claim(study.folder(cell)) as claimed:
                    if not claimed or cell not in unfinished(study):
                        continue
                    waiting = False
                    left = time_left(unfinished(study), read_results(study))
                    LOGGER.info(
                        "cell %d of %d: %s; %s", numbers[cell], len(study.cells), cell, left
                    )
                    # All cells use the same images, which are decoded once.
                    data = data or open_experiment_data(study.settings[cell])
                    run_cell(study, cell, data)
                write_report(study)
                break
            else:
                if not waiting:
                    LOGGER.info("waiting for %d cells that others are working on", len(remaining))
                waiting = True
                time.sleep(POLL_SECONDS)
