"""Agreement of predictions and truth beyond what their class frequencies would give by chance."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from fakd_jax.metrics.confusion import confusion_matrix
from fakd_jax.metrics.linearised import log_interval, standard_error

MOST_DISAGREEMENT = 2.0  # 1 - kappa, kappa being at least -1


class Kappa(NamedTuple):
    """Cohen's kappa and its 95 % interval; None for what is undefined."""

    value: float | None = None
    ci95: list[float] | None = None


def cohens_kappa(
    labels: Int[np.ndarray, " N"],
    predictions: Int[np.ndarray, " N"],
    num_classes: int,
    units: Int[np.ndarray, " N"],
) -> Kappa:
    """Cohen's kappa, κ = (p_o - p_e) / (1 - p_e) (Cohen 1960).

    p_o is the accuracy and p_e = Σ_c p(truth c) p(prediction c) that of predictions drawn at random
    as often as the network makes them. 1 is perfect, 0 chance.

    The standard error is that of Fleiss, Cohen & Everitt (1969), which is the influence function's;
    images of one unit count together. The interval is symmetric in log(1 - κ): it ends below 1, and
    is as asymmetric as few errors are.

    Args:
      labels: class indices.
      predictions: class indices.
      num_classes: C.
      units: of each image, from 0 on without gaps.

    Returns:
      No value where truth and predictions are all of one class, and no interval without an error.
    """
    shares = confusion_matrix(labels, predictions, num_classes) / len(labels)
    truth, predicted = shares.sum(axis=1), shares.sum(axis=0)
    observed, expected = float(np.trace(shares)), float(truth @ predicted)
    if expected == 1:
        return Kappa()
    kappa = (observed - expected) / (1 - expected)
    # An image of truth t and prediction p adds to truth's share of t and predictions' share of p.
    of_observed = (labels == predictions) - observed
    of_expected = predicted[labels] + truth[predictions] - 2 * expected
    influence = (of_observed - (1 - kappa) * of_expected) / (1 - expected) / len(labels)
    error = standard_error(influence, units)
    disagreement = log_interval(1 - kappa, error, int(units.max()) + 1, most=MOST_DISAGREEMENT)
    return Kappa(kappa, disagreement and [1 - end for end in reversed(disagreement)])
