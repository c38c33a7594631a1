"""The grid of a study: its cells and their settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

from ml_collections import ConfigDict

from fakd_jax.data.splits import KINDS
from fakd_jax.distillation.terms import TERM_NAMES
from fakd_jax.errors import UserError
from fakd_jax.experiment.settings import ExperimentConfig, parse
from fakd_jax.study.lists import require_distinct, require_known, require_names, require_some
from fakd_jax.study.stress import StressPlan, stress_plan
from fakd_jax.study.teachers import (
    assign_teachers,
    require_known_teachers,
    teacher_methods,
    teacher_of,
)

FOLDED_SPLIT = "kfold"
METHOD_DATA_KEYS = frozenset({"intensity", "labelled_share", "lesion_masks"})
"""The keys of `data` that a method may change: what it makes of the images that all share."""


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
      comparisons: further pairs of a method and the reference that it is compared with.
      teachers: of each method that learns from a teacher, the method that trains it.
      stress: the shifts under which every cell is measured; None for none.
      settings: of each cell, in the order of running: by split and seed, teachers first.
    """

    workdir: Path
    methods: tuple[str, ...]
    seeds: tuple[int, ...]
    splits: tuple[str, ...]
    baseline: str
    comparisons: tuple[tuple[str, str], ...]
    teachers: Mapping[str, str]
    stress: StressPlan | None
    settings: Mapping[Cell, ExperimentConfig]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """All cells, in the order of running."""
        return tuple(self.settings)

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The methods that are compared, each with its reference: first those with the baseline."""
        with_baseline = [(method, self.baseline) for method in self.methods]
        return tuple(
            (method, reference)
            for method, reference in dict.fromkeys([*with_baseline, *self.comparisons])
            if method != reference and {method, reference} <= {*self.methods}
        )

    def folder(self, cell: Cell) -> Path:
        """A cell's workdir."""
        return self.workdir / cell.folder

    def teacher_of(self, cell: Cell) -> Cell | None:
        """The cell that trains the teacher of another one; None if that learns from none."""
        method = self.teachers.get(cell.method)
        return None if method is None else cell.of_method(method)

    def loss(self, method: str) -> str:
        """The terms of a method's loss; the same for every split and seed."""
        return loss_terms(next(self.settings[cell] for cell in self.cells if cell.method == method))


def open_study(config: ConfigDict, workdir: Path) -> Study:
    """Checks a config as in `configs/study.py` and lays out its cells.

    Raises:
      UserError: it is not a study's config; a list is empty or repeats something; an unknown
        method, split, comparison, shift or severity; a method with its own seed, data or teacher; a
        student without its teacher, or whose images are standardised otherwise than its teacher's;
        a value out of range.
    """
    for group in ("study", "base", "changes"):
        if group not in config:
            raise UserError(
                f"this is not the config of a study (it has no {group}); use configs/study.py"
            )
    known = tuple(config.changes)
    methods, splits = tuple(config.study.methods), tuple(config.study.splits)
    seeds, baseline = tuple(config.study.seeds), config.study.baseline
    if not all(isinstance(seed, int) and seed >= 0 for seed in seeds):
        raise UserError(f"config.study.seeds={seeds} must be non-negative integers")
    require_names("methods", methods)
    require_names("splits", splits)
    for key, values in (("methods", methods), ("splits", splits), ("seeds", seeds)):
        require_some(key, values)
    require_known("methods", methods, known)
    require_known("splits", splits, KINDS)
    require_known("baseline", (baseline,), known)
    require_known_teachers(config)
    for method, changes in config.changes.items():
        _require_applicable(method, changes, config.base)
        _require_no_shared_key(method, changes)
    folds = config.base.data.folds
    if FOLDED_SPLIT in splits and not (isinstance(folds, int) and folds >= 2):
        raise UserError(f"config.base.data.folds={folds!r} must be at least 2")
    comparisons, stress = _comparisons(config), stress_plan(config)
    trained_first = teacher_methods(config)
    cells = [
        Cell(split, seed, method, fold)
        for split in splits
        for seed in seeds
        for fold in (range(config.base.data.folds) if split == FOLDED_SPLIT else (None,))
        for method in sorted(methods, key=lambda method: method not in trained_first)
    ]
    settings = {cell: cell_settings(config, cell, workdir) for cell in cells}
    teachers = assign_teachers(config, {cell.method: made for cell, made in settings.items()})
    return Study(workdir, methods, seeds, splits, baseline, comparisons, teachers, stress, settings)


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
    teacher = workdir / cell.of_method(teacher_of(config, cell.method)).folder
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


def _comparisons(config: ConfigDict) -> tuple[tuple[str, str], ...]:
    """The pairs in `config.study.comparisons`, each of a method and its reference."""
    known = tuple(config.changes)
    texts = tuple(map(str, config.study.get("comparisons", ())))  # older configs lack it
    require_distinct("comparisons", texts)
    pairs = []
    for text in texts:
        method, separator, reference = (part.strip() for part in text.partition(":"))
        if not separator or method == reference:
            raise UserError(
                f"config.study.comparisons has {text!r}; give METHOD:REFERENCE, two methods such "
                "as fakd:student"
            )
        require_known("comparisons", (method, reference), known)
        pairs.append((method, reference))
    return tuple(pairs)


def _require_applicable(method: str, changes: ConfigDict, base: ConfigDict) -> None:
    """Checks that a method changes values by values of their types, and groups by groups."""
    try:
        ConfigDict(base.to_dict()).update(changes.to_dict())
    except (AttributeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"config.changes.{method} does not fit config.base ({reason}); give groups of keys "
            "with values of the types there"
        ) from error


def _require_no_shared_key(method: str, changes: ConfigDict) -> None:
    """The methods of a study are compared on the same cells: none may choose its own."""
    keys = ["seed"] if "seed" in changes else []
    keys += [f"data.{key}" for key in changes.get("data", {}) if key not in METHOD_DATA_KEYS]
    keys += ["teacher.checkpoint"] if "checkpoint" in changes.get("teacher", {}) else []
    if keys:
        raise UserError(
            f"config.changes.{method} sets {', '.join(keys)}, which all methods must share; use "
            "config.study.seeds, config.study.splits and config.base.data"
        )
