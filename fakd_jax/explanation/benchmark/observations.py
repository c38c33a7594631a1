"""The metrics of all cells as arrays, aligned by image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from fakd_jax.explanation.benchmark.metrics import METRICS


class Observations(NamedTuple):
    """The metrics of N images.

    Attributes:
      ids: of the images, sorted.
      classes: the explained class of each image, ``[N]``.
      explained: by method, the images that it has explained.
      values: by method and metric; NaN where undefined or not explained.
      randomisations: by method, the fields of each image's
        :class:`~fakd_jax.explanation.quality.randomisation.Randomisation`; None where no network
        was re-initialised.
    """

    ids: Sequence[str]
    classes: np.ndarray
    explained: Mapping[str, Bool[np.ndarray, " N"]]
    values: Mapping[tuple[str, str], Float[np.ndarray, " N"]]
    randomisations: Mapping[str, Sequence[Mapping[str, float] | None]]


def observe(cells: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> Observations:
    """Sorts the cells of these methods by image.

    Args:
      cells: each with `id`, `method`, `explained_class`, `metrics` (absent ones are undefined) and
        `randomisation`; those of other methods are ignored.
      methods: by name.

    Raises:
      ValueError: two cells of one image and method, or of one image for different classes.
    """
    cells = [cell for cell in cells if cell["method"] in methods]
    classes: dict[str, str] = {}
    for cell in cells:
        id, name = cell["id"], cell["explained_class"]
        if classes.setdefault(id, name) != name:
            raise ValueError(f"{id} is explained for {classes[id]} and for {name}")
    ids = sorted(classes)
    index = {id: number for number, id in enumerate(ids)}
    explained = {method: np.zeros(len(ids), bool) for method in methods}
    values = {
        (method, metric.key): np.full(len(ids), np.nan) for method in methods for metric in METRICS
    }
    randomisations: dict[str, list[Mapping[str, float] | None]] = {
        method: [None] * len(ids) for method in methods
    }
    for cell in cells:
        method, image = cell["method"], index[cell["id"]]
        if explained[method][image]:
            raise ValueError(f"{cell['id']} has two cells of {method}")
        explained[method][image] = True
        randomisations[method][image] = cell["randomisation"]
        for metric in METRICS:
            value = cell["metrics"].get(metric.key)
            values[method, metric.key][image] = np.nan if value is None else value
    of_each = np.array([classes[id] for id in ids], str)
    return Observations(ids, of_each, explained, values, randomisations)
