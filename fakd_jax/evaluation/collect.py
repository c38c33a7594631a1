"""The first step of an evaluation: everything that the metrics are computed from."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fakd_jax.audit.copies import LEARNT
from fakd_jax.audit.findings import duplicates_in_training
from fakd_jax.audit.record import Audit, find_audit
from fakd_jax.data.dataset import ImageDataset
from fakd_jax.data.groups import join_groups
from fakd_jax.errors import UserError
from fakd_jax.evaluation.baseline import Baseline, of_same_images, open_baseline
from fakd_jax.evaluation.setup import Setup, predict
from fakd_jax.inference.predictor import Predictor
from fakd_jax.metrics.classification import NOT_ASKED_FOR
from fakd_jax.metrics.predictions import Predictions
from fakd_jax.runs.own_split import OwnSplit, choose_ids, own_split

SPLIT_UNKNOWN = (
    "the data was audited, but the run's training images are unknown for it: no metrics by "
    "duplicates"
)
GROUPS_COUNT_AS_DUPLICATES = (
    "in the metrics by duplicates, images of one given group (config.data.groups) count as "
    "duplicates of each other"
)
Log = Callable[[str], object]
Predict = Callable[[Predictor, ImageDataset, Sequence[str], str], Predictions]
"""Predictions for the images with these ids, and what they are for; as :func:`predict`."""


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
        other = open_baseline(compare, (dataset.fingerprint, setup.split))
        baseline = of_same_images(other, contents, names, dataset.fingerprint)
    validated_on, validation_ids, calibration_notes = _validation_ids(setup, calibration)
    log(f"evaluation: {predictor.arch} on {len(ids):,} images ({setup.split} of {dataset.name})")
    predictions = predict(predictor, dataset, ids, "evaluating")
    validation = None
    if validation_ids:
        log(f"calibration: {len(validation_ids):,} validation images")
        validation = predict(predictor, validated_on, validation_ids, "calibrating")
    own, audit = own_split(dataset, setup.workdir), find_audit(dataset, setup.cache_dir)
    found: Mapping[str, int] | None = audit.groups if audit else None
    if setup.external is not None and setup.external.copies:
        found = setup.external.copies.groups
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
        _joined(found, given),
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


def _validation_ids(
    setup: Setup, calibration: bool
) -> tuple[ImageDataset, tuple[str, ...], list[str]]:
    """The images that choose a temperature and a threshold; or none, and a note on why."""
    dataset, external = setup.dataset, setup.external
    if not calibration:
        return dataset, (), [NOT_ASKED_FOR]
    if external is not None and external.training_data and external.validation_ids:
        return external.training_data, external.validation_ids, []
    if setup.split == "val":
        why = "the images evaluated are the validation images"
    else:
        try:
            ids = choose_ids(dataset, "val", setup.workdir, setup.predictor.metadata).ids
            return dataset, ids, []
        except UserError:  # a damaged split.json has been reported before
            why = "no split.json of a run names validation images of this data"
    return dataset, (), [f"no temperature and no reject threshold: {why}"]


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
    ids = setup.images.ids
    if setup.external is not None and (copies := setup.external.copies):
        apart = setup.images.apart
        learnt = {id for id in copies.groups if id.startswith(LEARNT)}
        set_apart = predict(setup.predictor, setup.dataset, apart, "copies") if apart else None
        return Duplicates(copies.audit, learnt, set_apart, {}), []
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
    set_apart = None
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
