"""The whole evaluation of a checkpoint: figures, predictions, table, pictures, provenance."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fakd_jax.audit.audit import Audit, find_audit
from fakd_jax.audit.findings import duplicates_in_training
from fakd_jax.errors import UserError
from fakd_jax.evaluation.audit_command import audit_command
from fakd_jax.evaluation.baseline import Baseline, open_baseline, require_same_images
from fakd_jax.evaluation.collect import predict, predictions_text
from fakd_jax.evaluation.latency import measure_latency
from fakd_jax.evaluation.measure import Duplicates, measure
from fakd_jax.evaluation.report.mistakes import worst_mistakes
from fakd_jax.evaluation.report.page import write_report
from fakd_jax.evaluation.report.provenance import describe_provenance
from fakd_jax.evaluation.report.text import table2
from fakd_jax.inference.predictor import Predictor
from fakd_jax.metrics.classification import NOT_ASKED_FOR
from fakd_jax.models.checkpoint import load_metadata, resolve_checkpoint
from fakd_jax.runs.files import (
    METRICS_FILE,
    PREDICTIONS_FILE,
    TABLE_FILE,
    VALIDATION_PREDICTIONS_FILE,
)
from fakd_jax.runs.workdir import (
    choose_ids,
    data_cache_dir,
    default_output,
    find_workdir,
    open_data,
    own_split,
)
from fakd_jax.runtime.atomic_files import require_writable, write_whole

if TYPE_CHECKING:
    from fakd_jax.data.dataset import ImageDataset

SPLITS = ("test", "val", "train")
SPLIT_NOT_KNOWN = (
    "the data was audited, but the run's training images are not known among these: no figures by "
    "copies"
)
Log = Callable[[str], object]


def evaluate_checkpoint(
    checkpoint: Path | str,
    *,
    source: str | None = None,
    split: str = "test",
    output: Path | str | None = None,
    cache_dir: Path | str | None = None,
    batch_size: int | None = None,
    dtype: str | None = None,
    allow_untrained: bool = False,
    calibration: bool = True,
    compare: Path | str | None = None,
    latency: bool = True,
    log: Log = print,
) -> dict[str, Any]:
    """Evaluates a checkpoint on one split and writes the report.

    Writes `metrics.json`, `predictions.csv`, `table2.txt`, `report.html`, `confusion_matrix.png`,
    `reliability.png`, `risk_coverage.png`, where the run's validation images are known
    `val_predictions.csv`, and where the workdir has `metrics.jsonl` `curves.png`; each replaced
    atomically.

    Args:
      checkpoint: a workdir (its best student), or any checkpoint in it.
      source: of the data, see :func:`fakd_jax.data.sources.open_dataset`; None takes the one that
        the checkpoint was trained on.
      split: 'test', 'val' or 'train'.
      output: folder of the report; None takes `evaluation/` in the workdir (`evaluation/teacher/`
        for a teacher), or in the current folder if there is no workdir.
      cache_dir: of prepared data; None takes the checkpoint's, else the user's.
      batch_size: images computed at once; None takes the training's, so that training and
        evaluation print the very same figures.
      dtype: see :meth:`fakd_jax.inference.predictor.Predictor.from_checkpoint`; None takes
        the training's.
      allow_untrained: see there.
      calibration: predict the run's validation images too, and fit the temperature and the reject
        threshold to them.
      compare: another model's evaluation of the same images, see
        :func:`fakd_jax.evaluation.baseline.open_baseline`; None compares with none.
      latency: whether to time the network; `latency` in the report is None otherwise.
      log: takes lines for the user.

    Returns:
      What `metrics.json` holds.

    Raises:
      UserError: no such checkpoint, data, split or other evaluation; other classes than the
        checkpoint's; an output folder that cannot be written.
    """
    if split not in SPLITS:
        raise UserError(f"unknown split {split!r}; choose one of {', '.join(SPLITS)}")
    trained_with = load_metadata(resolve_checkpoint(checkpoint)).get("config") or {}
    predictor = Predictor.from_checkpoint(
        checkpoint,
        batch_size=trained_with.get("eval_batch_size", 32) if batch_size is None else batch_size,
        dtype=dtype or trained_with.get("dtype", "auto"),
        allow_untrained=allow_untrained,
    )
    workdir = find_workdir(predictor.checkpoint)
    folder = Path(output) if output else default_output(predictor.checkpoint, workdir)
    require_writable(folder)
    dataset = _open_data(predictor, source, cache_dir, log)
    chosen = choose_ids(dataset, split, workdir)
    baseline = _open_baseline(compare, dataset, chosen.ids) if compare else None
    validation_ids, notes = _validation_ids(dataset, split, workdir, calibration)

    log(f"evaluation: {predictor.arch} on {len(chosen.ids):,} images ({split} of {dataset.name})")
    answers = predict(predictor, dataset, chosen.ids, "evaluating")
    validation = None
    if validation_ids:
        log(f"calibration: {len(validation_ids):,} validation images")
        validation = predict(predictor, dataset, validation_ids, "calibrating")
    data_cache = data_cache_dir(predictor.metadata, cache_dir)
    audit = find_audit(dataset, data_cache)
    how_to_audit = audit_command(dataset.source, data_cache)
    duplicates, audit_notes = _duplicates(predictor, dataset, audit, split, workdir, how_to_audit)
    names = predictor.class_names
    negative, negative_notes = _negative_class(predictor)
    metrics = measure(
        chosen.ids,
        answers,
        names,
        negative,
        validation=validation,
        duplicates=duplicates,
        baseline=baseline,
    )
    metrics["notes"] += [*audit_notes, *notes, *negative_notes]
    metrics["latency"] = measure_latency(predictor) if latency else None
    metrics["provenance"] = describe_provenance(predictor, dataset, split, chosen, workdir)

    table = table2(metrics)
    _write_texts(
        folder,
        {
            METRICS_FILE: json.dumps(metrics, indent=2, allow_nan=False) + "\n",
            PREDICTIONS_FILE: predictions_text(chosen.ids, answers, names),
            VALIDATION_PREDICTIONS_FILE: validation
            and predictions_text(validation_ids, validation, names),
            TABLE_FILE: table,
        },
    )
    duplicate_of, learnt = None, duplicates and duplicates.training_ids
    if audit is not None and learnt is not None:
        others = set(learnt).difference(chosen.ids)
        found = duplicates_in_training(audit, chosen.ids, others)
        duplicate_of = {id: copy.training for id, copy in found.items()}
    mistakes = worst_mistakes(
        dataset, chosen.ids, answers.labels, answers.probabilities, duplicates=duplicate_of
    )
    write_report(folder, metrics, mistakes, workdir, audit_command=how_to_audit)
    log(f"\n{table}")
    log(f"report: {folder} ({', '.join(sorted(path.name for path in folder.glob('[a-z]*.*')))})")
    return metrics


def _write_texts(folder: Path, texts: Mapping[str, str | None]) -> None:
    """Writes files; None removes what an earlier evaluation left, which would not belong here."""
    for name, text in texts.items():
        if text is None:
            (folder / name).unlink(missing_ok=True)
        else:
            write_whole(folder / name, text)


def _open_data(
    predictor: Predictor, source: str | None, cache_dir: Path | str | None, log: Log
) -> ImageDataset:
    """Opens the given data, or what the checkpoint was trained on, and compares the classes."""
    dataset = open_data(predictor.metadata, source, cache_dir=cache_dir, log=log)
    if tuple(dataset.class_names) != predictor.class_names:
        raise UserError(
            f"the data's classes are {', '.join(dataset.class_names)}, the checkpoint's "
            f"{', '.join(predictor.class_names)}; give data with the checkpoint's classes"
        )
    return dataset


def _open_baseline(compare: Path | str, dataset: ImageDataset, ids: Sequence[str]) -> Baseline:
    """Opens the other evaluation and compares the images, before minutes are spent on ours."""
    baseline = open_baseline(compare)
    labels = [dataset.examples[dataset.index_of(id)].label for id in ids]
    names = [dataset.class_names[label] for label in labels]
    require_same_images(baseline, ids, names, dataset.fingerprint)
    return baseline


def _validation_ids(
    dataset: ImageDataset, split: str, workdir: Path | None, calibration: bool
) -> tuple[tuple[str, ...], list[str]]:
    """The validation images to choose a temperature and a threshold on; or none, and a note why."""
    if not calibration:
        return (), [NOT_ASKED_FOR]
    if split == "val":
        why = "the images evaluated are the validation images"
    else:
        try:
            return choose_ids(dataset, "val", workdir).ids, []
        except UserError:  # a damaged split.json has been told before, by the split evaluated
            why = "no split.json of a run names validation images of this data"
    return (), [f"no temperature and no reject threshold: {why}"]


def _duplicates(
    predictor: Predictor,
    dataset: ImageDataset,
    audit: Audit | None,
    split: str,
    workdir: Path | None,
    how_to_audit: str,
) -> tuple[Duplicates | None, list[str]]:
    """What the audit of the data says about this run, and a note on what it cannot say."""
    if audit is None:
        return None, [f"nobody has looked for copies of training images: {how_to_audit}"]
    own = own_split(dataset, workdir)
    if own is None:
        return Duplicates(audit.groups, audit.fingerprint, None), [SPLIT_NOT_KNOWN]
    apart = own.apart if split == "test" else ()
    answers = (apart, predict(predictor, dataset, apart, "those set apart")) if apart else None
    return Duplicates(audit.groups, audit.fingerprint, (*own.train, *own.val), answers), []


def _negative_class(predictor: Predictor) -> tuple[str | None, list[str]]:
    """The class without a tumour; or None, and a note why unless the training said there is none.

    Training stores "" where its configuration says that no class is free of tumour; None tells
    nothing.
    """
    negative = predictor.metadata.get("negative_class")
    if negative is None:
        return None, [
            "missed tumours are not counted: no class is known to be free of tumour; name it at "
            "training with config.data.negative_class"
        ]
    if not negative or negative in predictor.class_names:
        return negative or None, []
    return None, [
        f"missed tumours are not counted: no class is called {negative}, the negative class"
    ]
