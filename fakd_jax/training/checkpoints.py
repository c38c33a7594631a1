"""Checkpoints of a phase: `best/<step>`, a clean model, and `last/<step>`, which resuming needs.

`last/<step>` is a model checkpoint with two additions: `training/` (optimizer, projection, the
epoch's sums) and `position.json` (early stopping, the iterator's state). Its newest two are kept,
with the best models that they know: if the newest is damaged, the one before is resumed.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from fakd_jax.errors import DamagedError, UserError
from fakd_jax.models.checkpoint import (
    MODEL_FOLDER,
    load_model,
    read_checkpoint,
    write_checkpoint,
)
from fakd_jax.models.state import model_state, set_model_state
from fakd_jax.runs.files import POSITION_FILE
from fakd_jax.runs.position import best_step, read_position
from fakd_jax.runtime.atomic_files import make_folders, require_unmoved, writing
from fakd_jax.runtime.background import BackgroundTask
from fakd_jax.training.metric_log import LOGGER
from fakd_jax.training.state import Learner, TrainState, from_named_arrays, to_named_arrays

TRAINING_FOLDER = "training"
NUM_KEPT = 2
_CHECKPOINT = re.compile(r"(\.?)(\d+)(?:\.saving|\.replaced|\.removed)?")


class PhaseCheckpoints:
    """The checkpoints in one phase's folder (`teacher/` or `student/` of a workdir).

    Args:
      directory: the phase's folder.
      minutes: between two checkpoints within an epoch; with 0 there is one after every step.

    Raises:
      UserError: the folder cannot be written.
    """

    def __init__(self, directory: Path, *, minutes: float = 5.0) -> None:
        self.directory = directory
        self.best_directory = directory / "best"
        self.last_directory = directory / "last"
        self._seconds = 60 * minutes
        self._saved_at = time.monotonic()
        self._writer = BackgroundTask()
        with writing(directory):
            make_folders(directory)
            self._folder = directory.stat()
        # The steps of the checkpoints to keep in `last/`, oldest first, and each one's best step.
        self._best_steps: dict[int, int] = {}

    def is_due(self) -> bool:
        """Whether it is time for a checkpoint within the epoch.

        Raises:
          UserError: the last one could not be written.
        """
        self._writer.check()
        return time.monotonic() - self._saved_at >= self._seconds

    def save(
        self,
        learner: Learner,
        state: TrainState,
        metadata: dict[str, Any],
        position: dict[str, Any],
        *,
        best: tuple[TrainState, dict[str, Any]] | None = None,
    ) -> None:
        """Copies everything that resuming at this step needs, and writes it in the background.

        At most one checkpoint is being written: this waits for the one before. Older ones are
        removed once this one has reached the disk.

        Args:
          learner: gives the structure.
          state: between two steps.
          metadata: of the network's checkpoint.
          position: what the loop needs besides arrays; JSON-able.
          best: if the epoch is the best so far, the state that was validated, which may differ
            from `state`, and its metadata: its network is written to `best/`.

        Raises:
          UserError: the checkpoint before could not be written; no space, or no permission.
        """
        self._writer.wait()
        step = int(state.step)
        chosen = best and ({MODEL_FOLDER: _network(learner, best[0])}, best[1])
        trees = {
            MODEL_FOLDER: _network(learner, state),
            TRAINING_FOLDER: _copied(to_named_arrays(_training_arrays(learner, state))),
        }
        self._saved_at = time.monotonic()
        self._writer.start(lambda: self._write(step, trees, metadata, position, chosen))

    def wait(self) -> None:
        """Waits until the last checkpoint has reached the disk.

        Raises:
          UserError: it could not be written.
        """
        self._writer.wait()

    def close(self) -> None:
        """Like :meth:`wait`; nothing can be saved after it."""
        self._writer.close()

    def _write(
        self,
        step: int,
        trees: dict[str, Any],
        metadata: dict[str, Any],
        position: dict[str, Any],
        chosen: tuple[dict[str, Any], dict[str, Any]] | None,
    ) -> None:
        """Writes a checkpoint, the best one first: `last/` must not refer to a missing one."""
        require_unmoved(self.directory, self._folder)
        if chosen:
            best = self.best_directory / str(step)
            with writing(best):
                write_checkpoint(best, *chosen)
        last = self.last_directory / str(step)
        with writing(last):
            write_checkpoint(last, trees, metadata, {POSITION_FILE: position})
            self._best_steps[step] = best_step(position)
            for old in list(self._best_steps)[:-NUM_KEPT]:
                del self._best_steps[old]
            _remove_others(self.last_directory, self._best_steps.keys())
            _remove_others(self.best_directory, self._best_steps.values())

    def best(self, step: int) -> Path:
        """Returns the folder of the best checkpoint, written at `step`.

        Raises:
          DamagedError: it is missing.
        """
        folder = self.best_directory / str(step)
        if not folder.is_dir():
            raise DamagedError(
                f"the best checkpoint {folder} is missing; "
                f"delete {self.directory} to train this phase again"
            )
        return folder

    def restore_last(
        self, learner: Learner, skeleton: TrainState
    ) -> tuple[TrainState, dict[str, Any]] | None:
        """Returns the newest intact state and its position, or None if nothing was saved yet.

        A state is intact if the best network that it knows is so too.

        Args:
          learner: of the same structure as when it was saved; changed in place.
          skeleton: a state of the same structure, whose values are not used.

        Raises:
          UserError: the checkpoint is of another config.
          DamagedError: no checkpoint is intact.
        """
        folders = _steps(self.last_directory)
        damages: list[str] = []
        for number in reversed(range(len(folders))):
            try:
                restored = self._restore(folders[number], learner, skeleton)
            except DamagedError as error:
                damages.append(str(error))
                continue
            if damages:
                LOGGER.warning(
                    "resuming from %s, because what is newer is damaged: %s",
                    folders[number],
                    "; ".join(damages),
                )
            self._note_kept(folders[: number + 1])
            return restored
        if damages:
            raise DamagedError(
                f"no checkpoint in {self.last_directory} is intact, and none was removed: "
                f"{'; '.join(damages)}; restore one, or delete {self.directory} to train this "
                "phase again"
            )
        return None

    def _restore(
        self, folder: Path, learner: Learner, skeleton: TrainState
    ) -> tuple[TrainState, dict[str, Any]]:
        trees, _ = read_checkpoint(folder)
        position = read_position(folder)
        if step := best_step(position):
            load_model(self.best(step))
        set_model_state(learner.network, trees[MODEL_FOLDER])
        arrays = from_named_arrays(_training_arrays(learner, skeleton), trees[TRAINING_FOLDER])
        projection = arrays.pop("projection")
        if learner.projection:
            nnx.update(learner.projection, projection)
        params, batch_stats = nnx.state(learner, nnx.Param, nnx.BatchStat)
        return TrainState(params=params, batch_stats=batch_stats, **arrays), position

    def _note_kept(self, folders: list[Path]) -> None:
        """Notes the checkpoint to be resumed, the last one, and those before it.

        Of those before, only the position is read: other damage shows when one is resumed.
        """
        for folder in folders:
            try:
                self._best_steps[int(folder.name)] = best_step(read_position(folder))
            except UserError:  # an older one without a readable position: not kept
                continue


def _network(learner: Learner, state: TrainState) -> dict[str, Any]:
    """Sets the learner to a state; returns a copy of its network's arrays."""
    nnx.update(learner, state.params, state.batch_stats)
    return _copied(model_state(learner.network))


def _copied(tree: dict[str, Any]) -> dict[str, Any]:
    """Copies arrays: the next step reuses their memory, of which NumPy arrays may be views."""
    copied: dict[str, Any] = jax.tree.map(lambda array: np.array(array), tree)
    return copied


def _training_arrays(learner: Learner, state: TrainState) -> dict[str, Any]:
    """What a training checkpoint holds besides the network."""
    return {
        "step": state.step,
        "projection": nnx.state(learner.projection, nnx.Param) if learner.projection else {},
        "optimizer_state": state.optimizer_state,
        "sums": state.sums,
        "average": state.average,
    }


def _steps(folder: Path) -> list[Path]:
    """The numbered checkpoints in a folder, oldest first."""
    found = [child for child in folder.glob("*") if child.name.isdecimal()]
    return sorted(found, key=lambda child: int(child.name))


def _remove_others(folder: Path, kept: Collection[int]) -> None:
    """Removes all checkpoints in a folder but those of some steps, unfinished ones included.

    Each is hidden first: a process killed meanwhile leaves none that looks damaged.
    """
    for child in folder.glob("*"):
        match = _CHECKPOINT.fullmatch(child.name)
        if not match or (not match[1] and int(match[2]) in kept):
            continue
        if not match[1]:
            hidden = child.with_name(f".{child.name}.removed")
            shutil.rmtree(hidden, ignore_errors=True)
            with suppress(OSError):  # another process may be faster
                child = child.rename(hidden)
        shutil.rmtree(child, ignore_errors=True)
