"""The grid of a study: its cells, the config of each, and what a study's config may say."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from fakd_jax.data.splits import KINDS
from fakd_jax.errors import UserError
from fakd_jax.experiment.settings import ExperimentConfig, parse

FOLDED_SPLIT = "kfold"


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of a study.

    Attributes:
      split: a value of `config.data.split`.
      seed: of everything random, the choice of the validation images included.
      method: a name in the study's `changes`.
      fold: which part of a k-fold split is tested on; None for every other split.
    """

    split: str
    seed: int
    method: str
    fold: int | None = None

    @property
    def folder(self) -> Path:
        """Its workdir within the study's."""
        return self._shared_folder / self.method

    @property
    def _shared_folder(self) -> Path:
        """Holds the cells of one division of the data: one split, seed and fold."""
        folder = Path(self.split) / f"seed{self.seed}"
        return folder if self.fold is None else folder / f"fold{self.fold}"

    def of_method(self, method: str) -> Cell:
        """The cell of another method on the same data."""
        return dataclasses.replace(self, method=method)

    def __str__(self) -> str:
        fold = "" if self.fold is None else f"fold {self.fold}, "
        return f"{self.split}, seed {self.seed}, {fold}{self.method}"


@dataclasses.dataclass(frozen=True)
class Grid:
    """What a study runs over, as its config says: see `configs/study.py`."""

    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    splits: tuple[str, ...]
    baseline: str

    @classmethod
    def of(cls, config: ConfigDict) -> Grid:
        """Reads `config.study`; names may come as one text, 'a,b', from a command line."""
        study = config.study
        return cls(
            methods=_names(study.methods),
            seeds=tuple(study.seeds),
            splits=_names(study.splits),
            baseline=study.baseline,
        )


def cells_of(config: ConfigDict) -> tuple[Cell, ...]:
    """All cells in the order in which they run: split by split, seed by seed, teachers first.

    Args:
      config: of the study, see :func:`check_study`.
    """
    grid = Grid.of(config)
    methods = sorted(grid.methods, key=lambda method: method != teacher_method(config))
    return tuple(
        Cell(split, seed, method, fold)
        for split in grid.splits
        for seed in grid.seeds
        for fold in _folds(config, split)
        for method in methods
    )


def cell_config(config: ConfigDict, cell: Cell, workdir: Path) -> ExperimentConfig:
    """The settings of one cell's run.

    Args:
      config: of the study.
      cell: one of its cells.
      workdir: of the study, where the cell's teacher lies.

    Returns:
      The study's `base` with the method's changes, the seed, the split and the teacher.

    Raises:
      UserError: a key is missing or unknown, or its value has the wrong type or range.
    """
    made = ConfigDict(config.base.to_dict())
    made.update({"name": cell.method, "train": "student", "seed": cell.seed})
    made.data.split = cell.split
    made.data.fold = cell.fold or 0
    made.teacher.checkpoint = ""
    made.update(config.changes[cell.method].to_dict())
    settings = parse(made, prefix="config.base.")
    if not settings.needs_teacher:
        return settings
    teacher = workdir / cell.of_method(teacher_method(config)).folder
    return dataclasses.replace(
        settings,
        # Absolute, so that the study can be resumed from any working directory.
        teacher=dataclasses.replace(settings.teacher, checkpoint=str(teacher.absolute())),
    )


def teacher_method(config: ConfigDict) -> str:
    """The name of the method that trains the teacher; "" where `changes` has none."""
    found = (name for name in config.changes if config.changes[name].get("train") == "teacher")
    return next(found, "")


def loss_terms(config: ExperimentConfig) -> str:
    """The loss of a cell's run by its config, e.g. '0.5 CE + 0.5 KD + FA'."""
    alpha, beta = config.distillation.alpha, config.distillation.beta
    if config.train == "teacher":
        alpha = beta = 0.0
    weights = ((1 - alpha, "CE"), (alpha, "KD"), (beta, "FA"))
    told = [term if weight == 1 else f"{weight:g} {term}" for weight, term in weights if weight]
    return " + ".join(told)


def check_study(config: ConfigDict) -> None:
    """Checks a study's config, before anything is done.

    Raises:
      UserError: it is no study's; a list is empty or names something twice; an unknown method or
        split; a method with a seed, data or teacher of its own; a student without its teacher; a
        value out of its range.
    """
    for group in ("study", "base", "changes"):
        if group not in config:
            raise UserError(f"this config is no study's (it has no {group}); take configs/study.py")
    grid = Grid.of(config)
    _require_known("methods", grid.methods, tuple(config.changes))
    _require_known("splits", grid.splits, KINDS)
    _require_known("baseline", (grid.baseline,), tuple(config.changes))
    for method, changes in config.changes.items():
        _require_no_cell_key(method, changes)
    _require_distinct("seeds", grid.seeds)
    if not all(isinstance(seed, int) and seed >= 0 for seed in grid.seeds):
        raise UserError(f"config.study.seeds={grid.seeds} must be whole numbers, 0 or more")
    for cell in cells_of(config):
        made = cell_config(config, cell, Path())
        if made.needs_teacher and teacher_method(config) not in grid.methods:
            raise UserError(
                f"the method {cell.method} learns from a teacher; name the one that trains it, "
                f"{teacher_method(config) or 'configs/teacher.py'}, in config.study.methods too"
            )


def _names(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(name.strip() for value in values for name in str(value).split(","))


def _require_no_cell_key(method: str, changes: ConfigDict) -> None:
    """The methods of a study are compared on the same cells: none may choose its own."""
    keys = ["seed"] if "seed" in changes else []
    keys += [f"data.{key}" for key in changes.get("data", {})]
    keys += ["teacher.checkpoint"] if "checkpoint" in changes.get("teacher", {}) else []
    if keys:
        raise UserError(
            f"config.changes.{method} sets {', '.join(keys)}, by which a study's cells differ or "
            "which they share; use config.study.seeds and splits, and config.base.data"
        )


def _require_distinct(key: str, values: Sequence[Any]) -> None:
    if not values:
        raise UserError(f"config.study.{key} is empty; give one at least")
    if len(set(values)) < len(values):
        raise UserError(f"config.study.{key}={tuple(values)} names one twice; name each once")


def _require_known(key: str, values: Sequence[str], known: Sequence[str]) -> None:
    _require_distinct(key, values)
    if unknown := [value for value in values if value not in known]:
        raise UserError(
            f"config.study.{key} has {', '.join(map(repr, unknown))}; known: {', '.join(known)}"
        )


def _folds(config: ConfigDict, split: str) -> Sequence[int | None]:
    return range(config.base.data.folds) if split == FOLDED_SPLIT else (None,)
