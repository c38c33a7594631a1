"""What readers are told: titles, certainty, fit, and whether another seed would show the same."""

from __future__ import annotations

import numpy as np
import pytest

from fakd_jax.explanation.report.wording import (
    figure_title,
    fit_words,
    percent,
    shortened,
    stability_words,
)
from fakd_jax.explanation.result import Explanation, LocalFit, Sampling, painted


def test_title_says_probability_and_truth() -> None:
    assert figure_title("glioma", 0.9834, None) == "Predicted: glioma (98.3 %)"
    right, wrong = figure_title("glioma", 0.5, "glioma"), figure_title("glioma", 0.5, "notumor")
    assert right == "Predicted: glioma (50.0 %) · true class: glioma"
    assert wrong == "Predicted: glioma (50.0 %) · WRONG, true class: notumor"


@pytest.mark.parametrize(
    ("probability", "text"), [(1.0, "100.0 %"), (0.9996, "> 99.9 %"), (0.9994, "99.9 %")]
)
def test_certainty_is_not_rounded_up(probability: float, text: str) -> None:
    assert percent(probability) == text


def test_long_ids_keep_their_end() -> None:
    assert shortened("short", 10) == "short"
    assert shortened("0123456789abc", 10) == "…456789abc"


def test_fit_in_words() -> None:
    assert fit_words(LocalFit(0, 1, 0.829)) == "local fit R² 0.83"
    assert fit_words(LocalFit(0, 1, None)) == "no local fit"
    assert fit_words(None) == ""


def told(
    jaccard: float | None,
    r2: float | None = 0.5,
    weights: tuple[float, ...] = (0.3, 0.0, 0.0, 0.1),
    top: int = 3,
) -> str:
    """The words on stability of four superpixels; a Jaccard index of None is not told."""
    segments, values = np.arange(4, dtype=np.int32).reshape(2, 2), np.array(weights)
    sampling = None
    if jaccard is not None:
        sampling = Sampling(1500, np.zeros(4), np.ones(4), top, jaccard, 0.8)
    return stability_words(
        Explanation(
            1, segments, values, painted(segments, values), LocalFit(0.1, 0.6, r2), sampling
        )
    )


def test_stability_in_words() -> None:
    assert told(0.8) == "top 3 stable (Jaccard 0.80, 1,500 samples)"
    assert told(0.79) == (
        "UNSTABLE: another seed would show another top 3 (Jaccard 0.79, 1,500 samples)"
    )
    assert told(None) == ""


@pytest.mark.parametrize("r2", [None, 0.5])
def test_it_is_the_weights_that_decide_whether_anything_can_be_stable(r2: float | None) -> None:
    silent = "no superpixel weighs anything"
    assert told(0.12, r2).startswith("UNSTABLE")
    assert told(1.0, r2, weights=(9e-7, 0.0, 0.0, -9e-7)) == silent
    assert told(None, r2, weights=(0.0, 0.0, 0.0, 0.0)) == silent
    assert told(1.0, r2, weights=(0.0, 0.0, 0.0, -2e-6)).startswith("top 3 stable")


@pytest.mark.parametrize("top", [4, 5])
def test_a_top_that_holds_all_superpixels_is_not_called_stable(top: int) -> None:
    assert told(1.0, top=top) == "all 4 superpixels are its top"
    assert told(0.5, top=top).startswith("UNSTABLE")
