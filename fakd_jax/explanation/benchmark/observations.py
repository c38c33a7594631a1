"""The values that a benchmark has measured, image by image, laid side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from fakd_jax.explanation.benchmark.metrics import MEASURES


class Observations(NamedTuple):
    """What has been measured of N images.

    Attributes:
      ids: of the images, sorted: the order of the cells tells nothing.
      classes: the class that was explained of each, ``[N]``.
      explained: by method, which images it has explained.
      values: by method and measure, the value of each image; NaN where it is undefined or the
        method has not explained the image.
      randomisations: by method, the fields of each image's
        :class:`~fakd_jax.explanation.quality.randomisation.Randomisation`; None where no network
        was reinitialised.
    """

    ids: Sequence[str]
    classes: np.ndarray
    explained: Mapping[str, Bool[np.ndarray, " N"]]
    values: Mapping[tuple[str, str], Float[np.ndarray, " N"]]
    randomisations: Mapping[str, Sequence[Mapping[str, float] | None]]


def observe(cells: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> Observations:
    """Sorts cells by image and method, so that methods can be compared image by image.

    Args:
      cells: `id`, `method`, `explained_class`, `measures` and `randomisation` of each; those of
        other methods are not looked at, and a measure that a cell lacks is undefined.
      methods: to be looked at.

    Raises:
      ValueError: two cells of one image and method, or of one image for different classes.
    """
    of_methods = [cell for cell in cells if cell["method"] in methods]
    classes = _class_of_each(of_methods)
    ids = sorted(classes)
    place = {id: index for index, id in enumerate(ids)}
    explained = {method: np.zeros(len(ids), bool) for method in methods}
    values = {
        (method, measure.key): np.full(len(ids), np.nan)
        for method in methods
        for measure in MEASURES
    }
    randomisations: dict[str, list[Mapping[str, float] | None]] = {
        method: [None] * len(ids) for method in methods
    }
    for cell in of_methods:
        method, image = cell["method"], place[cell["id"]]
        if explained[method][image]:
            raise ValueError(f"{cell['id']} has two cells of {method}")
        explained[method][image] = True
        randomisations[method][image] = cell["randomisation"]
        for measure in MEASURES:
            value = cell["measures"].get(measure.key)
            values[method, measure.key][image] = np.nan if value is None else value
    of_class = np.array([classes[id] for id in ids], str)
    return Observations(ids, of_class, explained, values, randomisations)


def _class_of_each(cells: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The explained class by image."""
    classes: dict[str, str] = {}
    for cell in cells:
        id, name = cell["id"], cell["explained_class"]
        if classes.setdefault(id, name) != name:
            raise ValueError(f"{id} is explained for {classes[id]} and for {name}")
    return classes
