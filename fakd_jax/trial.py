"""One trial: a config's networks trained, their curves drawn, and both measured on test images."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from ml_collections import ConfigDict

from fakd_jax.evaluation.plots import plot_curves
from fakd_jax.evaluation.run import evaluate_checkpoint
from fakd_jax.training.experiment import ExperimentData, run_experiment
from fakd_jax.training.logbook import LOGGER
from fakd_jax.training.settings import PLACE_KEYS
from fakd_jax.workdir import PHASES, read_metrics


def report_folder(workdir: Path, role: str) -> Path:
    """Where the test report of a workdir's "teacher" or "student" lies."""
    evaluation = workdir / "evaluation"
    return evaluation / "teacher" if role == "teacher" else evaluation


def train_and_evaluate(
    config: ConfigDict,
    workdir: Path,
    *,
    roles: Sequence[str] = PHASES,
    data: ExperimentData | None = None,
    latency: bool = True,
    log_report: Callable[[str], object] = LOGGER.info,
    place_keys: Collection[str] = PLACE_KEYS,
) -> None:
    """Runs an experiment and evaluates its networks, going on where an earlier call stopped.

    Args:
      config: as `configs/fakd.py` has it.
      workdir: of the run.
      roles: which networks to evaluate, of those that the experiment trained or was given.
      data: the config's, if it is open already.
      latency: whether to time the networks too.
      log_report: takes the lines of the evaluation.
      place_keys: the keys of the config that may differ when a run goes on.

    Raises:
      UserError: for whatever in the config, the data or the weights does not fit.
      KeyboardInterrupt: interrupted, after saving.
    """
    result = run_experiment(config, workdir, data, place_keys)
    plot_curves(read_metrics(workdir), workdir / "curves.png")
    for role, checkpoint in (("teacher", result.teacher), ("student", result.student)):
        if checkpoint is None or role not in roles:
            continue
        LOGGER.info("evaluating the %s on the test images", role)
        evaluate_checkpoint(
            checkpoint,
            output=report_folder(workdir, role),
            batch_size=config.eval_batch_size,
            cache_dir=config.data.cache_dir or None,
            latency=latency,
            log=log_report,
        )
