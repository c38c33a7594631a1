"""The grid of a study: its cells and their settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from fakd_jax.data.splits import KINDS
from fakd_jax.distillation.terms import TERM_NAMES
from fakd_jax.errors import UserError
from fakd_jax.experiment.settings import ExperimentConfig, parse

FOLDED_SPLIT = "kfold"


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run of a study; `fold` is the test fold of a k-fold split, None for other splits."""

    split: str
    seed: int
    method: str
    fold: int | None = None

    @property
    def folder(self) -> Path:
        """Its workdir within the study's."""
        fold = [] if self.fold is None else [f"fold{self.fold}"]
        return Path(self.split, f"seed{self.seed}", *fold, self.method)

    def of_method(self, method: str) -> Cell:
        """The cell of another method on the same data."""
        return dataclasses.replace(self, method=method)

    def __str__(self) -> str:
        fold = "" if self.fold is None else f"fold {self.fold}, "
        return f"{self.split}, seed {self.seed}, {fold}{self.method}"


@dataclasses.dataclass(frozen=True)
class Study:
    """A study, as its config defines it.

    Attributes:
      workdir: holds the cells' workdirs and the report.
      baseline: the method that the others are compared with.
      teacher: the method that trains the teacher; "" if there is none.
      settings: of each cell, in the order of running: by split and seed, teachers first.
    """

    workdir: Path
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    splits: tuple[str, ...]
    baseline: str
    teacher: str
    settings: Mapping[Cell, ExperimentConfig]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells, in the order of running."""
        return tuple(self.settings)

    def folder(self, cell: Cell) -> Path:
        """A cell's workdir."""
        return self.workdir / cell.folder

    def loss(self, method: str) -> str:
        """The terms of a method's loss; the same for every split and seed."""
        return loss_terms(next(self.settings[cell] for cell in self.cells if cell.method == method))


def open_study(config: ConfigDict, workdir: Path) -> Study:
    """Checks a config as in `configs/study.py` and lays out its cells.

    Raises:
      UserError: it is not a study's config; a list is empty or repeats something; an unknown
        method or split; a method with its own seed, data or teacher; a student without its
        teacher; a value out of range.
    """
    for group in ("study", "base", "changes"):
        if group not in config:
            raise UserError(
                f"this is not the config of a study (it has no {group}); use configs/study.py"
            )
    methods, splits = _names(config.study.methods), _names(config.study.splits)
    seeds, baseline = tuple(config.study.seeds), config.study.baseline
    _require_known("methods", methods, tuple(config.changes))
    _require_known("splits", splits, KINDS)
    _require_known("baseline", (baseline,), tuple(config.changes))
    for method, changes in config.changes.items():
        _require_no_shared_key(method, changes)
    _require_distinct("seeds", seeds)
    if not all(isinstance(seed, int) and seed >= 0 for seed in seeds):
        raise UserError(f"config.study.seeds={seeds} must be non-negative integers")
    teacher = _teacher_method(config)
    cells = [
        Cell(split, seed, method, fold)
        for split in splits
        for seed in seeds
        for fold in (range(config.base.data.folds) if split == FOLDED_SPLIT else (None,))
        for method in sorted(methods, key=lambda method: method != teacher)
    ]
    settings = {cell: cell_settings(config, cell, workdir) for cell in cells}
    for cell in cells:
        if settings[cell].needs_teacher and teacher not in methods:
            raise UserError(
                f"the method {cell.method} learns from a teacher; add the method that trains it, "
                f"{teacher or 'configs/teacher.py'}, to config.study.methods"
            )
    return Study(workdir, methods, seeds, splits, baseline, teacher, settings)


def cell_settings(config: ConfigDict, cell: Cell, workdir: Path) -> ExperimentConfig:
    """The study's `base` with the cell's method, seed and split, and the teacher in `workdir`.

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
    teacher = workdir / cell.of_method(_teacher_method(config)).folder
    return dataclasses.replace(
        settings,
        # Absolute, so that the study can be resumed from any working directory.
        teacher=dataclasses.replace(settings.teacher, checkpoint=str(teacher.absolute())),
    )


def loss_terms(settings: ExperimentConfig) -> str:
    """The loss of a run, such as '0.5 CE + 0.5 KD + FA'."""
    objective = settings.objective(settings.train)
    return " + ".join(
        TERM_NAMES[term] if weight == 1 else f"{weight:g} {TERM_NAMES[term]}"
        for term, weight in objective.weights.items()
    )


def _teacher_method(config: ConfigDict) -> str:
    found = (name for name in config.changes if config.changes[name].get("train") == "teacher")
    return next(found, "")


def _names(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(name.strip() for value in values for name in str(value).split(","))


def _require_no_shared_key(method: str, changes: ConfigDict) -> None:
    """The methods of a study are compared on the same cells: none may choose its own."""
    keys = ["seed"] if "seed" in changes else []
    keys += [f"data.{key}" for key in changes.get("data", {})]
    keys += ["teacher.checkpoint"] if "checkpoint" in changes.get("teacher", {}) else []
    if keys:
        raise UserError(
            f"config.changes.{method} sets {', '.join(keys)}, which all methods must share; use "
            "config.study.seeds, config.study.splits and config.base.data"
        )


def _require_distinct(key: str, values: Sequence[Any]) -> None:
    if not values:
        raise UserError(f"config.study.{key} is empty; give at least one")
    if len(set(values)) < len(values):
        raise UserError(f"config.study.{key}={tuple(values)} repeats a value; give each once")


def _require_known(key: str, values: Sequence[str], known: Sequence[str]) -> None:
    _require_distinct(key, values)
    if unknown := [value for value in values if value not in known]:
        raise UserError(
            f"config.study.{key} has {', '.join(map(repr, unknown))}; known: {', '.join(known)}"
        )
