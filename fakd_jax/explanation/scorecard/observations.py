"""The values that a benchmark has measured, image by image, laid side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from fakd_jax.explanation.scorecard.measures import MEASURES


class Observations(NamedTuple):
    """What has been measured of N images.

    Attributes:
      ids: of the images, sorted: the order of the cells tells nothing.
      classes: the class that was explained of each, ``[N]``.
      explained: by method, which images it has explained.
      values: by method and measure, the value of each image; NaN where it is undefined or the
        method has not explained the image.
    """

    ids: Sequence[str]
    classes: np.ndarray
    explained: Mapping[str, Bool[np.ndarray, " N"]]
    values: Mapping[tuple[str, str], Float[np.ndarray, " N"]]


def observe(cells: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> Observations:
    """Sorts cells by image and method, so that methods can be compared image by image.

    Args:
      cells: `id`, `method`, `explained_class` and `measures` of each; those of other methods are
        not looked at, and a measure that a cell lacks is undefined.
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
    for cell in of_methods:
        method, image = cell["method"], place[cell["id"]]
        if explained[method][image]:
            raise ValueError(f"{cell['id']} has two cells of {method}")
        explained[method][image] = True
        for measure in MEASURES:
            value = cell["measures"].get(measure.key)
            values[method, measure.key][image] = np.nan if value is None else value
    return Observations(ids, np.array([classes[id] for id in ids], str), explained, values)


def _class_of_each(cells: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The explained class by image."""
    classes: dict[str, str] = {}
    for cell in cells:
        id, name = cell["id"], cell["explained_class"]
        if classes.setdefault(id, name) != name:
            raise ValueError(f"{id} is explained for {classes[id]} and for {name}")
    return classes
