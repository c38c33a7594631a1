"""Answers of networks that do not exist, for the tests of their figures."""

from __future__ import annotations

import numpy as np

NAMES = ("glioma", "meningioma", "notumor", "pituitary")
# The only confusion matrix that fits the paper's Table 2.
PAPER = np.array([[297, 3, 0, 0], [0, 303, 2, 1], [0, 0, 405, 0], [0, 1, 0, 299]])


def random_logits(seed: int, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Logits that favour the label somewhat, and labels of four classes."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, n)
    return random.standard_normal((n, 4)) + 1.2 * np.eye(4)[labels], labels


def random_probabilities(seed: int, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Their softmax as float32, and the labels."""
    logits, labels = random_logits(seed, n)
    exponentials = np.exp(logits)
    probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities.astype(np.float32), labels
