"""The loop: one phase (teacher or student) from its first or last step to its best checkpoint."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from fakd_jax.data.augment import Augmentation
from fakd_jax.data.pipeline import ImageSource, eval_batches, steps_per_epoch, train_iterator
from fakd_jax.data.preprocessing import Preprocessing
from fakd_jax.data.splits import Split
from fakd_jax.distillation.objective import Objective, TeacherOutputs
from fakd_jax.errors import NotFiniteError, UserError
from fakd_jax.runtime.async_dispatch import Losses, steps_ahead, wait_for_room
from fakd_jax.training.checkpoints import PhaseCheckpoints
from fakd_jax.training.early_stopping import EarlyStopping
from fakd_jax.training.interrupts import StopRequest
from fakd_jax.training.metric_log import LOGGER, Logbook, progress_bar
from fakd_jax.training.seeds import derive_seed
from fakd_jax.training.sharding import Placement
from fakd_jax.training.state import Learner, TrainState, initial_state
from fakd_jax.training.step import Batch, Steps, Teacher, make_steps

# A frozen teacher says the same of the same validation images at every epoch: its answers are
# kept on the host up to this size (1,142 maps of layer3 at 224 pixels are 0.9 GB).
TEACHER_MEMORY_BYTES = 2 << 30


@dataclasses.dataclass(frozen=True)
class Phase:
    """All that defines the training of one network.

    Attributes:
      name: "teacher" or "student".
      learner: the network, with its projection where features are aligned.
      teacher: frozen, or None.
      objective: the loss.
      optimizer: optax's transformation.
      schedule: the learning rate as a function of the step, to be logged.
      num_epochs: at most so many.
      patience: see :class:`EarlyStopping`.
      batch_size: of training; a multiple of the number of devices.
      eval_batch_size: of validation; likewise.
      preprocessing: of the images.
      augmentation: of the training images.
      seed: from which the order of the images, augmentation and dropout derive.
      checkpoint_every_steps: within an epoch; 0 for the epochs' ends only.
      metadata: of the model checkpoints.
    """

    name: str
    learner: Learner
    teacher: Teacher | None
    objective: Objective
    optimizer: optax.GradientTransformation
    schedule: Callable[[int], jax.Array]
    num_epochs: int
    patience: int
    batch_size: int
    eval_batch_size: int
    preprocessing: Preprocessing
    augmentation: Augmentation
    seed: int
    checkpoint_every_steps: int
    metadata: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class PhaseResult:
    """How a phase ended: its best epoch, that epoch's validation accuracy, its checkpoint."""

    best_epoch: int
    best_accuracy: float
    epochs: int
    checkpoint: Path


def run_phase(phase: Phase, dataset: ImageSource, split: Split, workdir: Path) -> PhaseResult:
    """Trains a phase to its end, going on from its last checkpoint if there is one.

    Args:
      phase: what to train and how.
      dataset: the images.
      split: ids of training and validation images.
      workdir: `workdir/<phase>/{best,last}` and `workdir/metrics.jsonl` are written.

    Returns:
      The best epoch by validation accuracy and its checkpoint.

    Raises:
      UserError: the loss is no longer finite; a checkpoint does not fit; too few images.
      KeyboardInterrupt: on the first SIGINT or SIGTERM, after saving.
    """
    return _PhaseRun(phase, dataset, split, workdir).run()


class _PhaseRun:
    """One phase under way: its state, its iterator, and what is written about it."""

    def __init__(self, phase: Phase, dataset: ImageSource, split: Split, workdir: Path) -> None:
        self.phase = phase
        self.dataset = dataset
        self.split = split
        self.placement = Placement()
        for name in ("batch_size", "eval_batch_size"):
            if getattr(phase, name) % self.placement.num_devices:
                raise UserError(
                    f"config.{name}={getattr(phase, name)} does not divide over "
                    f"{self.placement.num_devices} devices; take a multiple"
                )
        self.checkpoints = PhaseCheckpoints(workdir / phase.name)
        self.epoch_steps = steps_per_epoch(len(split.train), phase.batch_size)
        self.stopping = EarlyStopping(phase.patience)
        self.finished = False
        self.iterator = train_iterator(
            dataset,
            split.train,
            batch_size=phase.batch_size,
            image_size=phase.preprocessing.image_size,
            seed=derive_seed(phase.seed, phase.name, "order"),
        )
        state = initial_state(phase.learner, phase.optimizer)
        if restored := self.checkpoints.restore_last(phase.learner, state):
            state, position = restored
            self.stopping = EarlyStopping(**position["early_stopping"])
            self.finished = position["finished"]
            self.checkpoints.keep_best(self.stopping.best_step)
            self.iterator.set_state(position["iterator"])
            if not self.finished:
                LOGGER.info("%s: resumed at step %d", phase.name, int(state.step))
        self.step = int(state.step)
        self.state: TrainState = self.placement.copy(state)
        self.teacher_variables = (
            self.placement.copy(phase.teacher.variables) if phase.teacher else None
        )
        self.steps: Steps = make_steps(
            phase.learner,
            phase.teacher.graphdef if phase.teacher else None,
            phase.objective,
            phase.optimizer,
            phase.preprocessing,
            phase.augmentation,
            steps_per_epoch=self.epoch_steps,
        )
        self.key = self.placement.copy(
            jax.random.key(derive_seed(phase.seed, phase.name, "augmentation and dropout"))
        )
        self.logbook = Logbook(workdir, phase.name, resume_step=self.step)

    def run(self) -> PhaseResult:
        phase = self.phase
        teacher_answers = self._teacher_answers()
        with StopRequest() as stop:
            while not (self.finished or stop.requested):
                epoch = self.step // self.epoch_steps + 1
                self._train_epoch(epoch, stop)
                self._end_epoch(epoch, teacher_answers)
                self._save_last()
        if stop.requested:  # in the last epoch too: what comes after the phase is not to begin
            self._interrupt()
        self.logbook.close()
        LOGGER.info(
            "%s: best validation accuracy %.2f %% at epoch %d of %d",
            phase.name,
            100 * self.stopping.best_accuracy,
            self.stopping.best_epoch,
            self.stopping.last_epoch,
        )
        return PhaseResult(
            best_epoch=self.stopping.best_epoch,
            best_accuracy=self.stopping.best_accuracy,
            epochs=self.stopping.last_epoch,
            checkpoint=self.checkpoints.best(self.stopping.best_step),
        )

    def _train_epoch(self, epoch: int, stop: StopRequest) -> None:
        """Takes the epoch's steps that are still to take, and records their means."""
        end = epoch * self.epoch_steps
        batch_size = self.phase.batch_size
        bar = progress_bar(
            total=self.epoch_steps * batch_size,
            done=(self.step - end + self.epoch_steps) * batch_size,
            description=f"{self.phase.name} {epoch}/{self.phase.num_epochs}",
        )
        first_step = timed_from = self.step
        started = time.monotonic()

        def arrived(step: int, loss: float) -> None:
            self._require_finite(loss, step)
            bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
            bar.update(batch_size)

        losses = Losses(arrived)
        with bar:
            while self.step < end:
                batch = next(self.iterator)
                device_batch = self.placement.batch({k: batch[k] for k in ("image", "label")})
                losses.wait(leave=steps_ahead())
                self.state, loss = self.steps.train(
                    self.state, self.teacher_variables, device_batch, self.key
                )
                self.step += 1
                losses.add(self.step, loss)
                if self.step == first_step + 1 < end:
                    losses.wait()
                    started, timed_from = time.monotonic(), self.step  # compilation is no speed
                if self.step == end:
                    break  # what is saved at an epoch's end includes its validation
                every = self.phase.checkpoint_every_steps
                if stop.requested or (every and self.step % every == 0):
                    losses.wait()  # nothing that is not finite may be saved
                    self._save_last()
                if stop.requested:
                    self._interrupt()
            losses.wait()
        seconds = time.monotonic() - started
        values = _means(self.state.sums, self.phase.objective)
        values["learning_rate"] = float(self.phase.schedule(end - 1))
        values["images_per_second"] = (end - timed_from) * batch_size / seconds
        values["seconds"] = seconds
        self.logbook.record("train", step=self.step, epoch=epoch, values=values)

    def _require_finite(self, loss: float, step: int) -> None:
        if not math.isfinite(loss):
            raise NotFiniteError(
                f"the loss or gradient of the {self.phase.name} is not finite at step "
                f"{step}; lower config.optimizer.learning_rate (the last checkpoint before "
                "it is kept)"
            )

    def _end_epoch(self, epoch: int, teacher_answers: Iterable[TeacherOutputs | None]) -> None:
        """Validates, keeps the best, and decides whether the phase has finished."""
        started = time.monotonic()
        batches = self._validation_batches(f"{self.phase.name} validation")
        sums: list[dict[str, jax.Array]] = []
        for batch, answer in zip(batches, teacher_answers, strict=False):
            wait_for_room(sums)
            sums.append(self.steps.validate(self.state, answer, batch))
        values = _means(_add_all(sums), self.phase.objective)
        values["seconds"] = time.monotonic() - started
        self.logbook.record("val", step=self.step, epoch=epoch, values=values)
        better = self.stopping.is_better(values["accuracy"])
        self.stopping = self.stopping.update(
            epoch=epoch, step=self.step, accuracy=values["accuracy"]
        )
        if better:
            self.checkpoints.save_best(self.phase.learner, self.state, self._metadata(epoch))
        self.finished = epoch == self.phase.num_epochs or self.stopping.should_stop
        LOGGER.info(
            "%s epoch %d/%d: %s%s",
            self.phase.name,
            epoch,
            self.phase.num_epochs,
            _told(values),
            " (best so far)" if better else "",
        )
        if self.stopping.should_stop and epoch < self.phase.num_epochs:
            LOGGER.info(
                "%s: stopped early, %d epochs without a better validation accuracy",
                self.phase.name,
                self.phase.patience,
            )

    def _validation_batches(self, description: str) -> Iterator[Batch]:
        batches = eval_batches(
            self.dataset,
            self.split.val,
            batch_size=self.phase.eval_batch_size,
            image_size=self.phase.preprocessing.image_size,
        )
        with progress_bar(total=len(self.split.val), done=0, description=description) as bar:
            for batch in batches:
                yield self.placement.batch({k: batch[k] for k in ("image", "label", "mask")})
                bar.update(int(batch["mask"].sum()))

    def _teacher_answers(self) -> Iterable[TeacherOutputs | None]:
        """The teacher's outputs on the validation batches, kept if they fit, else made anew."""
        if self.phase.teacher is None or self.finished:
            return itertools.repeat(None)
        answers = _TeacherAnswers(self)
        return answers.kept() if answers.fit() else answers

    def _metadata(self, epoch: int) -> dict[str, Any]:
        position = {"phase": self.phase.name, "step": self.step, "epoch": epoch}
        source = self.phase.metadata["source"] | position
        return self.phase.metadata | {
            "source": source | {"val_accuracy": self.stopping.best_accuracy}
        }

    def _save_last(self) -> None:
        self.checkpoints.save_last(
            self.phase.learner,
            self.state,
            self._metadata(-(-self.step // self.epoch_steps)),
            {
                "early_stopping": self.stopping.to_dict(),
                "finished": self.finished,
                "iterator": self.iterator.get_state(),
            },
        )
        self.checkpoints.keep_best(self.stopping.best_step)

    def _interrupt(self) -> None:
        LOGGER.info(
            "%s: saved at step %d; the same command goes on from there", self.phase.name, self.step
        )
        raise KeyboardInterrupt


class _TeacherAnswers:
    """The frozen teacher's outputs on the validation batches, made whenever they are iterated."""

    def __init__(self, run: _PhaseRun) -> None:
        self._run = run

    def __iter__(self) -> Iterator[TeacherOutputs]:
        for batch in self._run._validation_batches("teacher on the validation images"):
            yield self._run.steps.teach(self._run.teacher_variables, batch)

    def fit(self) -> bool:
        """Whether all of them fit in `TEACHER_MEMORY_BYTES`."""
        first = next(iter(self))
        batches = math.ceil(len(self._run.split.val) / self._run.phase.eval_batch_size)
        return batches * sum(leaf.nbytes for leaf in jax.tree.leaves(first)) <= TEACHER_MEMORY_BYTES

    def kept(self) -> list[TeacherOutputs]:
        """All of them, on the host."""
        return [jax.tree.map(np.asarray, answer) for answer in self]


def _add_all(sums: list[dict[str, jax.Array]]) -> dict[str, float]:
    return {name: float(sum(float(part[name]) for part in sums)) for name in sums[0]}


def _means(sums: dict[str, Any], objective: Objective) -> dict[str, float]:
    """Turns sums over images into means; terms without weight are left out."""
    count = float(sums["count"])
    weights = {"ce": 1 - objective.alpha, "kd": objective.alpha, "fa": objective.beta}
    terms = ["loss", *(name for name, weight in weights.items() if weight > 0)]
    means = {name: float(sums[name]) / count for name in terms}
    return means | {"accuracy": float(sums["correct"]) / count}


def _told(values: dict[str, float]) -> str:
    terms = [f"{name} {values[name]:.4f}" for name in ("loss", "ce", "kd", "fa") if name in values]
    return f"validation {', '.join(terms)}, accuracy {100 * values['accuracy']:.2f} %"
