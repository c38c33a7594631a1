"""One image under every condition, with the network's predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from fakd_jax.data.preprocessing import resize
from fakd_jax.evaluation.setup import Setup
from fakd_jax.inference.batching import compute_in_batches
from fakd_jax.stress.conditions import Condition
from fakd_jax.stress.measure import Measured
from fakd_jax.stress.shifting import Shift, image_words


@dataclass(frozen=True)
class Shown:
    """An image as the network was given it, and the prediction.

    Attributes:
      condition: the shift.
      picture: from 0 to 255.
      prediction: the name of the class.
      confidence: the probability of that class.
      right: whether the prediction is correct.
    """

    condition: Condition
    picture: UInt8[np.ndarray, "S S 3"]
    prediction: str
    confidence: float
    right: bool


@dataclass(frozen=True)
class Example:
    """An image under every condition.

    Attributes:
      id: of the image.
      truth: the name of its class.
      clean: the image as it is.
      strips: the shifted images by family, the mildest first.
    """

    id: str
    truth: str
    clean: Shown
    strips: Mapping[str, Sequence[Shown]]


def typical_image(measured: Measured) -> int:
    """The index of an image that fares about as well as all do on average.

    Of the tumours that are classified correctly as they are (of all images, if there are none), the
    one whose share of conditions with a correct prediction is closest to the mean share; the first
    of equals.
    """
    predictions = list(measured.stressed.predictions.values())
    right = np.stack([~each.wrong for each in predictions])
    share = right.mean(axis=0)
    names, negative = (
        list(measured.stressed.collected.class_names),
        measured.stressed.collected.negative_class,
    )
    candidates = right[0].copy()
    if negative is not None:
        candidates &= predictions[0].labels != names.index(negative)
    distance = np.abs(share - share.mean())
    return int(np.argmin(np.where(candidates, distance, distance + 1 if candidates.any() else 0)))


def make_example(setup: Setup, measured: Measured, shifts: Mapping[str, Shift], id: str) -> Example:
    """Shifts an image by every condition.

    Args:
      setup: the network and the images.
      measured: the network's predictions.
      shifts: of the families, by name.
      id: of the image.
    """
    names, index = measured.stressed.collected.class_names, setup.images.ids.index(id)
    dataset, batch_size = setup.dataset, setup.predictor.batch_size
    position = dataset.index_of(id)
    image = resize(dataset.read(position), setup.predictor.preprocessing.image_size)
    words = image_words([dataset.examples[position].content])

    def shown(condition: Condition, picture: UInt8[np.ndarray, "S S 3"]) -> Shown:
        predictions = measured.stressed.predictions[condition]
        return Shown(
            condition,
            picture,
            names[int(predictions.classes[index])],
            float(predictions.confidence[index]),
            not bool(predictions.wrong[index]),
        )

    clean, *shifted = measured.stressed.predictions
    strips: dict[str, list[Shown]] = {}
    batch = np.repeat(image[None], batch_size, axis=0)
    rows = np.repeat(words, batch_size, axis=0)
    for family in dict.fromkeys(condition.family for condition in shifted):
        conditions = [condition for condition in shifted if condition.family == family]
        amounts = np.array([condition.amount for condition in conditions], np.float32)

        def shift(amounts: np.ndarray, family: str = family) -> np.ndarray:
            return np.asarray(shifts[family](batch, rows, amounts))

        pictures = compute_in_batches(shift, amounts, batch_size)
        strips[family] = [shown(*pair) for pair in zip(conditions, pictures, strict=True)]
    truth = names[int(measured.stressed.predictions[clean].labels[index])]
    return Example(id, truth, shown(clean, image), strips)
