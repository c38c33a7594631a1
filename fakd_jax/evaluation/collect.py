"""A network's answers to images of a data set, and `predictions.csv`, which keeps them."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from fakd_jax.errors import UserError
from fakd_jax.inference.predictor import Predictor, softmax
from fakd_jax.metrics.classification import Answers

if TYPE_CHECKING:
    from fakd_jax.data.dataset import ImageDataset

ANSWER_COLUMNS = ("id", "label", "prediction")


def predict(
    predictor: Predictor, dataset: ImageDataset, ids: Sequence[str], description: str
) -> Answers:
    """Answers to the images, in their order; a bar with the description shows how far it is."""
    from tqdm import tqdm

    from fakd_jax.data.pipeline import eval_batches

    logits, labels = [], []
    # disable=None: no bar where the output is no terminal.
    with tqdm(total=len(ids), desc=description, unit=" images", leave=False, disable=None) as bar:
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
    all_logits = np.concatenate(logits)
    return Answers(all_logits, softmax(all_logits), np.concatenate(labels))


def predictions_text(ids: Sequence[str], answers: Answers, class_names: Sequence[str]) -> str:
    """The text of `predictions.csv`; nine digits give every float32 back exactly."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*ANSWER_COLUMNS, *(f"p_{name}" for name in class_names)])
    for id, label, row in zip(ids, answers.labels, answers.probabilities, strict=True):
        prediction = class_names[int(row.argmax())]
        writer.writerow([id, class_names[int(label)], prediction, *(f"{p:.9g}" for p in row)])
    return text.getvalue()


class NamedAnswer(NamedTuple):
    """The true class of an image and the one that was predicted, by name."""

    label: str
    prediction: str


def read_predictions(file: Path) -> dict[str, NamedAnswer]:
    """What a `predictions.csv` says of each image, by id.

    Raises:
      UserError: it cannot be read, or is no such file.
    """
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            rows = [[row[column] for column in ANSWER_COLUMNS] for row in csv.DictReader(lines)]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise UserError(
            f"{file} is no predictions.csv of an evaluation ({error!r}); give one that "
            "python -m fakd_jax.evaluate wrote"
        ) from error
    return {id: NamedAnswer(label, prediction) for id, label, prediction in rows}
