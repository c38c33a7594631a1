"""A teacher that a run is given: its checkpoint, whether it fits, and what it has seen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from fakd_jax.audit.audit import find_audit
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.preprocessing import Preprocessing
from fakd_jax.data.splits import Split
from fakd_jax.errors import UserError
from fakd_jax.models.checkpoint import resolve_checkpoint
from fakd_jax.runs.workdir import find_workdir, own_split
from fakd_jax.training.metric_log import LOGGER


def teacher_checkpoint(path: Path) -> Path:
    """The teacher's checkpoint that a path means: of a workdir its teacher, not its student.

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
    """Checks that a teacher tells a run's classes apart, on images prepared as the run's are.

    Args:
      checkpoint: the teacher's, for messages.
      metadata: the teacher's; what it does not say is taken to fit.
      class_names: of the run's data.
      preprocessing: the run's.

    Raises:
      UserError: it does not.
    """
    known = tuple(metadata.get("class_names") or class_names)
    if known != class_names:
        raise UserError(
            f"the teacher {checkpoint} tells {', '.join(known)} apart, the data have "
            f"{', '.join(class_names)}; give a teacher of the same classes"
        )
    given = metadata.get("preprocessing")
    if given is not None and Preprocessing.from_dict(given) != preprocessing:
        raise UserError(
            f"the teacher {checkpoint} was trained on images prepared otherwise ({given}); "
            "set config.data.image_size, mean and std to these"
        )


def require_unseen(
    checkpoint: Path, dataset: ImageDataset, split: Split, cache_dir: Path | str | None
) -> None:
    """Checks that a teacher has not seen the images that its student is tested on.

    What a teacher has learnt of an image its student learns from it. So no test image of the
    student may be among those that the teacher was trained on or its epoch chosen by. Where the
    student's split keeps copies together and their audit is at hand, a copy of an image counts as
    the image. Validation images that it was trained on make the choice of the student's epoch
    too hopeful, but no figure of the test: that is logged, so that one teacher can serve students
    of several seeds. Of a teacher outside a workdir, or of other data, nothing can be known, which
    is logged too.

    Args:
      checkpoint: the teacher's, an absolute path.
      dataset: the student's data.
      split: the student's.
      cache_dir: where the audit lies, see :func:`fakd_jax.audit.audit.find_audit`.

    Raises:
      UserError: it has seen some.
    """
    taught = own_split(dataset, find_workdir(checkpoint))
    if taught is None:
        LOGGER.info(
            "teacher: %s has no split of these data beside it; whether it was trained on images "
            "that the student is tested on cannot be known",
            checkpoint,
        )
        return
    if (taught.train, taught.val, taught.test) == (split.train, split.val, split.test):
        return
    groups = _groups(dataset, split, cache_dir)
    test = _met(split.test, (*taught.train, *taught.val), groups)
    if test:
        raise UserError(
            f"the teacher {checkpoint} ({taught.describe()}) has learnt from {test:,} of the "
            f"{len(split.test):,} test images of this run ({split.describe()})"
            f"{', copies included' if groups else ''}; train the teacher on this run's split, or "
            "set config.seed and config.data.split, folds, fold and validation_fraction as the "
            "teacher's config.json has them"
        )
    if val := _met(split.val, taught.train, groups):
        LOGGER.warning(
            "teacher: %s was trained on %d of the %d validation images of this run, by which the "
            "student's epoch, temperature and threshold are chosen; no test image is among them",
            checkpoint,
            val,
            len(split.val),
        )


def _groups(
    dataset: ImageDataset, split: Split, cache_dir: Path | str | None
) -> dict[str, int] | None:
    """The groups that the split kept together; None if it kept none, or they are not at hand."""
    audit = find_audit(dataset, cache_dir) if split.audit else None
    return audit.groups if audit and audit.fingerprint == split.audit else None


def _met(ids: Iterable[str], seen: Iterable[str], groups: dict[str, int] | None) -> int:
    """How many of the ids are among those seen, by their groups where these are given."""
    if groups is None:
        return len(set(ids) & set(seen))
    known = {groups[id] for id in seen}
    return sum(groups[id] in known for id in ids)
