"""Checks of a given teacher: where its checkpoint is, and which images it has seen."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.splits import Split
from fakd_jax.errors import UserError
from fakd_jax.experiment.settings import ExperimentConfig
from fakd_jax.models.checkpoint import load_metadata, resolve_checkpoint
from fakd_jax.models.torch_weights.pretrained import checkpoint_folder
from fakd_jax.runs.learnt_images import LearntImages, find_learnt_images
from fakd_jax.runtime.hub import local_path
from fakd_jax.training.batches import learnt_part
from fakd_jax.training.metric_log import LOGGER


def teacher_checkpoint(path: Path | str) -> Path:
    """Resolves a path to a teacher's checkpoint: in a workdir, its teacher's and not its student's.

    A bundle on the Hub, `hf://OWNER/NAME[@REVISION]`, is one too.

    Raises:
      UserError: there is none.
    """
    path = local_path(path).expanduser()
    if (path / "teacher").is_dir():
        return resolve_checkpoint(path / "teacher")
    if (path / "student").is_dir():
        raise UserError(
            f"{path} has no teacher, only a student; to distil from that, give "
            f"{path / 'student'} as config.teacher.checkpoint"
        )
    return resolve_checkpoint(path)


def learnt_images(
    config: ExperimentConfig, dataset: ImageDataset, split: Split
) -> dict[str, LearntImages]:
    """The images that a run's "teacher" and "student" learn from, directly or through others.

    Checks on the way that no network which they build on has seen the run's test images: a given
    teacher, and initial weights from a checkpoint. A network that was trained on images which are
    not labelled in this run is only logged: it may bring their labels into the run.

    Raises:
      UserError: one has, see :func:`require_unseen`; or there is no such checkpoint.
    """
    roles = ("teacher", "student") if config.needs_teacher else (config.train,)
    parts = {role: learnt_part(config.objective(role), split) for role in ("teacher", "student")}

    def given(checkpoint: Path, what: str) -> LearntImages | None:
        metadata = load_metadata(checkpoint)
        of_run = parts[config.train]  # a student's has all that its teacher learns from
        learnt = require_unseen(what, checkpoint, metadata, dataset, of_run)
        _warn_of_labels(what, checkpoint, learnt, split)
        return learnt

    learnt = {role: LearntImages.of_split(part) for role, part in parts.items()}
    for role in roles:
        if role == "teacher" and config.needs_teacher and config.teacher.checkpoint:
            checkpoint = teacher_checkpoint(config.teacher.checkpoint)
            learnt[role] = learnt[role].derived_from(given(checkpoint, "the teacher"))
        elif folder := checkpoint_folder(config.network(role).pretrained):
            checkpoint = resolve_checkpoint(folder)
            if load_metadata(checkpoint).get("config"):  # trained here, not converted
                learnt[role] = learnt[role].derived_from(
                    given(checkpoint, f"config.{role}.pretrained")
                )
    if config.needs_teacher:
        learnt["student"] = learnt["student"].derived_from(learnt["teacher"])
    return learnt


def require_unseen(
    what: str,
    checkpoint: Path,
    metadata: Mapping[str, Any],
    dataset: ImageDataset,
    split: Split,
) -> LearntImages | None:
    """Checks that a network which a run builds on has not seen the run's test images.

    A student learns from its teacher what that has learnt from an image, and a network keeps what
    its initial weights have. Hence no test image may be among the images that the given network,
    or one that it was derived from, was trained on, or among those that chose an epoch. Images are
    recognised by their content, whatever the data are called and wherever they are. Where the
    run's split keeps groups together, a member of a test image's group counts as the image. Test
    images of which the run's own training images have an exact copy do not count: the run itself
    learns from them, as the audit reports.

    Two cases are only logged: validation images that the network was trained on, which make the
    choice of the run's epoch too optimistic but no test metric; and images that are unknown.

    Args:
      what: the network, for messages.
      checkpoint: the network's, an absolute path.
      metadata: the checkpoint's.
      dataset: the run's data.
      split: the run's.

    Returns:
      The images that the network has learnt from; None if they are unknown.

    Raises:
      UserError: it has seen some.
    """
    learnt = find_learnt_images(checkpoint, metadata, dataset)
    if learnt is None or not learnt.complete:
        LOGGER.warning(
            "%s: %s does not list the images that it%s was trained on; whether test images of this "
            "run are among them cannot be known",
            what,
            checkpoint,
            "" if learnt is None else ", or a network that it was derived from,",
        )
    if learnt is None:
        return None
    content = {example.id: example.content for example in dataset.examples}
    trained = {content[id] for id in split.train}
    own = trained | {content[id] for id in split.val}
    if test := _count_seen(split.test, learnt.every - own, content, split.groups):
        described = (metadata.get("data") or {}).get("split_description") or "split unknown"
        included = ", their groups included" if split.groups else ""
        raise UserError(
            f"{what} {checkpoint} ({described}) has learnt from {test:,} of the "
            f"{len(split.test):,} test images of this run ({split.describe()}){included}; train it "
            "on this run's split, or set config.seed and config.data.split, folds, fold and "
            "validation_fraction as in its config.json"
        )
    if val := _count_seen(split.val, learnt.train - trained, content, split.groups):
        LOGGER.warning(
            "%s: %s was trained on %d of the %d validation images of this run, by which the "
            "epoch, temperature and threshold are chosen; no test image is among them",
            what,
            checkpoint,
            val,
            len(split.val),
        )
    return learnt


def _warn_of_labels(what: str, checkpoint: Path, learnt: LearntImages | None, split: Split) -> None:
    """Logs that a network was trained on images which are not labelled in this run."""
    labelled = {split.content[id] for id in split.train_labelled}
    unlabelled = {split.content[id] for id in split.train} - labelled
    if learnt is not None and (number := len(unlabelled & learnt.train)):
        LOGGER.warning(
            "%s: %s was trained on %s of the %s training images that are not labelled in this run, "
            "and may bring their labels into it; give one of the same config.data.labelled_share",
            what,
            checkpoint,
            f"{number:,}",
            f"{len(unlabelled):,}",
        )


def _count_seen(
    ids: Iterable[str],
    seen: Collection[str],
    content: Mapping[str, str],
    groups: Mapping[str, int],
) -> int:
    """Counts the ids whose content is among that seen, or whose group has a member there."""
    known = {groups[id] for id, what in content.items() if what in seen and id in groups}
    return sum(content[id] in seen or groups.get(id) in known for id in ids)
