"""The layers whose feature maps a run compares, checked before anything is trained."""

from __future__ import annotations

from pathlib import Path

from fakd_jax.errors import UserError
from fakd_jax.experiment.settings import ExperimentConfig
from fakd_jax.experiment.teacher_checks import teacher_checkpoint
from fakd_jax.models import feature_shapes
from fakd_jax.models.checkpoint import load_metadata


def channels_of_pairs(config: ExperimentConfig) -> list[tuple[int, int]]:
    """Returns the channels of the feature maps compared: teacher's, student's, per pair of layers.

    Raises:
      UserError: a network has no such feature map.
    """
    objective = config.objective("student")
    if not (config.needs_teacher and objective.pairs):
        return []
    teacher = config.teacher.arch
    if config.teacher.checkpoint:
        teacher = load_metadata(teacher_checkpoint(Path(config.teacher.checkpoint)))["arch"]
    size = config.data.image_size
    maps = {"teacher": _maps(teacher, size), "student": _maps(config.student.arch, size)}
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
    maps = _maps(config.student.arch, config.data.image_size)
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


def _maps(arch: str, image_size: int) -> dict[str, int]:
    """The channels of a network's feature maps by name."""
    shapes = feature_shapes(arch, image_size)
    return {name: shape[-1] for name, shape in shapes.items() if len(shape) == 3}
