"""How well probabilities rank images: areas under ROC curves, ties counting half."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Int

from fakd_jax.metrics.resampling import Statistics


def weighted_auroc(
    scores: Float[np.ndarray, " N"],
    positive: Bool[np.ndarray, " N"],
    weights: Float[np.ndarray, "R N"],
) -> Float[np.ndarray, " R"]:
    """The area under the ROC curve of R samples of the N examples, in [0, 1].

    It is the probability that a positive example scores above a negative one, a tie counting half
    (Hanley & McNeil 1982); NaN for a sample that lacks either.

    Args:
      scores: finite.
      positive: which examples should score high.
      weights: how often each example counts in each sample.
    """
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    first_of_ties = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
    in_order = weights[:, order]
    positives = np.add.reduceat(in_order * positive[order], first_of_ties, axis=1)
    negatives = np.add.reduceat(in_order * ~positive[order], first_of_ties, axis=1)
    below = np.cumsum(negatives, axis=1) - negatives
    won = np.sum(positives * (below + negatives / 2), axis=1)
    pairs = positives.sum(axis=1) * negatives.sum(axis=1)
    return np.divide(won, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)


def ranking_statistics(
    probabilities: Float[np.ndarray, "N C"], labels: Int[np.ndarray, " N"], negative: int | None
) -> Statistics:
    """AUROCs of weighted images, for the bootstrap.

    `class 0`, `class 1`, …: each class against all others, by its probability. `macro`: their
    mean over the classes that have images; NaN where one of them is undefined. `tumour`: any
    tumour against the negative class, by 1 - p(negative); NaN without one.
    """
    num_classes = probabilities.shape[1]
    present = [c for c in range(num_classes) if 0 < np.sum(labels == c) < len(labels)]

    def statistics(weights: Float[np.ndarray, "R N"]) -> Mapping[str, Float[np.ndarray, " R"]]:
        by_class = [
            weighted_auroc(probabilities[:, c], labels == c, weights) for c in range(num_classes)
        ]
        undefined = np.full(len(weights), np.nan)
        return {
            **{f"class {c}": areas for c, areas in enumerate(by_class)},
            "macro": np.mean([by_class[c] for c in present], axis=0) if present else undefined,
            # -p ranks as 1 - p does, but does not round small probabilities to ties.
            "tumour": undefined
            if negative is None
            else weighted_auroc(-probabilities[:, negative], labels != negative, weights),
        }

    return statistics
