"""The training loop of one phase, from its first or last step to its best checkpoint."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from fakd_jax.data.pipeline import ImageSource
from fakd_jax.data.splits import Split
from fakd_jax.errors import NotFiniteError
from fakd_jax.runtime.async_dispatch import steps_ahead
from fakd_jax.runtime.coordination import require_same, wait_for_all, writer_first
from fakd_jax.runtime.distributed import is_writer
from fakd_jax.training.batches import training_rows
from fakd_jax.training.checkpoints import PhaseCheckpoints
from fakd_jax.training.early_stopping import EarlyStopping
from fakd_jax.training.interrupts import deferred_interrupts
from fakd_jax.training.metric_log import LOGGER, MetricLog
from fakd_jax.training.phase import Phase
from fakd_jax.training.progress import EpochProgress
from fakd_jax.training.recalibration import Recalibration
from fakd_jax.training.seeds import derive_seed
from fakd_jax.training.sharding import Placement
from fakd_jax.training.state import TrainState, initial_state
from fakd_jax.training.step import make_steps
from fakd_jax.training.validation import Validation, epoch_means


def run_phase(phase: Phase, dataset: ImageSource, split: Split, workdir: Path) -> Path:
    """Trains a phase to its end, resuming from its last checkpoint if there is one.

    Of several processes, process 0 writes and each trains on its rows of every batch.

    Args:
      phase: what to train and how.
      dataset: the images.
      split: ids of training and validation images; labels of the labelled ones alone are used.
      workdir: `workdir/<phase>/{best,last}` and `workdir/metrics.jsonl` are written.

    Returns:
      The checkpoint of the epoch with the best validation metric, see :class:`EarlyStopping`.

    Raises:
      UserError: a loss is not finite; a checkpoint does not fit; too few images.
      KeyboardInterrupt: on the first SIGINT or SIGTERM, after saving.
    """
    # ---------------------------------------------------------------- data
    placement = Placement()
    placement.require_divisible(phase.batch_size, name="config.batch_size")
    placement.require_divisible(phase.eval_batch_size, name="config.eval_batch_size")
    rows = training_rows(phase.objective, split, phase.batch_size, refuted=phase.refutes_labels)
    epoch_steps = rows.epoch_steps
    order = derive_seed(phase.seed, phase.name, "order")
    iterator = rows.batches(phase, dataset, placement, seed=order)

    # ---------------------------------------------------------------- state, new or resumed
    checkpoints = PhaseCheckpoints(workdir / phase.name, minutes=phase.checkpoint_minutes)
    stopping = EarlyStopping(phase.patience, phase.monitor)
    state = initial_state(
        phase.learner,
        phase.optimizer,
        (*phase.objective.weights, *rows.further_sums),
        averages=phase.ema_decay > 0,
    )
    if restored := writer_first(lambda: checkpoints.restore_last(phase.learner, state)):
        state, position = restored
        stopping = EarlyStopping.restored(position["early_stopping"])
        iterator.set_state(position["iterator"])
    step = int(state.step)
    require_same("step to resume from", f"{phase.name} {step}")
    state = placement.copy(state)
    teacher_variables = placement.copy(phase.teacher.variables) if phase.teacher else None
    key = placement.key(derive_seed(phase.seed, phase.name, "augmentation and dropout"))

    # ---------------------------------------------------------------- steps, validation, log
    steps = make_steps(
        phase.learner,
        phase.teacher.graphdef if phase.teacher else None,
        phase.objective,
        phase.optimizer,
        phase.preprocessing,
        phase.augmentation,
        steps_per_epoch=epoch_steps,
        ema_decay=phase.ema_decay,
        deterministic=phase.deterministic,
        placement=placement,
        teacher_preprocessing=phase.teacher.preprocessing if phase.teacher else None,
    )
    recalibration = Recalibration(phase, dataset, rows, placement, steps)
    validation = Validation(phase, dataset, split.val, placement, steps, teacher_variables)
    metric_log = MetricLog(workdir, phase.name, resume_step=step, enabled=is_writer())

    def metadata() -> dict[str, Any]:
        source = {"phase": phase.name, "step": step, "epoch": -(-step // epoch_steps)}
        source["val_accuracy"] = stopping.best_accuracy
        source["monitor"] = phase.monitor
        return phase.metadata | {"source": phase.metadata["source"] | source}

    def save(best: TrainState | None = None) -> None:
        if not is_writer():
            return
        position = {
            "early_stopping": dataclasses.asdict(stopping),
            "iterator": iterator.get_state(),
        }
        described = metadata()
        chosen = None
        if best is not None:
            source = described["source"] | recalibration.describe()
            chosen = best, described | {"source": source}
        checkpoints.save(phase.learner, state, described, position, best=chosen)

    # ---------------------------------------------------------------- epochs
    finished = stopping.is_finished(phase.num_epochs)
    if step and not finished:
        LOGGER.info("%s: resumed at step %d", phase.name, step)
    with closing(metric_log), deferred_interrupts(steps_ahead()) as stop, closing(checkpoints):
        while not (finished or stop.requested):
            epoch = step // epoch_steps + 1
            end = epoch * epoch_steps
            progress = EpochProgress(
                f"{phase.name} {epoch}/{phase.num_epochs}",
                batch_size=phase.batch_size,
                num_steps=epoch_steps,
                steps_done=step - (end - epoch_steps),
            )
            with closing(progress):
                while step < end:
                    batch = next(iterator)
                    device_batch = placement.batch({k: batch[k] for k in batch if k != "index"})
                    progress.wait(leave=steps_ahead())
                    state, loss = steps.train(state, teacher_variables, device_batch, key)
                    step += 1
                    progress.add(step, loss)
                    stop.vote(step)
                    is_due = is_writer() and checkpoints.is_due()
                    if step < end and (stop.requested or is_due):
                        progress.wait()  # a state that is not finite must not be saved
                        save()
                        if stop.requested:
                            checkpoints.wait()
                            _interrupt(phase, step)
                progress.wait()
            metrics = epoch_means(state.sums, phase.objective)
            metrics |= {"learning_rate": float(phase.schedule(end - 1)), **progress.speed()}
            metric_log.record("train", step=step, epoch=epoch, values=metrics)

            started = time.monotonic()
            validated = recalibration.run(state.averaged())
            metrics = validation.run(validated)
            metrics["seconds"] = time.monotonic() - started
            metric_log.record("val", step=step, epoch=epoch, values=metrics)
            _require_finite(phase, epoch, metrics)
            is_best = stopping.is_better(metrics)
            stopping = stopping.update(epoch=epoch, step=step, metrics=metrics)
            finished = stopping.is_finished(phase.num_epochs)
            _log_epoch(phase, stopping, metrics, is_best)
            save(best=validated if is_best else None)
        stop.vote_at_end(step)
    if stop.requested:  # after the last epoch too: what follows the phase must not begin
        _interrupt(phase, step)
    LOGGER.info(
        "%s: best validation %s at epoch %d of %d",
        phase.name,
        _described(phase.monitor, stopping.best_value),
        stopping.best_epoch,
        stopping.last_epoch,
    )
    wait_for_all()  # process 0 has written what all read next
    return checkpoints.best(stopping.best_step)


def _log_epoch(
    phase: Phase, stopping: EarlyStopping, metrics: Mapping[str, float], is_best: bool
) -> None:
    terms = [f"{name} {metrics[name]:.4f}" for name in ("loss", *phase.objective.weights)]
    accuracies = [
        _described(name, metrics[name])
        for name in dict.fromkeys(("accuracy", phase.monitor))
        if name != "loss"
    ]
    LOGGER.info(
        "%s epoch %d/%d: validation %s%s",
        phase.name,
        stopping.last_epoch,
        phase.num_epochs,
        ", ".join([*terms, *accuracies]),
        " (best so far)" if is_best else "",
    )
    if stopping.should_stop and stopping.last_epoch < phase.num_epochs:
        LOGGER.info(
            "%s: stopped early after %d epochs without a better validation %s",
            phase.name,
            phase.patience,
            _words(phase.monitor),
        )


def _words(metric: str) -> str:
    return metric.replace("_", " ")


def _described(metric: str, value: float) -> str:
    """A metric with its value."""
    return f"{_words(metric)} " + (f"{value:.4f}" if metric == "loss" else f"{100 * value:.2f} %")


def _require_finite(phase: Phase, epoch: int, metrics: Mapping[str, float]) -> None:
    if not math.isfinite(metrics[phase.monitor]):
        raise NotFiniteError(
            f"{phase.name} {epoch}/{phase.num_epochs}: the validation {_words(phase.monitor)}, by "
            "which the epoch is chosen, is not finite; lower config.optimizer.learning_rate"
        )


def _interrupt(phase: Phase, step: int) -> None:
    wait_for_all()  # process 0 has saved
    LOGGER.info("%s: saved at step %d; run the same command to resume", phase.name, step)
    raise KeyboardInterrupt
