"""A network's predictions for labelled images: what all metrics are computed from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True)
class Predictions:
    """Predictions for N images of C classes; the probabilities are the softmax of the logits."""

    ids: tuple[str, ...]
    logits: Float[np.ndarray, "N C"]
    probabilities: Float[np.ndarray, "N C"]
    labels: Int[np.ndarray, " N"]

    @property
    def classes(self) -> Int[np.ndarray, " N"]:
        """The class predicted for each image: the most probable, the first of equals."""
        return self.probabilities.argmax(axis=1)

    @property
    def confidence(self) -> Float[np.ndarray, " N"]:
        """The probability of the predicted class."""
        return self.probabilities.max(axis=1)

    @property
    def wrong(self) -> Bool[np.ndarray, " N"]:
        """Which images are misclassified."""
        return self.classes != self.labels

    def joined_with(self, other: Predictions) -> Predictions:
        """These predictions followed by others."""
        return Predictions(
            self.ids + other.ids,
            np.concatenate([self.logits, other.logits]),
            np.concatenate([self.probabilities, other.probabilities]),
            np.concatenate([self.labels, other.labels]),
        )
