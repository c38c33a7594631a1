"""The first step of an evaluation: everything that the metrics are computed from."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from fakd_jax.audit.findings import duplicates_in_training
from fakd_jax.audit.record import Audit, find_audit
from fakd_jax.data.appearance import Appearance
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.groups import join_groups
from fakd_jax.data.pipeline import Batch, ImageSource, eval_batches
from fakd_jax.errors import UserError
from fakd_jax.evaluation.baseline import Baseline, of_same_images, open_baseline
from fakd_jax.inference.predictor import Predictor, softmax
from fakd_jax.metrics.classification import NOT_ASKED_FOR
from fakd_jax.metrics.predictions import Predictions
from fakd_jax.models.checkpoint import load_metadata, resolve_checkpoint
from fakd_jax.runs.own_split import OwnSplit, SplitIds, choose_ids, own_split
from fakd_jax.runs.workdir import data_cache_dir, open_data, trained_dtype

SPLIT_UNKNOWN = (
    "the data was audited, but the run's training images are unknown for it: no metrics by "
    "duplicates"
)
GROUPS_COUNT_AS_DUPLICATES = (
    "in the metrics by duplicates, images of one given group (config.data.groups) count as "
    "duplicates of each other"
)
SPLITS = ("test", "val", "train")
Log = Callable[[str], object]
Predict = Callable[[Predictor, ImageDataset, Sequence[str], str], Predictions]
"""Predictions for the images with these ids, and what they are for; as :func:`predict`."""


@dataclass(frozen=True)
class Setup:
    """The network and the images of an evaluation.

    Attributes:
      workdir: of the run that trained the network, if there is one.
      dataset: the data, with the classes that the network predicts.
      split: "test", "val" or "train".
      images: the images of the split.
      cache_dir: where prepared data and audits are kept; None for the user's own.
    """

    predictor: Predictor
    workdir: Path | None
    dataset: ImageDataset
    split: str
    images: SplitIds
    cache_dir: Path | str | None


@dataclass(frozen=True)
class Duplicates:
    """What an audit of the data found.

    Attributes:
      audit: the audit's fingerprint.
      training_ids: images that the run trained on or selected its epoch by; None if unknown.
      set_apart: predictions for test images that only the subsets count, because they have a
        duplicate in training.
      in_training: a duplicate among the training images, by the id of the image evaluated.
    """

    audit: str
    training_ids: Collection[str] | None
    set_apart: Predictions | None = None
    in_training: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Collected:
    """What the metrics are computed from.

    Attributes:
      predictions: for the images evaluated.
      class_names: C names.
      negative_class: the class without a tumour, if there is one.
      validation: predictions for the run's validation images, if those are known.
      groups: the group by id; images of a group count as one in intervals and tests. They are
        duplicates of each other or, if `given_groups`, of one group of the run's own, such as a
        patient. Ids absent from it are alone; None if no groups are known.
      given_groups: whether the run was given groups of its own, or the data have some.
      duplicates: None where the data has not been audited, or `groups` are unknown.
      baseline: another model to compare with.
      notes: caveats for the user.
    """

    predictions: Predictions
    class_names: Sequence[str]
    negative_class: str | None = None
    validation: Predictions | None = None
    groups: Mapping[str, int] | None = None
    given_groups: bool = False
    duplicates: Duplicates | None = None
    baseline: Baseline | None = None
    notes: tuple[str, ...] = ()


def require_split(split: str) -> None:
    """Refuses a split that does not exist.

    Raises:
      UserError: it is none of "test", "val" and "train".
    """
    if split not in SPLITS:
        raise UserError(f"unknown split {split!r}; choose one of {', '.join(SPLITS)}")


def open_predictor(
    checkpoint: Path | str,
    *,
    batch_size: int | None = None,
    dtype: str | None = None,
    allow_untrained: bool = False,
) -> Predictor:
    """Opens a checkpoint; batch size and precision are the training's unless given.

    Raises:
      UserError: see :meth:`fakd_jax.inference.predictor.Predictor.from_checkpoint`.
    """
    metadata = load_metadata(resolve_checkpoint(checkpoint))
    trained_with = metadata.get("config") or {}
    return Predictor.from_checkpoint(
        checkpoint,
        batch_size=trained_with.get("eval_batch_size", 32) if batch_size is None else batch_size,
        dtype=dtype or trained_dtype(metadata),
        allow_untrained=allow_untrained,
    )


def open_setup(
    predictor: Predictor,
    workdir: Path | None,
    *,
    source: str | None,
    split: str,
    cache_dir: Path | str | None,
    class_map: str = "",
    log: Log,
) -> Setup:
    """Opens the data given, or else the training data, and finds the images of the split.

    A network whose classes are in another order than the data's gives its outputs in the data's.

    Raises:
      UserError: no such data or split, or classes other than the network's.
    """
    dataset = open_data(
        predictor.metadata, source, cache_dir=cache_dir, class_map=class_map, log=log
    )
    if sorted(dataset.class_names) != sorted(predictor.class_names):
        raise UserError(
            f"the data's classes are {', '.join(dataset.class_names)}, the checkpoint's "
            f"{', '.join(predictor.class_names)}; give data with the checkpoint's classes"
        )
    if tuple(dataset.class_names) != predictor.class_names:
        log(f"evaluation: outputs in the data's order of classes, {', '.join(dataset.class_names)}")
        predictor = predictor.with_class_order(dataset.class_names)
    images = choose_ids(dataset, split, workdir, predictor.metadata)
    if images.note:
        log(f"evaluation: {images.note}")
    known, size = Appearance.of_training(predictor.metadata), predictor.preprocessing.image_size
    if known and (unlike := known.describe_unlike(dataset, images.ids, size)):
        log(f"evaluation: {unlike}")
        images = replace(images, note="; ".join(filter(None, [images.note, unlike])))
    kept_in = data_cache_dir(predictor.metadata, cache_dir)
    return Setup(predictor, workdir, dataset, split, images, kept_in)


def predict(
    predictor: Predictor, dataset: ImageDataset, ids: Sequence[str], description: str
) -> Predictions:
    """Predictions for the images, in their order, behind a progress bar with the description."""
    from tqdm import tqdm

    # disable=None: no bar where the output is not a terminal.
    with tqdm(total=len(ids), desc=description, unit=" images", leave=False, disable=None) as bar:
        return predict_batches(predictor, dataset, ids, on_images=bar.update)


def predict_batches(
    predictor: Predictor,
    dataset: ImageSource,
    ids: Sequence[str],
    *,
    alter: Callable[[Batch], np.ndarray] | None = None,
    on_images: Callable[[int], object] | None = None,
) -> Predictions:
    """Predictions for images, in their order.

    Args:
      predictor: the network.
      dataset: has the images.
      ids: of the images.
      alter: from a batch of :func:`fakd_jax.data.pipeline.eval_batches` to the images to predict
        instead, uint8 `[B, S, S, 3]`; None for those of the data.
      on_images: called after each batch with its number of images.
    """
    logits, labels = [], []
    side, batch_size = predictor.preprocessing.image_size, predictor.batch_size
    for batch in eval_batches(dataset, ids, batch_size=batch_size, image_size=side):
        mask = np.asarray(batch["mask"])
        images = batch["image"] if alter is None else alter(batch)
        logits.append(predictor.logits_of_batch(images)[mask])
        labels.append(np.asarray(batch["label"])[mask])
        if on_images is not None:
            on_images(int(mask.sum()))
    all_logits = np.concatenate(logits)
    return Predictions(tuple(ids), all_logits, softmax(all_logits), np.concatenate(labels))


def collect(
    setup: Setup,
    *,
    calibration: bool,
    compare: Path | str | None,
    log: Log,
    predict: Predict = predict,
) -> Collected:
    """Predicts the classes of all images needed, and reads what else is known about them.

    Args:
      setup: the network and the images.
      calibration: whether to predict the validation images too.
      compare: see :func:`fakd_jax.evaluation.baseline.open_baseline`; None for no comparison.
      log: called with lines for the user.
      predict: predicts, or finds predictions made before.

    Raises:
      UserError: the other evaluation is missing, or is of other images.
    """
    predictor, dataset, ids = setup.predictor, setup.dataset, setup.images.ids
    baseline = None
    if compare:  # before any time is spent on predictions
        labels = [dataset.examples[dataset.index_of(id)].label for id in ids]
        names = [dataset.class_names[label] for label in labels]
        contents = dataset.contents(ids)
        baseline = of_same_images(open_baseline(compare), contents, names, dataset.fingerprint)
    validation_ids, calibration_notes = _validation_ids(setup, calibration)
    log(f"evaluation: {predictor.arch} on {len(ids):,} images ({setup.split} of {dataset.name})")
    predictions = predict(predictor, dataset, ids, "evaluating")
    validation = None
    if validation_ids:
        log(f"calibration: {len(validation_ids):,} validation images")
        validation = predict(predictor, dataset, validation_ids, "calibrating")
    own, audit = own_split(dataset, setup.workdir), find_audit(dataset, setup.cache_dir)
    given: Mapping[str, int] | None = join_groups(dataset.groups) if dataset.groups else None
    if own is not None and own.stored.given_groups:
        given = own.found.groups
    duplicates, audit_notes = _duplicates(setup, own, audit, predict)
    negative_class, negative_notes = _negative_class(predictor)
    return Collected(
        predictions,
        predictor.class_names,
        negative_class,
        validation,
        _joined(audit.groups if audit else None, given),
        given is not None,
        duplicates,
        baseline,
        (*filter(None, [setup.images.note]), *audit_notes, *calibration_notes, *negative_notes),
    )


def audit_command(
    source: str, cache_dir: Path | str | None, class_map: Mapping[str, str] | None = None
) -> str:
    """The command that audits the data where the next evaluation looks for it.

    >>> audit_command("hospital scans.zip", None, {"no": "notumor"})
    "python -m fakd_jax.audit --data 'hospital scans.zip' --class-map no=notumor"
    """
    words = ["python", "-m", "fakd_jax.audit", "--data", source]
    if class_map:
        words += ["--class-map", ",".join(f"{name}={new}" for name, new in class_map.items())]
    return shlex.join([*words, "--cache-dir", str(cache_dir)] if cache_dir else words)


def _validation_ids(setup: Setup, calibration: bool) -> tuple[tuple[str, ...], list[str]]:
    """The images that choose a temperature and a threshold; or none, and a note on why."""
    if not calibration:
        return (), [NOT_ASKED_FOR]
    if setup.split == "val":
        why = "the images evaluated are the validation images"
    else:
        try:
            return choose_ids(setup.dataset, "val", setup.workdir, setup.predictor.metadata).ids, []
        except UserError:  # a damaged split.json has been reported before
            why = "no split.json of a run names validation images of this data"
    return (), [f"no temperature and no reject threshold: {why}"]


def _joined(
    duplicates: Mapping[str, int] | None, given: Mapping[str, int] | None
) -> Mapping[str, int] | None:
    """Both groupings as one; None if there is neither."""
    if duplicates is not None and given is not None:
        return join_groups(duplicates, given)
    return given if duplicates is None else duplicates


def _duplicates(
    setup: Setup, own: OwnSplit | None, audit: Audit | None, predict: Predict
) -> tuple[Duplicates | None, list[str]]:
    """What an audit says about this run, and notes on what it cannot say."""
    if audit is None:
        dataset = setup.dataset
        command = audit_command(dataset.source, setup.cache_dir, dataset.class_map)
        return None, [f"the data has not been checked for duplicates of training images: {command}"]
    if own is None or not own.knows("train"):
        return Duplicates(audit.fingerprint, None), [SPLIT_UNKNOWN]
    notes = []
    if missing := own.missing("train") + own.missing("val"):
        notes.append(
            f"{missing:,} images that the run learnt from are not in the data: their duplicates "
            "are not counted"
        )
    if own.stored.given_groups:
        notes.append(GROUPS_COUNT_AS_DUPLICATES)
    training_ids = (*own.found.train, *own.found.val)
    ids, set_apart = setup.images.ids, None
    if (apart := own.found.apart) and setup.split == "test":
        set_apart = predict(setup.predictor, setup.dataset, apart, "images set apart")
    found = duplicates_in_training(audit, ids, set(training_ids).difference(ids))
    in_training = {id: duplicate.training for id, duplicate in found.items()}
    return Duplicates(audit.fingerprint, training_ids, set_apart, in_training), notes


def _negative_class(predictor: Predictor) -> tuple[str | None, list[str]]:
    """The class without a tumour; or None, and a note on why.

    Training stores "" where its config says that all classes are tumours, None where it does not
    say.
    """
    negative = predictor.metadata.get("negative_class")
    if negative is None:
        return None, [
            "missed tumours are not counted: the class without a tumour is unknown; name it at "
            "training with config.data.negative_class, or at conversion with --negative-class"
        ]
    if not negative or negative in predictor.class_names:
        return negative or None, []
    return None, [
        f"missed tumours are not counted: there is no class {negative}, the negative class"
    ]
