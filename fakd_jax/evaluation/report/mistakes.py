"""The mistakes a network is most confident of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int, UInt8

if TYPE_CHECKING:
    from fakd_jax.data.dataset import ImageDataset

MISTAKES_SHOWN = 24


@dataclass(frozen=True)
class Explained:
    """What speaks for a wrong prediction rather than for the truth.

    Attributes:
      picture: the image at its own size, orange where it speaks for the prediction, blue where for
        the truth.
      reading: what it shows and what it does not, in sentences.
    """

    picture: UInt8[np.ndarray, "H W 3"]
    reading: str


@dataclass(frozen=True)
class Mistake:
    """An image and the wrong prediction for it.

    Attributes:
      rank: its place among the mistakes, from 1 for the most confident.
      id: of the example.
      image: at its own size, from 0 to 255.
      truth: the name of its class.
      prediction: the name of the predicted class.
      probabilities: by class name, in the classes' order.
      duplicate: the id of a duplicate among the training images; "" if there is none; None if that
        is not known.
      follows: the rank of the first mistake of the same group, such as of a copy of this image;
        None for that one itself, and where no groups are known.
      explanation: of the mistake, if it was explained.
    """

    rank: int
    id: str
    image: UInt8[np.ndarray, "H W 3"]
    truth: str
    prediction: str
    probabilities: Mapping[str, float]
    duplicate: str | None
    follows: int | None = None
    explanation: Explained | None = None


def worst_mistakes(
    dataset: ImageDataset,
    ids: Sequence[str],
    labels: Int[np.ndarray, " N"],
    probabilities: Float[np.ndarray, "N C"],
    *,
    duplicates: Mapping[str, str] | None,
    groups: Mapping[str, int] | None = None,
    most: int = MISTAKES_SHOWN,
) -> list[Mistake]:
    """Finds the wrong predictions with the highest confidence.

    Args:
      dataset: has the images and the classes' names.
      ids: of the N examples evaluated, all different.
      labels: class indices.
      probabilities: rows sum to 1; the prediction is the first largest.
      duplicates: ids of training duplicates by the ids of examples; None if not known.
      groups: the group by id; an id absent from it is alone. None if no groups are known.
      most: how many to return at most.

    Returns:
      The most confident first; of equally confident ones the id that sorts first.
    """
    names = dataset.class_names
    predictions, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predictions != labels).tolist()
    chosen = sorted(wrong, key=lambda index: (-confidence[index], ids[index]))[:most]
    first_of: dict[int, int] = {}
    mistakes = []
    for rank, index in enumerate(chosen, start=1):
        group = (groups or {}).get(ids[index])
        first = rank if group is None else first_of.setdefault(group, rank)
        mistakes.append(
            Mistake(
                rank=rank,
                id=ids[index],
                image=dataset.read(dataset.index_of(ids[index])),
                truth=names[int(labels[index])],
                prediction=names[int(predictions[index])],
                probabilities=dict(zip(names, map(float, probabilities[index]), strict=True)),
                duplicate=None if duplicates is None else duplicates.get(ids[index], ""),
                follows=None if first == rank else first,
            )
        )
    return mistakes
