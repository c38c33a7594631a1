"""Checkpoints of a phase: `best/<step>`, a clean model, and `last/<step>`, which resuming needs.

`last/<step>` is a model checkpoint (`model/`, `metadata.json`) with two additions: `training/`
(optimizer, projection, the epoch's sums; Orbax) and `position.json` (early stopping, the
iterator's state). It is written under a hidden name and then renamed, so that a process killed at
any moment leaves the previous one.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from flax import nnx

from fakd_jax.errors import UserError
from fakd_jax.models.checkpoint import load_model, read_arrays, save_model, write_arrays
from fakd_jax.models.state import model_state, set_model_state
from fakd_jax.runtime.atomic_files import writing
from fakd_jax.training.state import Learner, TrainState, from_named_arrays, to_named_arrays

TRAINING_FOLDER = "training"
POSITION_FILE = "position.json"


class PhaseCheckpoints:
    """The checkpoints in one phase's folder (`teacher/` or `student/` of a workdir)."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.best_directory = directory / "best"
        self.last_directory = directory / "last"

    def save_best(self, learner: Learner, state: TrainState, metadata: dict[str, Any]) -> None:
        """Writes the network, without the projection, as the best so far.

        The previous best stays until :meth:`keep_best`: a process killed before the next
        :meth:`save_last` is resumed from a state whose best is the previous one.

        Raises:
          UserError: no space, or no permission.
        """
        target = self.best_directory / str(int(state.step))
        with writing(target):
            save_model(target, _network_state(learner, state), metadata)

    def keep_best(self, step: int) -> None:
        """Removes all best checkpoints but that of `step`; none if that one is missing."""
        kept = self.best_directory / str(step)
        if kept.is_dir():
            _remove_others(kept)

    def best(self, step: int) -> Path:
        """Returns the folder of the best checkpoint, written at `step`.

        Raises:
          UserError: it is missing.
        """
        folder = self.best_directory / str(step)
        if not folder.is_dir():
            raise UserError(
                f"the best checkpoint {folder} is missing; "
                f"delete {self.directory} to train this phase again"
            )
        return folder

    def save_last(
        self,
        learner: Learner,
        state: TrainState,
        metadata: dict[str, Any],
        position: dict[str, Any],
    ) -> None:
        """Writes everything that resuming at this step needs, and removes the previous one.

        Args:
          learner: gives the structure.
          state: between two steps.
          metadata: of the model checkpoint within.
          position: what the loop needs besides arrays; JSON-able.

        Raises:
          UserError: no space, or no permission.
        """
        target = self.last_directory / str(int(state.step))
        unfinished = self.last_directory / f".{target.name}.saving"
        with writing(target):
            shutil.rmtree(unfinished, ignore_errors=True)
            save_model(unfinished, _network_state(learner, state), metadata)
            arrays = to_named_arrays(_training_arrays(learner, state))
            write_arrays((unfinished / TRAINING_FOLDER).absolute(), arrays)
            (unfinished / POSITION_FILE).write_text(json.dumps(position), encoding="utf-8")
            shutil.rmtree(target, ignore_errors=True)
            unfinished.rename(target)
            _remove_others(target)

    def restore_last(
        self, learner: Learner, skeleton: TrainState
    ) -> tuple[TrainState, dict[str, Any]] | None:
        """Returns the newest state and its position, or None if nothing was saved yet.

        Args:
          learner: of the same structure as when it was saved; changed in place.
          skeleton: a state of the same structure, whose values are not used.

        Raises:
          UserError: the checkpoint is damaged or of another config.
        """
        steps = _steps(self.last_directory)
        if not steps:
            return None
        newest = steps[-1]
        network_state, _ = load_model(newest)
        set_model_state(learner.network, network_state)
        try:
            named = read_arrays(newest / TRAINING_FOLDER)
            position = json.loads((newest / POSITION_FILE).read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError) as error:
            raise UserError(
                f"the checkpoint {newest} is damaged ({error}); delete it to train this phase again"
            ) from error
        arrays = from_named_arrays(_training_arrays(learner, skeleton), named)
        projection = arrays.pop("projection")
        if learner.projection:
            nnx.update(learner.projection, projection)
        params, batch_stats = nnx.state(learner, nnx.Param, nnx.BatchStat)
        return TrainState(params=params, batch_stats=batch_stats, **arrays), position


def _network_state(learner: Learner, state: TrainState) -> Any:
    """The network's variables as of `state`; the learner takes them over."""
    nnx.update(learner, state.params, state.batch_stats)
    return model_state(learner.network)


def _training_arrays(learner: Learner, state: TrainState) -> dict[str, Any]:
    """What a training checkpoint holds besides the network."""
    return {
        "step": state.step,
        "projection": nnx.state(learner.projection, nnx.Param) if learner.projection else {},
        "optimizer_state": state.optimizer_state,
        "sums": state.sums,
    }


def _steps(folder: Path) -> list[Path]:
    """The numbered checkpoints in a folder, oldest first."""
    found = [child for child in folder.glob("*") if child.name.isdecimal()]
    return sorted(found, key=lambda child: int(child.name))


def _remove_others(kept: Path) -> None:
    for step in _steps(kept.parent):
        if step != kept:
            shutil.rmtree(step, ignore_errors=True)  # another process may be faster
