"""The tables of an evaluation, one row per image: predictions, contents, duplicate groups."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fakd_jax.audit.findings import Duplicate
from fakd_jax.errors import UserError
from fakd_jax.evaluation.foreign import Assessment
from fakd_jax.metrics.predictions import Predictions
from fakd_jax.reporting.tables import csv_text
from fakd_jax.runs.files import DUPLICATE_GROUPS_FILE, IMAGES_FILE, PREDICTIONS_FILE

CONTENT_COLUMNS = ("id", "content")
COLUMNS = ("id", "label", "prediction")
GROUP_COLUMNS = ("id", "group")
FOREIGN_COLUMNS = ("id", "ood_score", "foreign", "quality")
COPY_COLUMNS = ("id", "learnt_from", "orientation", "alteration", "correlation")


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
    rows = _read_columns(file, COLUMNS, PREDICTIONS_FILE)
    return {id: NamedPrediction(label, prediction) for id, label, prediction in rows}


def foreign_csv(ids: Sequence[str], assessment: Assessment) -> str:
    """How foreign each image is, whether it is above the threshold, and what is amiss with it."""
    judged = (assessment.scores, assessment.foreign, assessment.quality)
    columns = zip(ids, *judged, strict=True)
    rows = ((id, f"{score:.9g}", int(above), amiss) for id, score, above, amiss in columns)
    return csv_text(FOREIGN_COLUMNS, rows)


def groups_csv(ids: Sequence[str], groups: Mapping[str, int]) -> str:
    """The images that share a group with others in `ids`, each with its group's number."""
    sizes = Counter(groups[id] for id in ids if id in groups)
    rows = ((id, groups[id]) for id in ids if sizes[groups.get(id, -1)] > 1)
    return csv_text(GROUP_COLUMNS, rows)


def copies_csv(found: Mapping[str, Duplicate]) -> str:
    """The images that are copies of one learnt from, with that one and how they differ from it."""
    rows = (
        (copy.test, copy.training, copy.orientation, copy.alteration, copy.whole)
        for _, copy in sorted(found.items())
    )
    return csv_text(COPY_COLUMNS, rows)


def read_duplicate_groups(file: Path) -> dict[str, str]:
    """The group of each image in a file by its id; images that are not in it have none.

    Raises:
      UserError: it cannot be read, or is not a `duplicate_groups.csv`.
    """
    return dict(_read_columns(file, GROUP_COLUMNS, DUPLICATE_GROUPS_FILE))


def contents_csv(contents: Mapping[str, str]) -> str:
    """The text of `images.csv`: every image's content by id."""
    return csv_text(CONTENT_COLUMNS, contents.items())


def read_contents(file: Path) -> dict[str, str] | None:
    """The content of the images of an evaluation, by id; None if there is no such file.

    Raises:
      UserError: it cannot be read, or is not an `images.csv`.
    """
    if not file.is_file():
        return None
    return {row[0]: row[1] for row in _read_columns(file, CONTENT_COLUMNS, IMAGES_FILE)}


def _read_columns(file: Path, columns: Sequence[str], what: str) -> list[list[str]]:
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            return [[row[column] for column in columns] for row in csv.DictReader(lines)]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        raise UserError(
            f"{file} is not the {what} of an evaluation ({error!r}); give one that "
            "python -m fakd_jax.evaluate wrote"
        ) from error
