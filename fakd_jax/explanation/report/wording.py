"""What readers are told of a decision and its explanation."""

from __future__ import annotations

import numpy as np

from fakd_jax.explanation.result import NEGLIGIBLE, Explanation, LocalFit

UNSTABLE = "UNSTABLE"


def figure_title(prediction: str, probability: float, true_class: str | None) -> str:
    """The figure's title: prediction, its probability, and the truth where it is known."""
    title = f"Predicted: {prediction} ({percent(probability)})"
    if true_class is None:
        return title
    verdict = "true class" if true_class == prediction else "WRONG, true class"
    return f"{title} · {verdict}: {true_class}"


def fit_words(fit: LocalFit | None) -> str:
    """How well the local model follows the network; empty for methods without one.

    That there was nothing to follow on the perturbed images is no word about the weights:
    KernelSHAP's have to add up to what the whole image adds, even where all others agree.
    """
    if fit is None:
        return ""
    if fit.r2 is None:
        return "no local fit"
    return f"local fit R² {fit.r2:.2f}"


def stability_words(explanation: Explanation) -> str:
    """Whether another seed would show the same; empty where the method does not tell.

    Where no weight is above rounding, nothing is shown that could be stable. Where there are no
    more superpixels than the top has places, it holds them all with any seed: that is no merit.
    """
    weights, sampling = explanation.weights, explanation.sampling
    if (np.abs(weights) < NEGLIGIBLE).all():
        return "no superpixel weighs anything"
    if sampling is None:
        return ""
    facts = f"Jaccard {sampling.jaccard:.2f}, {sampling.num_samples:,} samples"
    if not sampling.stable:
        return f"{UNSTABLE}: another seed would show another top {sampling.top} ({facts})"
    if len(weights) <= sampling.top:
        return f"all {len(weights)} superpixels are its top"
    return f"top {sampling.top} stable ({facts})"


def percent(probability: float) -> str:
    """A probability with one decimal, never rounded up to certainty.

    >>> percent(0.98765), percent(0.99999)
    ('98.8 %', '> 99.9 %')
    """
    if 0.9995 <= probability < 1:
        return "> 99.9 %"
    return f"{100 * probability:.1f} %"


def shortened(text: str, length: int) -> str:
    """Cuts the beginning off a long path: its end tells more."""
    return text if len(text) <= length else "…" + text[1 - length :]
