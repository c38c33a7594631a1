"""Answers of networks that do not exist, for the tests of their figures."""

from __future__ import annotations

import numpy as np

from fakd_jax.metrics.calibration import scale_logits
from fakd_jax.metrics.classification import Answers

NAMES = ("glioma", "meningioma", "notumor", "pituitary")
# The only confusion matrix that fits the paper's Table 2.
PAPER = np.array([[297, 3, 0, 0], [0, 303, 2, 1], [0, 0, 405, 0], [0, 1, 0, 299]])


def random_logits(seed: int, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Logits that favour the label somewhat, and labels of four classes."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, n)
    return random.standard_normal((n, 4)) + 1.2 * np.eye(4)[labels], labels


def random_answers(seed: int, n: int = 200, sharpness: float = 1.0) -> Answers:
    """All of it together; a sharpness above 1 makes the network too sure of itself."""
    logits, labels = random_logits(seed, n)
    probabilities = scale_logits(sharpness * logits, 1.0).astype(np.float32)
    return Answers(sharpness * logits, probabilities, labels)


def random_probabilities(seed: int, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities and the labels alone."""
    answers = random_answers(seed, n)
    return answers.probabilities, answers.labels
