"""Predictions of networks that do not exist, for the tests of their metrics."""

from __future__ import annotations

import numpy as np

from fakd_jax.metrics.calibration import scale_logits
from fakd_jax.metrics.predictions import Predictions

NAMES = ("glioma", "meningioma", "notumor", "pituitary")
# The only confusion matrix that fits the paper's Table 2.
PAPER = np.array([[297, 3, 0, 0], [0, 303, 2, 1], [0, 0, 405, 0], [0, 1, 0, 299]])


def predictions_of(
    logits: np.ndarray, labels: np.ndarray, ids: tuple[str, ...] | None = None
) -> Predictions:
    """Predictions by their logits; the ids are 0, 1, … unless given."""
    ids = ids or tuple(str(index) for index in range(len(labels)))
    return Predictions(ids, logits, scale_logits(logits, 1.0).astype(np.float32), labels)


def random_logits(seed: int, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Logits that favour the label somewhat, and labels of four classes."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, n)
    return random.standard_normal((n, 4)) + 1.2 * np.eye(4)[labels], labels


def random_predictions(seed: int, n: int = 200, sharpness: float = 1.0) -> Predictions:
    """Predictions for them; a sharpness above 1 makes the network overconfident."""
    logits, labels = random_logits(seed, n)
    return predictions_of(sharpness * logits, labels)
