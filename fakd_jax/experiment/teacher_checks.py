"""Checks of a given teacher: its checkpoint, whether it fits, and which images it has seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fakd_jax.audit.record import find_audit
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.preprocessing import Preprocessing
from fakd_jax.data.splits import Split
from fakd_jax.errors import UserError
from fakd_jax.models.checkpoint import resolve_checkpoint
from fakd_jax.runs.workdir import find_workdir, own_split
from fakd_jax.training.metric_log import LOGGER


def teacher_checkpoint(path: Path) -> Path:
    """Resolves a path to a teacher's checkpoint: in a workdir, its teacher's and not its student's.

    Raises:
      UserError: there is none.
    """
    path = path.expanduser()
    if (path / "teacher").is_dir():
        return resolve_checkpoint(path / "teacher")
    if (path / "student").is_dir():
        raise UserError(
            f"{path} has no teacher, only a student; to distil from that, give "
            f"{path / 'student'} as config.teacher.checkpoint"
        )
    return resolve_checkpoint(path)


def require_same_task(
    checkpoint: Path,
    metadata: Mapping[str, Any],
    class_names: tuple[str, ...],
    preprocessing: Preprocessing,
) -> None:
    """Checks that a teacher has the classes and the preprocessing of a run.

    Args:
      checkpoint: the teacher's, for messages.
      metadata: the teacher's; what is missing in it passes.
      class_names: of the run's data.
      preprocessing: the run's.

    Raises:
      UserError: it has others.
    """
    known = tuple(metadata.get("class_names") or class_names)
    if known != class_names:
        raise UserError(
            f"the teacher {checkpoint} was trained on the classes {', '.join(known)}, the data has "
            f"{', '.join(class_names)}; give a teacher of the same classes"
        )
    given = metadata.get("preprocessing")
    if given is not None and Preprocessing.from_dict(given) != preprocessing:
        raise UserError(
            f"the teacher {checkpoint} was trained with another preprocessing ({given}); "
            "set config.data.image_size, mean and std accordingly"
        )


def require_unseen(
    checkpoint: Path, dataset: ImageDataset, split: Split, cache_dir: Path | str | None
) -> None:
    """Checks that a teacher has not seen the test images of its student.

    A student learns from its teacher what that has learnt from an image. Hence no test image of
    the student may be among the teacher's training images, or among the validation images that
    chose the teacher's epoch. If the student's split keeps duplicates together and their audit is
    available, a duplicate of an image counts as the image.

    Two cases are only logged: validation images that the teacher was trained on, which make the
    choice of the student's epoch too optimistic but no test metric; and a teacher of other data or
    outside a workdir, whose images are unknown.

    Args:
      checkpoint: the teacher's, an absolute path.
      dataset: the student's data.
      split: the student's.
      cache_dir: where the audit is kept, see :func:`fakd_jax.audit.record.find_audit`.

    Raises:
      UserError: it has seen some.
    """
    teachers = own_split(dataset, find_workdir(checkpoint))
    if teachers is None:
        LOGGER.info(
            "teacher: %s has no split of this data beside it; whether it was trained on test "
            "images of the student cannot be known",
            checkpoint,
        )
        return
    if (teachers.train, teachers.val, teachers.test) == (split.train, split.val, split.test):
        return
    audit = find_audit(dataset, cache_dir) if split.audit else None
    groups = audit.groups if audit and audit.fingerprint == split.audit else None
    if test := _count_seen(split.test, (*teachers.train, *teachers.val), groups):
        raise UserError(
            f"the teacher {checkpoint} ({teachers.describe()}) has learnt from {test:,} of the "
            f"{len(split.test):,} test images of this run ({split.describe()})"
            f"{', duplicates included' if groups else ''}; train the teacher on this run's split, "
            "or set config.seed and config.data.split, folds, fold and validation_fraction as in "
            "the teacher's config.json"
        )
    if val := _count_seen(split.val, teachers.train, groups):
        LOGGER.warning(
            "teacher: %s was trained on %d of the %d validation images of this run, by which the "
            "student's epoch, temperature and threshold are chosen; no test image is among them",
            checkpoint,
            val,
            len(split.val),
        )


def _count_seen(ids: Iterable[str], seen: Iterable[str], groups: dict[str, int] | None) -> int:
    """Counts the ids that are among those seen, or whose group is if groups are given."""
    if groups is None:
        return len(set(ids) & set(seen))
    known = {groups[id] for id in seen}
    return sum(groups[id] in known for id in ids)
