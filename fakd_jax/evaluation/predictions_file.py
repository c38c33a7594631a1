"""`predictions.csv`: one row per image with its label, its predicted class and probabilities."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fakd_jax.errors import UserError
from fakd_jax.metrics.predictions import Predictions
from fakd_jax.reporting.tables import csv_text

COLUMNS = ("id", "label", "prediction")


class NamedPrediction(NamedTuple):
    """The true and the predicted class of an image, by name."""

    label: str
    prediction: str

    @property
    def right(self) -> bool:
        """Whether the prediction is correct."""
        return self.label == self.prediction


def predictions_csv(predictions: Predictions, class_names: Sequence[str]) -> str:
    """The file's text; nine digits preserve every float32."""
    labels = [class_names[label] for label in predictions.labels]
    classes = [class_names[predicted] for predicted in predictions.classes]
    header = [*COLUMNS, *(f"p_{name}" for name in class_names)]
    columns = (predictions.ids, labels, classes, predictions.probabilities)
    rows = ([*names, *(f"{p:.9g}" for p in row)] for *names, row in zip(*columns, strict=True))
    return csv_text(header, rows)


def read_predictions(file: Path) -> dict[str, NamedPrediction]:
    """The labels and predicted classes in a file, by image id.

    Raises:
      UserError: it cannot be read, or is not a `predictions.csv`.
    """
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            rows = [[row[column] for column in COLUMNS] for row in csv.DictReader(lines)]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise UserError(
            f"{file} is not the predictions.csv of an evaluation ({error!r}); give one that "
            "python -m fakd_jax.evaluate wrote"
        ) from error
    return {id: NamedPrediction(label, prediction) for id, label, prediction in rows}
