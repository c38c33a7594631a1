"""One run: the networks of a config trained, their curves plotted, and both evaluated."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from fakd_jax.errors import UserError
from fakd_jax.evaluation.report.plots import plot_curves
from fakd_jax.evaluation.run import evaluate_checkpoint
from fakd_jax.experiment.resume import PLACE_KEYS
from fakd_jax.experiment.settings import ExperimentConfig
from fakd_jax.experiment.teacher_and_student import (
    ExperimentData,
    ExperimentResult,
    run_experiment,
)
from fakd_jax.reporting.figures import save_figure
from fakd_jax.runs.files import CURVES_FILE, LOCK_FILE, PHASES, evaluation_folder
from fakd_jax.runs.workdir import read_records
from fakd_jax.runtime.atomic_files import locked
from fakd_jax.runtime.coordination import from_writer
from fakd_jax.training.metric_log import LOGGER


def train_and_evaluate(
    config: ExperimentConfig,
    workdir: Path,
    *,
    roles: Sequence[str] = PHASES,
    data: ExperimentData | None = None,
    latency: bool = True,
    log_report: Callable[[str], object] = LOGGER.info,
    place_keys: Collection[str] = PLACE_KEYS,
    inputs: Mapping[str, str] | None = None,
) -> None:
    """Trains and evaluates the networks of a config, or resumes an earlier run of it.

    A given teacher is evaluated on the run's data. If that fails, it is logged and not raised:
    the run itself has succeeded. Of several processes, process 0 holds the workdir and evaluates.

    Args:
      config: of the run.
      workdir: of the run.
      roles: the networks to evaluate, of those that were trained or given.
      data: the config's, if it is open already.
      latency: whether to measure the networks' latency.
      log_report: called with the lines of the report.
      place_keys: the keys of the config that may differ when a run is resumed.
      inputs: digests that data and weights must have, see
        :class:`fakd_jax.experiment.record.RunRecord`.

    Raises:
      UserError: config, data and weights do not fit together; another process uses the workdir.
      KeyboardInterrupt: interrupted, after saving.
    """
    with ExitStack() as stack:
        refusal = f"another process is using {workdir}; wait for it or choose another --workdir"
        lock = locked(workdir / LOCK_FILE, refusal=refusal)
        from_writer(lambda: stack.enter_context(lock))
        result = run_experiment(config, workdir, data, place_keys, inputs)
        from_writer(lambda: _evaluate(config, workdir, result, roles, latency, log_report))


def _evaluate(
    config: ExperimentConfig,
    workdir: Path,
    result: ExperimentResult,
    roles: Sequence[str],
    latency: bool,
    log_report: Callable[[str], object],
) -> None:
    save_figure(plot_curves(read_records(workdir)), workdir / CURVES_FILE)
    teacher_given = config.train == "student" and bool(config.teacher.checkpoint)
    for role, checkpoint in (("teacher", result.teacher), ("student", result.student)):
        if checkpoint is None or role not in roles:
            continue
        LOGGER.info("evaluating the %s on the test images", role)
        given = role == "teacher" and teacher_given
        try:
            evaluate_checkpoint(
                checkpoint,
                source=config.data.source,
                output=evaluation_folder(workdir, role),
                batch_size=config.eval_batch_size,
                cache_dir=config.data.cache_dir,
                allow_untrained=given and config.teacher.allow_untrained,
                latency=latency,
                log=log_report,
            )
        except UserError as error:
            if not given:
                raise
            LOGGER.info("the given teacher was not evaluated: %s", error)
