"""What a run asks of its networks, checked before anything is trained: above all, their layers."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from fakd_jax.errors import UserError
from fakd_jax.experiment.settings import ExperimentConfig
from fakd_jax.experiment.teacher_checks import teacher_checkpoint
from fakd_jax.models import feature_shapes
from fakd_jax.models.checkpoint import load_metadata
from fakd_jax.models.registry import takes
from fakd_jax.training.metric_log import LOGGER

AUTO = "auto"
"""The layer that suits the network, see :func:`choose_layers`."""


def choose_layers(config: ExperimentConfig) -> ExperimentConfig:
    """Replaces layers called :data:`AUTO` by those that suit the networks, where they are compared.

    Of a student, that is the last feature map: MobileNetV3-Large's `features.16`. Of a teacher, and
    where attention is compared with lesions, it is the last map before the last halving of its
    sides, such as a ResNet's `layer3`.

    Raises:
      UserError: there is no such network or teacher.
    """
    objective, size = config.objective("student"), config.data.image_size
    chosen: dict[str, Any] = {}
    if config.needs_teacher and objective.compares_features and not objective.layer_pairs:
        if objective.teacher_layer == AUTO:
            chosen["teacher_layer"] = _last_maps(_teacher_arch(config), size)[0]
        if objective.student_layer == AUTO:
            chosen["student_layer"] = _last_maps(config.student.arch, size)[1]
    if config.train == "student" and AUTO in objective.lesion_layers:
        middle = _last_maps(config.student.arch, size)[0]
        keys = ("lesion_layer", "right_reasons_layer")
        chosen |= {key: middle for key in keys if getattr(objective, key) == AUTO}
    return dataclasses.replace(
        config, distillation=dataclasses.replace(config.distillation, **chosen)
    )


def channels_of_pairs(config: ExperimentConfig) -> list[tuple[int, int]]:
    """Returns the channels of the feature maps compared: teacher's, student's, per pair of layers.

    Raises:
      UserError: a network has no such feature map.
    """
    objective = config.objective("student")
    if not (config.needs_teacher and objective.pairs):
        return []
    size = config.data.image_size
    archs = {"teacher": _teacher_arch(config), "student": config.student.arch}
    maps = {role: _channels(arch, size) for role, arch in archs.items()}
    layers = {"teacher": objective.teacher_features, "student": objective.student_features}
    for role, names in layers.items():
        for name in names:
            if name not in maps[role]:
                key = "layer_pairs" if objective.layer_pairs else f"{role}_layer"
                raise UserError(
                    f"the {role} has no feature map {name!r} (config.distillation.{key}); "
                    f"it has {', '.join(maps[role])}"
                )
    return [(maps["teacher"][one], maps["student"][two]) for one, two in objective.pairs]


def require_lesion_layers(config: ExperimentConfig) -> None:
    """Checks that the student has the feature maps that are compared with lesions, if any are.

    Raises:
      UserError: it has none of such a name.
    """
    layers = config.objective("student").lesion_layers
    if config.train != "student" or not layers:
        return
    maps = _channels(config.student.arch, config.data.image_size)
    for name in layers:
        if name not in maps:
            key = (
                "lesion_layer"
                if name == config.distillation.lesion_layer
                else "right_reasons_layer"
            )
            raise UserError(
                f"the student has no feature map {name!r} (config.distillation.{key}); "
                f"it has {', '.join(maps)}"
            )


def leave_out_momentum(config: ExperimentConfig) -> ExperimentConfig:
    """Sets the momentum of batch norms to None for networks without any, and logs that.

    A variant of a config may set it, and a flag cannot unset it.

    Raises:
      UserError: there is no such network.
    """
    for role in ("teacher", "student"):
        network = config.network(role)
        if network.batch_norm_momentum is None or takes(network.arch, "batch_norm_momentum"):
            continue
        LOGGER.info(
            "%s: config.%s.batch_norm_momentum has no effect, as %s has no batch norms",
            role,
            role,
            network.arch,
        )
        plain: dict[str, Any] = {role: dataclasses.replace(network, batch_norm_momentum=None)}
        config = dataclasses.replace(config, **plain)
    return config


def _teacher_arch(config: ExperimentConfig) -> str:
    """The given teacher's network, or that of the teacher to be trained."""
    if not config.teacher.checkpoint:
        return config.teacher.arch
    return str(load_metadata(teacher_checkpoint(config.teacher.checkpoint))["arch"])


def _last_maps(arch: str, image_size: int) -> tuple[str, str]:
    """The names of the last feature map before the last halving of the sides, and of the last."""
    sides = {name: shape[0] for name, shape in _shapes(arch, image_size).items()}
    sides.pop("pre_logits", None)
    last = list(sides)[-1]
    larger = [name for name, side in sides.items() if side > sides[last]]
    return (larger or [last])[-1], last


def _channels(arch: str, image_size: int) -> dict[str, int]:
    """The channels of a network's feature maps by name."""
    shapes = _shapes(arch, image_size)
    return {name: shape[-1] for name, shape in shapes.items() if len(shape) == 3}


@functools.lru_cache(maxsize=8)
def _shapes(arch: str, image_size: int) -> dict[str, tuple[int, int, int]]:
    return feature_shapes(arch, image_size)
