"""The whole evaluation of a checkpoint: figures, predictions, table, pictures, provenance."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32, Int

from fakd_jax.errors import UserError
from fakd_jax.evaluation.latency import describe_hardware, measure_latency
from fakd_jax.evaluation.metrics import classification_metrics
from fakd_jax.evaluation.plots import plot_confusion_matrix, plot_curves
from fakd_jax.evaluation.report import percent, table2
from fakd_jax.predictor import Predictor, read_metadata, softmax
from fakd_jax.version import __version__

if TYPE_CHECKING:
    from fakd_jax.data.dataset import ImageDataset

SPLITS = ("test", "val", "train")
Log = Callable[[str], object]


@dataclass(frozen=True)
class SplitIds:
    """The images to evaluate and who chose them.

    Attributes:
      ids: of the examples, in the order of evaluation.
      origin: `split.json (official, seed 0)` of the run, or `the data itself`.
    """

    ids: tuple[str, ...]
    origin: str


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
    folder = _writable(Path(output) if output else _default_output(predictor.checkpoint, workdir))
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
    metrics["latency"] = measure_latency(predictor)
    metrics["provenance"] = _provenance(predictor, dataset, split, chosen, workdir)

    _write_text(folder / "metrics.json", json.dumps(metrics, indent=2, allow_nan=False) + "\n")
    _write_text(folder / "predictions.csv", _predictions(chosen.ids, labels, probabilities, names))
    text = table2(metrics)
    _write_text(folder / "table2.txt", text)
    accuracy = percent(metrics["accuracy"], metrics["accuracy_ci95"])
    title = f"{predictor.arch} on the {split} split of {dataset.name}\naccuracy {accuracy}"
    matrix = np.array(metrics["confusion_matrix"])
    plot_confusion_matrix(matrix, names, folder / "confusion_matrix.png", title=title)
    if records := _read_records(workdir):
        plot_curves(records, folder / "curves.png")
    log(f"\n{text}")
    log(f"report: {folder} ({', '.join(sorted(path.name for path in folder.glob('[a-z]*.*')))})")
    return metrics


def find_workdir(checkpoint: Path) -> Path | None:
    """The workdir of `<workdir>/<teacher|student>/<best|last>/<step>`; None if it is not in one."""
    phase, kind = checkpoint.parent.parent.name, checkpoint.parent.name
    if phase in ("teacher", "student") and kind in ("best", "last"):
        return checkpoint.parent.parent.parent
    return None


def choose_ids(dataset: ImageDataset, split: str, workdir: Path | None) -> SplitIds:
    """Finds the images of a split.

    The run's own `split.json` is followed wherever it is of this very data, for the test split
    too: a run that drew its own test images trained on some of the data's.

    Args:
      dataset: the data.
      split: 'test', 'val' or 'train'.
      workdir: of the run; None if there is none.

    Returns:
      The ids and their origin.

    Raises:
      UserError: the split is not known for this data, or has no images.
    """
    from fakd_jax.data.splits import Split

    file = workdir / "split.json" if workdir else None
    if file is not None and file.is_file():
        stored = Split.load(file)
        if stored.fingerprint == dataset.fingerprint:
            return _not_empty(
                getattr(stored, split), split, f"split.json ({stored.kind}, seed {stored.seed})"
            )
    if split != "test":
        where = f"{file} is of other data" if file and file.is_file() else "there is no split.json"
        raise UserError(
            f"the {split} images are known only to the run that chose them, and {where}; "
            "give a checkpoint in its workdir with the data trained on, or --split test"
        )
    ids = tuple(example.id for example in dataset.examples if example.split == split)
    return _not_empty(ids, split, "the data itself")


def _not_empty(ids: tuple[str, ...], split: str, origin: str) -> SplitIds:
    if not ids:
        raise UserError(f"the {split} split of {origin} has no images; choose another --split")
    return SplitIds(tuple(ids), origin)


def _open_data(
    predictor: Predictor, source: str | None, cache_dir: Path | str | None, log: Log
) -> ImageDataset:
    """Opens the given data, or what the checkpoint was trained on, and compares the classes."""
    from fakd_jax.data.sources import open_dataset

    settings = (predictor.metadata.get("config") or {}).get("data") or {}
    trained_on = predictor.metadata.get("data") or {}
    source = source or settings.get("source") or trained_on.get("source")
    if not source:
        raise UserError(
            f"{predictor.checkpoint} does not say what data it was trained on; give --data"
        )
    dataset = open_dataset(
        source,
        cache_dir=cache_dir or settings.get("cache_dir") or None,
        unreadable=settings.get("unreadable", "error"),
        phantom=settings.get("phantom"),
        log=log,
    )
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


def _read_records(workdir: Path | None) -> list[Mapping[str, Any]]:
    """The records of `metrics.jsonl`; none without it. A last line cut short is left out."""
    file = workdir / "metrics.jsonl" if workdir else None
    if file is None or not file.is_file():
        return []
    lines = file.read_text(encoding="utf-8").split("\n")
    # Every whole line ends in a newline, so what follows the last one was never finished.
    return [json.loads(line) for line in lines[:-1] if line]


def _default_output(checkpoint: Path, workdir: Path | None) -> Path:
    """The workdir's `evaluation/`, where a teacher must not overwrite its student's report."""
    if workdir is None:
        return Path("evaluation")
    of_teacher = checkpoint.is_relative_to(workdir / "teacher")
    return workdir / "evaluation" / "teacher" if of_teacher else workdir / "evaluation"


def _writable(folder: Path) -> Path:
    """Makes the folder and tries it, before minutes are spent on what could not be kept."""
    trial = folder / ".trial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial.write_bytes(b"")
        trial.unlink()
    except OSError as error:
        raise _cannot_write(folder, error) from error
    return folder


def _write_text(path: Path, text: str) -> None:
    """Replaces a file whole: a reader sees the old one or the new one."""
    fresh = path.with_name(f".{path.name}.saving")
    try:
        fresh.write_text(text, encoding="utf-8")
        os.replace(fresh, path)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: OSError) -> UserError:
    return UserError(
        f"cannot write {path}: {error.strerror or error}; choose another --output that is writable"
    )
