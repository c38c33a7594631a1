"""The mistakes a network is surest of: which they are, and what a report shows of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int, UInt8

if TYPE_CHECKING:
    from fakd_jax.data.dataset import ImageDataset


@dataclass(frozen=True)
class Mistake:
    """An image and the wrong answer to it.

    Attributes:
      id: of the example.
      image: at its own size, RGB from 0 to 255.
      truth: the name of its class.
      prediction: the name of the class it was taken for.
      probabilities: of every class by its name, in the classes' order.
      duplicate: the id of a copy, or nearly one, among the training images; "" if there is none; None
        if that is not known, because nobody has looked or the training images are not known.
    """

    id: str
    image: UInt8[np.ndarray, "H W 3"]
    truth: str
    prediction: str
    probabilities: Mapping[str, float]
    duplicate: str | None


def worst_mistakes(
    ids: Sequence[str],
    labels: Int[np.ndarray, " N"],
    probabilities: Float[np.ndarray, "N C"],
    k: int,
) -> list[int]:
    """Which wrong answers were given with the most confidence.

    Args:
      ids: N of them, all different.
      labels: class indices.
      probabilities: rows sum to 1; the prediction is the first largest.
      k: how many at most.

    Returns:
      Indices into `ids`, the most confident first; of equally confident ones the id that sorts
      first.

    Raises:
      ValueError: lengths that differ, or a negative `k`.
    """
    if not len(ids) == len(labels) == len(probabilities) or k < 0:
        raise ValueError(
            f"{len(ids)} ids, {len(labels)} labels, {len(probabilities)} rows, k = {k}"
        )
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    confidence = probabilities.max(axis=1)
    return sorted(wrong.tolist(), key=lambda index: (-confidence[index], ids[index]))[:k]


def read_mistakes(
    chosen: Sequence[int],
    dataset: ImageDataset,
    ids: Sequence[str],
    labels: Int[np.ndarray, " N"],
    probabilities: Float[np.ndarray, "N C"],
    duplicates: Mapping[str, str] | None,
) -> list[Mistake]:
    """Fetches the images of some answers.

    Args:
      chosen: indices into `ids`, as of :func:`worst_mistakes`.
      dataset: that has the images, and the classes' names.
      ids: of all examples evaluated.
      labels: of each.
      probabilities: of each.
      duplicates: the id of a duplicate in the training images, by the id of an example; None if not known.

    Returns:
      As many as are chosen, in that order.
    """
    names = dataset.class_names
    return [
        Mistake(
            id=ids[index],
            image=dataset.read(dataset.index_of(ids[index])),
            truth=names[int(labels[index])],
            prediction=names[int(probabilities[index].argmax())],
            probabilities=dict(zip(names, map(float, probabilities[index]), strict=True)),
            duplicate=None if duplicates is None else duplicates.get(ids[index], ""),
        )
        for index in chosen
    ]
