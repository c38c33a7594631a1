"""What readers are told of a decision and its explanation."""

from __future__ import annotations

from fakd_jax.explanation.result import Explanation, LocalFit

UNSTABLE = "UNSTABLE"


def figure_title(prediction: str, probability: float, true_class: str | None) -> str:
    """The figure's title: prediction, its probability, and the truth where it is known."""
    title = f"Predicted: {prediction} ({percent(probability)})"
    if true_class is None:
        return title
    verdict = "true class" if true_class == prediction else "WRONG, true class"
    return f"{title} · {verdict}: {true_class}"


def fit_words(fit: LocalFit | None) -> str:
    """How well the local model follows the network; empty for methods without one."""
    if fit is None:
        return ""
    if fit.r2 is None:
        return "the probability never moved"
    return f"local fit R² {fit.r2:.2f}"


def stability_words(explanation: Explanation) -> str:
    """Whether another seed would show the same; empty where nothing is shown, or nobody tells."""
    sampling, fit = explanation.sampling, explanation.fit
    if sampling is None or (fit is not None and fit.r2 is None):
        return ""
    facts = f"Jaccard {sampling.jaccard:.2f}, {sampling.num_samples:,} samples"
    if sampling.stable:
        return f"top {sampling.top} stable ({facts})"
    return f"{UNSTABLE}: another seed would show another top {sampling.top} ({facts})"


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
