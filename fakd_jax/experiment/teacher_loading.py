"""From a checkpoint to a frozen teacher that fits a run: its head, classes and preprocessing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jax.typing import DTypeLike

from fakd_jax.data.preprocessing import Preprocessing
from fakd_jax.errors import UserError
from fakd_jax.models.checkpoint import build_model
from fakd_jax.models.class_order import reorder_classes
from fakd_jax.models.state import model_state
from fakd_jax.runtime.hashing import sha256_of_json, sha256_of_tree
from fakd_jax.training.metric_log import LOGGER
from fakd_jax.training.step import Teacher

TRAINED_HEADS = ("trained", "pretrained")
"""Of a checkpoint that was trained here, and of one that was converted with its head."""


def load_teacher(
    checkpoint: Path,
    class_names: tuple[str, ...],
    preprocessing: Preprocessing,
    *,
    dtype: DTypeLike,
    allow_untrained: bool = False,
) -> tuple[Teacher, str]:
    """Loads a network as the teacher of a run.

    Its outputs are put in the order of the run's classes, and its images are normalised as it was
    trained on; what else differs is refused.

    Args:
      checkpoint: the teacher's.
      class_names: of the run's data.
      preprocessing: the run's.
      dtype: of the computation.
      allow_untrained: whether a head that was initialised at random will do.

    Returns:
      The teacher, and a digest of all that its outputs depend on.

    Raises:
      UserError: its head was not trained; it has other classes or other images than the run, or
        does not say which.
    """
    network, metadata = build_model(checkpoint, dtype=dtype, num_classes=len(class_names))
    LOGGER.info("teacher: %s from %s", metadata["arch"], checkpoint)
    if not _has_trained_head(checkpoint, metadata, allow_untrained):
        known = {key: value for key, value in metadata.items() if value is not None}
        defaults = {"class_names": class_names, "preprocessing": preprocessing.to_dict()}
        metadata = defaults | known
    given, own = require_same_task(checkpoint, metadata, class_names, preprocessing)
    if given != class_names:
        reorder_classes(network, given, class_names)
        LOGGER.info(
            "teacher: its outputs (%s) are put in the order of the data's classes (%s)",
            ", ".join(given),
            ", ".join(class_names),
        )
    digest = sha256_of_tree(model_state(network))
    if own == preprocessing:
        return Teacher.freeze(network), digest
    LOGGER.info("teacher: its images are normalised by its own mean %s, std %s", own.mean, own.std)
    return Teacher.freeze(network, own), sha256_of_json([digest, own.to_dict()])


def require_same_task(
    checkpoint: Path,
    metadata: Mapping[str, Any],
    class_names: tuple[str, ...],
    preprocessing: Preprocessing,
) -> tuple[tuple[str, ...], Preprocessing]:
    """Checks that a teacher has the classes of a run, and can be given its images.

    Args:
      checkpoint: the teacher's, for messages.
      metadata: the teacher's.
      class_names: of the run's data.
      preprocessing: the run's.

    Returns:
      The teacher's classes, perhaps in another order, and its preprocessing, which may differ from
      the run's in `mean` and `std`.

    Raises:
      UserError: it has other classes or other images, or does not say which.
    """
    names, stored = metadata.get("class_names"), metadata.get("preprocessing")
    if not names or not stored:
        raise UserError(
            f"the teacher {checkpoint} does not say what its classes are and how its images were "
            "prepared; convert it again with --class-names, --image-size, --mean and --std "
            "(fakd convert)"
        )
    given = tuple(names)
    if sorted(given) != sorted(class_names):
        raise UserError(
            f"the teacher {checkpoint} was trained on the classes {', '.join(given)}, the data has "
            f"{', '.join(class_names)}; give a teacher of the same classes"
        )
    own = Preprocessing.from_dict(stored)
    normalised_alike = dataclasses.replace(own, mean=preprocessing.mean, std=preprocessing.std)
    if normalised_alike.agrees_with(preprocessing):
        return given, dataclasses.replace(own, pixels=preprocessing.pixels)
    there, here = dataclasses.asdict(own), dataclasses.asdict(preprocessing)
    differing = [
        f"{key} {value}, here {here[key]}"
        for key, value in there.items()
        if value != here[key] and key not in ("mean", "std")
    ]
    raise UserError(
        f"the teacher {checkpoint} was trained on images that were prepared otherwise "
        f"({'; '.join(differing)}); set config.data accordingly"
    )


def _has_trained_head(checkpoint: Path, metadata: Mapping[str, Any], allow_untrained: bool) -> bool:
    """Whether a teacher's head was trained, here or elsewhere.

    Raises:
      UserError: it was not, and must have been.
    """
    head = metadata.get("head") or "unknown"
    if head in TRAINED_HEADS or allow_untrained:
        return head in TRAINED_HEADS
    raise UserError(
        f"the head of the teacher {checkpoint} is {head}; fine-tune it with "
        "--config teacher, or allow it with config.teacher.allow_untrained=True"
    )
