"""`stress_images.csv`: under how many of the shifts each image is classified correctly."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fakd_jax.errors import UserError
from fakd_jax.reporting.tables import csv_text
from fakd_jax.stress.measure import Measured

COLUMNS = ("id", "label", "group", "conditions", "right")


class StressedImage(NamedTuple):
    """An image under all shifts.

    Attributes:
      label: the name of its true class.
      group: of images that are not independent of it; "" if it is alone or groups are unknown.
      conditions: the number of shifts: families times severities.
      right: under how many of them the network classifies it correctly.
    """

    label: str
    group: str
    conditions: int
    right: int


def stress_images_csv(measured: Measured) -> str:
    """The file's text: one row per image, of which the images as they are count nothing."""
    collected = measured.stressed.collected
    clean, groups = collected.predictions, collected.groups or {}
    shifted = list(measured.stressed.predictions.values())[1:]
    right = np.sum([~predictions.wrong for predictions in shifted], axis=0, dtype=int)
    labels = [collected.class_names[label] for label in clean.labels]
    rows = (
        (id, label, groups.get(id, ""), len(shifted), count)
        for id, label, count in zip(clean.ids, labels, right.tolist(), strict=True)
    )
    return csv_text(COLUMNS, rows)


def read_stressed_images(file: Path) -> dict[str, StressedImage]:
    """The images in a file by id.

    Raises:
      UserError: it cannot be read, or is not a `stress_images.csv`.
    """
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            reader = csv.reader(lines)
            if (header := tuple(next(reader, ()))) != COLUMNS:
                raise ValueError(f"its columns are {', '.join(header) or 'none'}")
            return {
                id: StressedImage(label, group, int(conditions), int(right))
                for id, label, group, conditions, right in reader
            }
    except (OSError, csv.Error, ValueError) as error:
        raise UserError(
            f"{file} is not the table of images of a stress test ({error!r}); repeat fakd stress"
        ) from error
