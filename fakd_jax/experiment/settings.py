"""An experiment's config as typed, frozen settings: parsed once, every mistake named by its key.

`configs/fakd.py` documents the keys.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import typing
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any

from ml_collections import ConfigDict

from fakd_jax.data.augment import Augmentation
from fakd_jax.data.preparation import UNREADABLE
from fakd_jax.data.preprocessing import Preprocessing
from fakd_jax.data.splits import KINDS
from fakd_jax.distillation.objective import Objective
from fakd_jax.errors import UserError
from fakd_jax.runtime.precision import DTYPES
from fakd_jax.training.optimizer import SCHEDULES

Channels = tuple[float, float, float]


@dataclasses.dataclass(frozen=True)
class PhantomConfig:
    """Keywords of :func:`fakd_jax.data.phantom.dataset.write_phantoms`."""

    train_per_class: int
    test_per_class: int
    size: int
    seed: int


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where the images come from, how they are split and how they are prepared."""

    source: str
    split: str
    folds: int
    fold: int
    validation_fraction: float
    image_size: int
    mean: Channels
    std: Channels
    unreadable: str
    negative_class: str
    cache_dir: str
    phantom: PhantomConfig

    @property
    def preprocessing(self) -> Preprocessing:
        """How the networks' inputs are made from the images."""
        return Preprocessing(self.image_size, self.mean, self.std)


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """A network, its initial weights and how long it is trained."""

    arch: str
    pretrained: str
    num_epochs: int
    batch_norm_momentum: float | None

    @property
    def overrides(self) -> dict[str, float]:
        """Keywords of the network's constructor that differ from its defaults."""
        momentum = self.batch_norm_momentum
        return {} if momentum is None else {"batch_norm_momentum": momentum}


@dataclasses.dataclass(frozen=True)
class TeacherConfig(NetworkConfig):
    """The teacher: fine-tuned in this run, or given as a checkpoint."""

    checkpoint: str
    allow_untrained: bool


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """AdamW and its learning-rate schedule."""

    learning_rate: float
    weight_decay: float
    schedule: str


@dataclasses.dataclass(frozen=True)
class EarlyStoppingConfig:
    """When a phase ends before its last epoch."""

    patience: int


@dataclasses.dataclass(frozen=True)
class ExperimentConfig:
    """All settings of one run."""

    name: str
    train: str
    seed: int
    batch_size: int
    eval_batch_size: int
    dtype: str
    data: DataConfig
    augmentation: Augmentation
    teacher: TeacherConfig
    student: NetworkConfig
    distillation: Objective
    optimizer: OptimizerConfig
    early_stopping: EarlyStoppingConfig
    checkpoint_every_steps: int

    def network(self, role: str) -> NetworkConfig:
        """The settings of the "teacher" or the "student"."""
        return self.teacher if role == "teacher" else self.student

    @property
    def needs_teacher(self) -> bool:
        """Whether a student is trained whose loss needs a teacher."""
        return self.train == "student" and self.distillation.needs_teacher

    def to_dict(self) -> dict[str, Any]:
        """The settings as `config.json` holds them."""
        values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return values


# A check: whether a value passes, and what it must be.
_Check = tuple[Callable[[Any], bool], str]


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_channels(value: Any) -> bool:
    return isinstance(value, Sequence) and len(value) == 3 and all(map(_is_number, value))


# Each type of a field: its check, and the conversion of values that pass.
_TYPES: dict[Any, tuple[_Check, Callable[[Any], Any]]] = {
    str: ((lambda value: isinstance(value, str), "text"), str),
    bool: ((lambda value: isinstance(value, bool), "True or False"), bool),
    int: ((lambda value: isinstance(value, Integral) and _is_number(value), "an integer"), int),
    float: ((_is_number, "a number"), float),
    float | None: (
        (lambda value: value is None or _is_number(value), "a number or None"),
        lambda value: None if value is None else float(value),
    ),
    Channels: ((_is_channels, "three numbers"), lambda value: tuple(map(float, value))),
}


def _one_of(*known: str) -> _Check:
    return lambda value: value in known, f"one of {', '.join(known)}"


_POSITIVE_INTEGER: _Check = (lambda value: value >= 1, "at least 1")
_NOT_NEGATIVE: _Check = (lambda value: 0 <= value < math.inf, "0 or more, and finite")
_POSITIVE: _Check = (lambda value: 0 < value < math.inf, "above 0, and finite")
_FRACTION: _Check = (lambda value: 0 <= value <= 1, "between 0 and 1")
_MOMENTUM: _Check = (
    lambda value: value is None or 0 < value <= 1,
    "above 0 and at most 1, or None",
)

_RANGES: dict[str, _Check] = {
    "train": _one_of("student", "teacher"),
    "seed": _NOT_NEGATIVE,
    "batch_size": _POSITIVE_INTEGER,
    "eval_batch_size": _POSITIVE_INTEGER,
    "dtype": _one_of(*DTYPES),
    "data.source": (bool, "kaggle, phantom, a folder or an archive"),
    "data.split": _one_of(*KINDS),
    "data.folds": (lambda value: value >= 2, "at least 2"),
    "data.fold": _NOT_NEGATIVE,
    "data.validation_fraction": (lambda value: 0 < value < 1, "between 0 and 1, both excluded"),
    "data.image_size": (lambda value: value >= 32, "at least 32, the networks' total stride"),
    "data.mean": (lambda value: all(map(math.isfinite, value)), "three finite numbers"),
    "data.std": (
        lambda value: all(0 < x < math.inf for x in value),
        "three finite numbers above 0",
    ),
    "data.unreadable": _one_of(*UNREADABLE),
    "augmentation.flip_probability": _FRACTION,
    "augmentation.rotation_degrees": (lambda value: 0 <= value <= 180, "between 0 and 180"),
    "augmentation.rotation_interpolation": _one_of("nearest", "bilinear"),
    "teacher.num_epochs": _NOT_NEGATIVE,
    "teacher.batch_norm_momentum": _MOMENTUM,
    "student.num_epochs": _POSITIVE_INTEGER,
    "student.batch_norm_momentum": _MOMENTUM,
    "distillation.alpha": _FRACTION,
    "distillation.beta": _NOT_NEGATIVE,
    "distillation.temperature": _POSITIVE,
    "optimizer.learning_rate": _POSITIVE,
    "optimizer.weight_decay": _NOT_NEGATIVE,
    "optimizer.schedule": _one_of(*SCHEDULES),
    "early_stopping.patience": _POSITIVE_INTEGER,
    "checkpoint_every_steps": _NOT_NEGATIVE,
}


def parse(config: ConfigDict, prefix: str = "config.") -> ExperimentConfig:
    """Checks a config and returns it as typed settings.

    Args:
      config: as `configs/fakd.py` has it.
      prefix: of the keys' names on the command line, for messages.

    Raises:
      UserError: names every key that is missing, unknown, of the wrong type or out of range.
    """
    problems: list[str] = []
    settings: ExperimentConfig = _parse(ExperimentConfig, config.to_dict(), "", problems)
    if settings and settings.train == "teacher" and settings.teacher.num_epochs == 0:
        problems.append("teacher.num_epochs=0 trains nothing; it must be at least 1")
    if problems:
        raise UserError("; ".join(f"{prefix}{problem}" for problem in problems))
    return settings


def _parse(group: Any, values: Any, prefix: str, problems: list[str]) -> Any:
    """Constructs a dataclass and those within it; None if there are problems, which are added."""
    types = typing.get_type_hints(group)
    fields: dict[str, Any] = {}
    for name in values:
        if name not in types:
            nearest = difflib.get_close_matches(name, types, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            problems.append(f"{prefix}{name} is not a key of an experiment{hint}")
    for name, kind in types.items():
        key = f"{prefix}{name}"
        if name not in values:
            problems.append(f"{key} is missing")
        elif not dataclasses.is_dataclass(kind):
            fields[name] = _parse_value(key, kind, values[name], problems)
        elif isinstance(values[name], Mapping):
            fields[name] = _parse(kind, values[name], f"{key}.", problems)
        else:
            problems.append(f"{key}={values[name]!r} must be a group of keys")
    return None if problems else group(**fields)


def _parse_value(key: str, kind: Any, value: Any, problems: list[str]) -> Any:
    (has_type, must_be), convert = _TYPES[kind]
    if has_type(value):
        converted = convert(value)
        in_range, must_be = _RANGES.get(key, (lambda value: True, ""))
        if in_range(converted):
            return converted
    problems.append(f"{key}={value!r} must be {must_be}")
    return None
