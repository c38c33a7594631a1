"""An experiment's config as typed, frozen settings: parsed once, every mistake named by its key.

`configs/fakd.py` documents the keys.
"""

# No `from __future__ import annotations` here: the checks are read from the annotations.
import dataclasses
import difflib
import json
import math
import sys
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Annotated, Any

from ml_collections import ConfigDict

from fakd_jax.data.augment import Augmentation
from fakd_jax.data.augment_shifts import Shifts, problem_with
from fakd_jax.data.intensity import RULES
from fakd_jax.data.pixels.window import (
    SLICE_AXES,
    WINDOW_SYNTAX,
    PixelRules,
    is_window,
)
from fakd_jax.data.preparation import UNREADABLE
from fakd_jax.data.preprocessing import Preprocessing
from fakd_jax.data.splits import KINDS, NEED_GROUPS
from fakd_jax.distillation.objective import Objective, are_pairs
from fakd_jax.distillation.terms import TermWeights
from fakd_jax.errors import UserError
from fakd_jax.runtime.precision import DTYPES
from fakd_jax.shifts.families import FAMILIES
from fakd_jax.training.early_stopping import MONITORS
from fakd_jax.training.optimizer import SCHEDULES

Check = tuple[Callable[[Any], bool], str]
"""Whether a value is in its range, and what it must be."""


def one_of(*known: str) -> Check:
    """The check for a value among the known ones."""
    return lambda value: value in known, f"one of {', '.join(known)}"


def or_none(check: Check) -> Check:
    """The check for None or a value in a range."""
    in_range, must_be = check
    return lambda value: value is None or in_range(value), f"{must_be}, or None"


POSITIVE_INTEGER: Check = (lambda value: value >= 1, "at least 1")
NOT_NEGATIVE: Check = (lambda value: 0 <= value < math.inf, "0 or more, and finite")
POSITIVE: Check = (lambda value: 0 < value < math.inf, "above 0, and finite")
FRACTION: Check = (lambda value: 0 <= value <= 1, "between 0 and 1")
DECAY: Check = (lambda value: 0 <= value < 1, "0 or more, and below 1")
Channels = tuple[float, float, float]
Momentum = Annotated[float | None, or_none((lambda value: 0 < value <= 1, "above 0 and at most 1"))]


@dataclass(frozen=True)
class PhantomConfig:
    """Keywords of :func:`fakd_jax.data.phantom.dataset.write_phantoms`."""

    train_per_class: int
    test_per_class: int
    size: int
    seed: int


@dataclass(frozen=True)
class DataConfig:
    """Where the images come from, how they are split and how they are prepared."""

    source: Annotated[str, (bool, "kaggle, phantom, a folder or an archive")]
    class_map: str
    split: Annotated[str, one_of(*KINDS)]
    groups: str
    folds: Annotated[int, (lambda value: value >= 2, "at least 2")]
    fold: Annotated[int, NOT_NEGATIVE]
    validation_fraction: Annotated[
        float, (lambda value: 0 < value < 1, "between 0 and 1, both excluded")
    ]
    labelled_share: Annotated[float, (lambda value: 0 < value <= 1, "above 0 and at most 1")]
    image_size: Annotated[
        int, (lambda value: value >= 32, "at least 32, the networks' total stride")
    ]
    mean: Annotated[
        Channels, (lambda value: all(map(math.isfinite, value)), "three finite numbers")
    ]
    std: Annotated[Channels, (lambda value: all(map(POSITIVE[0], value)), "three numbers above 0")]
    intensity: Annotated[str, one_of(*RULES)]
    window: Annotated[str, (is_window, WINDOW_SYNTAX)]
    slice_axis: Annotated[str, one_of(*SLICE_AXES)]
    unreadable: Annotated[str, one_of(*UNREADABLE)]
    negative_class: str
    cache_dir: str
    cache_gib: Annotated[float, NOT_NEGATIVE]
    lesion_masks: str
    phantom: PhantomConfig

    @property
    def preprocessing(self) -> Preprocessing:
        """How the networks' inputs are made from pictures of 8 bits."""
        return Preprocessing(self.image_size, self.mean, self.std, intensity=self.intensity)

    @property
    def pixels(self) -> PixelRules:
        """How files that are not pictures of 8 bits become such."""
        return PixelRules.parse(self.window, self.slice_axis)


@dataclass(frozen=True)
class AugmentationConfig(Augmentation):
    """Random changes of the training images."""

    flip_probability: Annotated[float, FRACTION]
    rotation_degrees: Annotated[float, (lambda value: 0 <= value <= 180, "between 0 and 180")]
    rotation_interpolation: Annotated[str, one_of("nearest", "bilinear")]
    shifts: Shifts
    shift_probability: Annotated[float, FRACTION]
    lesion_infill: Annotated[float, FRACTION]
    lesion_crop: Annotated[float, FRACTION]
    background: Annotated[float, FRACTION]
    mixup_alpha: Annotated[float, NOT_NEGATIVE]


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW, its learning-rate schedule and the average of the weights."""

    learning_rate: Annotated[float, POSITIVE]
    weight_decay: Annotated[float, NOT_NEGATIVE]
    schedule: Annotated[str, one_of(*SCHEDULES)]
    warmup_epochs: Annotated[float, NOT_NEGATIVE]
    max_gradient_norm: Annotated[float, NOT_NEGATIVE]
    ema_decay: Annotated[float, DECAY]


@dataclass(frozen=True)
class OptimizerOverrides:
    """A network's own values of :class:`OptimizerConfig`; None takes the shared one."""

    learning_rate: Annotated[float | None, or_none(POSITIVE)]
    weight_decay: Annotated[float | None, or_none(NOT_NEGATIVE)]
    schedule: Annotated[str | None, or_none(one_of(*SCHEDULES))]
    warmup_epochs: Annotated[float | None, or_none(NOT_NEGATIVE)]
    max_gradient_norm: Annotated[float | None, or_none(NOT_NEGATIVE)]
    ema_decay: Annotated[float | None, or_none(DECAY)]


@dataclass(frozen=True)
class NetworkConfig:
    """A network, its initial weights and how long it is trained."""

    arch: str
    pretrained: str
    num_epochs: Annotated[int, POSITIVE_INTEGER]
    batch_norm_momentum: Momentum
    recalibrate_batch_norm: Annotated[int, NOT_NEGATIVE]
    optimizer: OptimizerOverrides

    @property
    def overrides(self) -> dict[str, float]:
        """Keywords of the network's constructor that differ from its defaults."""
        momentum = self.batch_norm_momentum
        return {} if momentum is None else {"batch_norm_momentum": momentum}


@dataclass(frozen=True)
class TeacherConfig(NetworkConfig):
    """The teacher: fine-tuned in this run, given as a checkpoint, or left untrained."""

    num_epochs: Annotated[int, NOT_NEGATIVE]
    checkpoint: str
    allow_untrained: bool


@dataclass(frozen=True)
class TermWeightsConfig(TermWeights):
    """Weights of the terms beside the paper's."""

    tckd: Annotated[float, NOT_NEGATIVE]
    nckd: Annotated[float, NOT_NEGATIVE]
    dist_inter: Annotated[float, NOT_NEGATIVE]
    dist_intra: Annotated[float, NOT_NEGATIVE]
    attention: Annotated[float, NOT_NEGATIVE]
    rkd_distance: Annotated[float, NOT_NEGATIVE]
    rkd_angle: Annotated[float, NOT_NEGATIVE]
    lesion_attention: Annotated[float, NOT_NEGATIVE]
    right_reasons: Annotated[float, NOT_NEGATIVE]
    counterfactual: Annotated[float, NOT_NEGATIVE]


@dataclass(frozen=True)
class DistillationConfig:
    """The student's loss: those of :class:`Objective`'s attributes that a student alone has."""

    alpha: Annotated[float, FRACTION]
    beta: Annotated[float, NOT_NEGATIVE]
    temperature: Annotated[float, POSITIVE]
    teacher_layer: str
    student_layer: str
    layer_pairs: Annotated[
        str, (are_pairs, "pairs such as layer2:features.12,layer3:features.16, or empty")
    ]
    normalise_features: bool
    standardise_logits: bool
    lesion_layer: str
    right_reasons_layer: str
    terms: TermWeightsConfig


@dataclass(frozen=True)
class CrossEntropyConfig:
    """How labels count, for both networks."""

    class_weights: Annotated[str, one_of("none", "balanced")]
    label_smoothing: Annotated[float, FRACTION]


@dataclass(frozen=True)
class EarlyStoppingConfig:
    """Which epoch is the best, and when a phase ends before its last one."""

    monitor: Annotated[str, one_of(*MONITORS)]
    patience: Annotated[int, POSITIVE_INTEGER]


@dataclass(frozen=True)
class ExperimentConfig:
    """All settings of one run."""

    name: str
    train: Annotated[str, one_of("student", "teacher")]
    seed: Annotated[int, NOT_NEGATIVE]
    batch_size: Annotated[int, POSITIVE_INTEGER]
    eval_batch_size: Annotated[int, POSITIVE_INTEGER]
    dtype: Annotated[str, one_of(*DTYPES)]
    deterministic: bool
    data: DataConfig
    augmentation: AugmentationConfig
    teacher: TeacherConfig
    student: NetworkConfig
    distillation: DistillationConfig
    cross_entropy: CrossEntropyConfig
    optimizer: OptimizerConfig
    early_stopping: EarlyStoppingConfig
    checkpoint_minutes: Annotated[float, NOT_NEGATIVE]

    def network(self, role: str) -> NetworkConfig:
        """The settings of the "teacher" or the "student"."""
        return self.teacher if role == "teacher" else self.student

    def optimizer_of(self, role: str) -> OptimizerConfig:
        """The optimizer of the "teacher" or the "student": the shared one with its own values."""
        own = dataclasses.asdict(self.network(role).optimizer)
        given = {name: value for name, value in own.items() if value is not None}
        return dataclasses.replace(self.optimizer, **given)

    def objective(self, role: str, class_weights: tuple[float, ...] = ()) -> Objective:
        """The loss of the "teacher" (labels alone) or the "student", with these class weights."""
        own = vars(self.distillation) if role == "student" else {}
        smoothing = self.cross_entropy.label_smoothing
        return Objective(**own, class_weights=class_weights, label_smoothing=smoothing)

    @property
    def needs_teacher(self) -> bool:
        """Whether a student is trained whose loss needs a teacher."""
        return self.train == "student" and self.objective("student").needs_teacher

    def needs_masks(self, role: str) -> bool:
        """Whether the "teacher" or the "student" is trained with outlines of lesions."""
        return self.augmentation.uses_lesions or self.objective(role).needs_lesions

    def to_dict(self) -> dict[str, Any]:
        """The settings as `config.json` holds them."""
        values: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        values["augmentation"]["shifts"] = dict(self.augmentation.shifts)
        return values


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
    if settings:
        problems += _conflicts(settings)
    if problems:
        raise UserError("; ".join(f"{prefix}{problem}" for problem in problems))
    return settings


def _conflicts(settings: ExperimentConfig) -> list[str]:
    """The problems with values that are valid alone."""
    problems = []
    if settings.train == "teacher" and settings.teacher.num_epochs == 0:
        problems.append("teacher.num_epochs=0 trains nothing; it must be at least 1")
    if settings.data.groups and settings.data.split not in NEED_GROUPS:
        problems.append(
            f"data.groups has no effect with data.split={settings.data.split}; use "
            f"{', '.join(NEED_GROUPS)}"
        )
    lesion_terms = settings.train == "student" and settings.objective("student").needs_lesions
    augmentation = settings.augmentation
    if not settings.data.lesion_masks and (lesion_terms or augmentation.needs_lesions):
        problems.append(
            "data.lesion_masks is empty, but augmentation.lesion_infill, augmentation.lesion_crop "
            "or a term of distillation.terms needs masks; give a folder or an archive of them"
        )
    if settings.distillation.terms.lesion_attention and not settings.distillation.lesion_layer:
        problems.append(
            "distillation.lesion_layer is empty, but distillation.terms.lesion_attention compares "
            'a feature map with outlines; give its name, or "auto"'
        )
    if augmentation.mixup_alpha and (lesion_terms or augmentation.lesion_infill):
        problems.append(
            "augmentation.mixup_alpha leaves no image whose lesion is outlined; set it, or "
            "augmentation.lesion_infill, distillation.terms.lesion_attention and right_reasons, "
            "to 0"
        )
    if settings.distillation.terms.counterfactual and not augmentation.lesion_infill:
        problems.append(
            "distillation.terms.counterfactual is of images whose lesion was taken away; set "
            "augmentation.lesion_infill too"
        )
    for role in ("teacher", "student"):
        warmup = settings.optimizer_of(role).warmup_epochs
        epochs = settings.network(role).num_epochs
        if warmup >= epochs > 0:
            problems.append(
                f"optimizer.warmup_epochs={warmup:g} leaves none of {role}.num_epochs={epochs}; "
                "lower it"
            )
    return problems


def _parse(group: Any, values: Mapping[str, Any], prefix: str, problems: list[str]) -> Any:
    """Constructs a dataclass and those within it; None if there are problems, which are added."""
    types = typing.get_type_hints(group, include_extras=True)
    for name in values:
        if name not in types:
            nearest = difflib.get_close_matches(str(name), types, n=1)
            hint = f"; did you mean {nearest[0]}?" if nearest else ""
            problems.append(f"{prefix}{name} is not a key of an experiment{hint}")
    fields: dict[str, Any] = {}
    for name, kind in types.items():
        key = f"{prefix}{name}"
        if name not in values:
            problems.append(f"{key} is missing")
        elif kind == Shifts:
            fields[name] = _parse_shifts(values[name], key, problems)
        elif not dataclasses.is_dataclass(kind):
            fields[name], must_be = _convert(values[name], kind)
            problems += [f"{key}={values[name]!r} must be {must_be}"] if must_be else []
        elif isinstance(values[name], Mapping):
            fields[name] = _parse(kind, values[name], f"{key}.", problems)
        else:
            problems.append(f"{key}={values[name]!r} must be a group of keys")
    return None if problems else group(**fields)


def _parse_shifts(values: Any, key: str, problems: list[str]) -> Shifts:
    """Returns families of shifts in their order; problems are added."""
    if not isinstance(values, Mapping):
        problems.append(f"{key}={values!r} must be a group of families with their severities")
        return ()
    for name, value in values.items():
        problem = problem_with(name, value) if _is_number(value) else "must be a number"
        problems += [f"{key}.{name}={value!r} {problem}"] if problem else []
    return tuple((name, float(values[name])) for name in FAMILIES if _is_number(values.get(name)))


def _convert(value: Any, kind: Any) -> tuple[Any, str]:
    """Returns the value as its type, and "" or what it must be."""
    if typing.get_origin(kind) is Annotated:
        kind, (in_range, must_be) = typing.get_args(kind)
        converted, wrong_type = _convert(value, kind)
        return converted, wrong_type or ("" if in_range(converted) else must_be)
    if value is None and type(None) in typing.get_args(kind):
        return None, ""
    if kind == Channels:
        if isinstance(value, Sequence) and len(value) == 3 and all(map(_is_number, value)):
            return tuple(map(float, value)), ""
        return None, "three numbers"
    accepts, convert, must_be = _TYPES[kind]
    return (convert(value), "") if accepts(value) else (None, must_be)


def _is_number(value: Any) -> bool:
    """Whether it is a real number, and an integer not beyond the range of floats."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    return not isinstance(value, Integral) or abs(int(value)) <= sys.float_info.max


_TYPES: dict[Any, tuple[Callable[[Any], bool], Callable[[Any], Any], str]] = {
    str: (lambda value: isinstance(value, str), str, "text"),
    bool: (lambda value: isinstance(value, bool), bool, "True or False"),
    int: (lambda value: isinstance(value, Integral) and _is_number(value), int, "an integer"),
    float: (_is_number, float, "a number"),
    float | None: (_is_number, float, "a number or None"),
    str | None: (lambda value: isinstance(value, str), str, "text or None"),
}
