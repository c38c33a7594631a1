"""What an explanation shows and what it does not, in sentences for whoever sees the picture."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from fakd_jax.explanation.result import NEGLIGIBLE, Explanation, Score, top_superpixels
from fakd_jax.reporting.numbers import percent

NOT_SHOWN = "It shows what the network’s output depends on, not where a tumour is"
CONTROL = "A control, independent of the network: it explains nothing."


def reading(
    explanation: Explanation,
    top: int,
    *,
    method: str,
    score: Score | None,
    class_name: str,
    contrast: str | None = None,
) -> str:
    """How to read the picture of an explanation: method, class, share of the evidence, stability.

    Args:
      explanation: of an image.
      top: how many superpixels a reader is pointed at.
      method: its name.
      score: what it explains; None for a control.
      class_name: the explained class.
      contrast: the class it is contrasted with, if any.
    """
    if score is None:
        return CONTROL
    explained = f"the {score} of {class_name}" + (f" against {contrast}" if contrast else "")
    heaviest = top_superpixels(explanation, top)
    if not heaviest:
        return f"{method}: no superpixel changes {explained}, so that there is nothing to see."
    other = f" and speaks for {contrast}" if contrast else ""
    share = percent(evidence_in_top(explanation, top), digits=0)
    superpixels = len(explanation.weights)
    seeds = ""
    if explanation.sampling is not None:
        same = explanation.sampling.stable
        seeds = "; another seed would show " + ("much the same" if same else "others")
    return (
        f"{method}: orange raises {explained}, blue lowers it{other}. The heaviest {len(heaviest)} "
        f"of {superpixels} superpixels hold {share} of the evidence{seeds}. {NOT_SHOWN}, nor "
        "whether the prediction is right."
    )


def evidence_in_top(explanation: Explanation, top: int) -> float:
    """The share of all evidence, for and against, that the heaviest superpixels hold, in [0, 1].

    Of a method that weighs superpixels, their absolute weights; of one that weighs pixels, the
    absolute attribution within them, of which some may lie outside all superpixels.
    """
    evidence, total = _by_superpixel(explanation)
    chosen = [superpixel.superpixel for superpixel in top_superpixels(explanation, top)]
    return float(evidence[chosen].sum() / total) if total >= NEGLIGIBLE else 0.0


def _by_superpixel(explanation: Explanation) -> tuple[Float[np.ndarray, " S"], float]:
    """The evidence in each superpixel, and that of the whole image."""
    if explanation.by_superpixel:
        evidence = np.abs(explanation.weights)
        return evidence, float(evidence.sum())
    magnitude, inside = np.abs(explanation.attribution), explanation.segments >= 0
    count = len(explanation.weights)
    evidence = np.bincount(explanation.segments[inside], magnitude[inside], minlength=count)
    return evidence, float(magnitude.sum())
