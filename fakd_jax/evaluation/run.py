"""The whole evaluation of a checkpoint: figures, predictions, table, pictures, provenance."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32, Int

from fakd_jax.errors import UserError
from fakd_jax.evaluation.latency import describe_hardware, measure_latency
from fakd_jax.evaluation.metrics import classification_metrics
from fakd_jax.evaluation.plots import plot_confusion_matrix, plot_curves
from fakd_jax.evaluation.report import percent, table2
from fakd_jax.files import require_writable, write_whole
from fakd_jax.predictor import Predictor, read_metadata, softmax
from fakd_jax.version import __version__
from fakd_jax.workdir import SplitIds, choose_ids, find_workdir, open_data, read_metrics

if TYPE_CHECKING:
    from fakd_jax.data.dataset import ImageDataset

SPLITS = ("test", "val", "train")
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
    latency: bool = True,
    log: Log = print,
) -> dict[str, Any]:
    """Evaluates a checkpoint on one split and writes the report.

    Writes `metrics.json`, `predictions.csv`, `table2.txt`, `confusion_matrix.png` and, where the
    workdir has `metrics.jsonl`, `curves.png`; each replaced atomically.

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
      dtype: see :meth:`fakd_jax.predictor.Predictor.from_checkpoint`; None takes the training's.
      allow_untrained: see there.
      latency: whether to time the network; `latency` in the report is None otherwise.
      log: takes lines for the user.

    Returns:
      What `metrics.json` holds.

    Raises:
      UserError: no such checkpoint, data or split; other classes than the checkpoint's; an
        output folder that cannot be written.
    """
    if split not in SPLITS:
        raise UserError(f"unknown split {split!r}; choose one of {', '.join(SPLITS)}")
    trained_with = read_metadata(checkpoint).get("config") or {}
    predictor = Predictor.from_checkpoint(
        checkpoint,
        batch_size=trained_with.get("eval_batch_size", 32) if batch_size is None else batch_size,
        dtype=dtype or trained_with.get("dtype", "auto"),
        allow_untrained=allow_untrained,
    )
    workdir = find_workdir(predictor.checkpoint)
    folder = Path(output) if output else _default_output(predictor.checkpoint, workdir)
    require_writable(folder)
    dataset = _open_data(predictor, source, cache_dir, log)
    chosen = choose_ids(dataset, split, workdir)
    log(f"evaluation: {predictor.arch} on {len(chosen.ids):,} images ({split} of {dataset.name})")

    logits, labels = _predict(predictor, dataset, chosen.ids)
    probabilities = softmax(logits)
    names, negative = predictor.class_names, predictor.metadata.get("negative_class") or None
    metrics = classification_metrics(
        probabilities, labels, names, negative if negative in names else None
    )
    if negative and negative not in names:
        metrics["notes"].append(
            f"missed tumours are not counted: no class is called {negative}, the negative class"
        )
    metrics["latency"] = measure_latency(predictor) if latency else None
    metrics["provenance"] = _provenance(predictor, dataset, split, chosen, workdir)

    write_whole(folder / "metrics.json", json.dumps(metrics, indent=2, allow_nan=False) + "\n")
    write_whole(folder / "predictions.csv", _predictions(chosen.ids, labels, probabilities, names))
    text = table2(metrics)
    write_whole(folder / "table2.txt", text)
    accuracy = percent(metrics["accuracy"], metrics["accuracy_ci95"])
    title = f"{predictor.arch} on the {split} split of {dataset.name}\naccuracy {accuracy}"
    matrix = np.array(metrics["confusion_matrix"])
    plot_confusion_matrix(matrix, names, folder / "confusion_matrix.png", title=title)
    if workdir and (records := read_metrics(workdir)):
        plot_curves(records, folder / "curves.png")
    log(f"\n{text}")
    log(f"report: {folder} ({', '.join(sorted(path.name for path in folder.glob('[a-z]*.*')))})")
    return metrics


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


def _predict(
    predictor: Predictor, dataset: ImageDataset, ids: tuple[str, ...]
) -> tuple[Float32[np.ndarray, "N C"], Int[np.ndarray, " N"]]:
    """Logits and labels of the images, in their order."""
    from tqdm import tqdm

    from fakd_jax.data.pipeline import eval_batches

    logits, labels = [], []
    # disable=None: no bar where the output is no terminal.
    with tqdm(total=len(ids), desc="evaluating", unit=" images", leave=False, disable=None) as bar:
        for batch in eval_batches(
            dataset,
            ids,
            batch_size=predictor.batch_size,
            image_size=predictor.preprocessing.image_size,
        ):
            mask = np.asarray(batch["mask"])
            logits.append(predictor.logits_of_batch(batch["image"])[mask])
            labels.append(np.asarray(batch["label"])[mask])
            bar.update(int(mask.sum()))
    return np.concatenate(logits), np.concatenate(labels)


def _provenance(
    predictor: Predictor,
    dataset: ImageDataset,
    split: str,
    chosen: SplitIds,
    workdir: Path | None,
) -> dict[str, Any]:
    """All that the figures hang on: weights, data, split, program, machine."""
    metadata = predictor.metadata
    config, trained_on = metadata.get("config") or {}, metadata.get("data") or {}
    checkpoint = predictor.checkpoint
    known = trained_on.get("fingerprint")
    return {
        "checkpoint": str(checkpoint.relative_to(workdir) if workdir else checkpoint),
        "weights_sha256": predictor.weights_digest(),
        "arch": predictor.arch,
        "head": metadata.get("head"),
        "config": config.get("name"),
        "trained": metadata.get("source"),
        "data": {
            "source": dataset.source,
            "name": dataset.name,
            "version": dataset.version,
            "fingerprint": dataset.fingerprint,
            "same_as_training": dataset.fingerprint == known if known else None,
        },
        "split": split,
        "split_origin": chosen.origin,
        "preprocessing": predictor.preprocessing.to_dict(),
        "dtype": predictor.dtype,
        "batch_size": predictor.batch_size,
        "hardware": describe_hardware(),
        "package_version": __version__,
    }


def _predictions(
    ids: tuple[str, ...],
    labels: Int[np.ndarray, " N"],
    probabilities: Float32[np.ndarray, "N C"],
    class_names: tuple[str, ...],
) -> str:
    """The text of `predictions.csv`; nine digits give every float32 back exactly."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "label", "prediction", *(f"p_{name}" for name in class_names)])
    for id, label, row in zip(ids, labels, probabilities, strict=True):
        prediction = class_names[int(row.argmax())]
        writer.writerow([id, class_names[int(label)], prediction, *(f"{p:.9g}" for p in row)])
    return text.getvalue()


def _default_output(checkpoint: Path, workdir: Path | None) -> Path:
    """The workdir's `evaluation/`, where a teacher must not overwrite its student's report."""
    if workdir is None:
        return Path("evaluation")
    of_teacher = checkpoint.is_relative_to(workdir / "teacher")
    return workdir / "evaluation" / "teacher" if of_teacher else workdir / "evaluation"
