"""The texts of a figure: title, fit, and whether another seed would show the same."""

from __future__ import annotations

import numpy as np
import pytest

from fakd_jax.explanation.report.figure import describe_fit, describe_stability, figure_title
from fakd_jax.explanation.result import Explanation, LocalFit, Sampling, painted


def test_titles_mark_wrong_predictions() -> None:
    assert figure_title("glioma", 0.9834, None) == "Predicted: glioma (98.3 %)"
    assert (
        figure_title("glioma", 0.5, "glioma") == "Predicted: glioma (50.0 %) · true class: glioma"
    )
    wrong = figure_title("glioma", 0.5, "notumor")
    assert wrong == "Predicted: glioma (50.0 %) · WRONG, true class: notumor"


def test_fits() -> None:
    assert describe_fit(LocalFit(0, 1, 0.829)) == "local fit R² 0.83"
    assert describe_fit(LocalFit(0, 1, None)) == "no local fit"
    assert describe_fit(None) == ""


def stability(
    jaccard: float | None,
    r2: float | None = 0.5,
    weights: tuple[float, ...] = (0.3, 0.0, 0.0, 0.1),
    top: int = 3,
) -> str:
    """The description of four superpixels; None for a method without an estimate."""
    segments, values = np.arange(4, dtype=np.int32).reshape(2, 2), np.array(weights)
    sampling = None
    if jaccard is not None:
        sampling = Sampling(1500, np.zeros(4), np.ones(4), top, jaccard, 0.8)
    fit = LocalFit(0.1, 0.6, r2)
    return describe_stability(
        Explanation(1, segments, values, painted(segments, values), fit, sampling)
    )


def test_stability() -> None:
    assert stability(0.8) == "top 3 stable (Jaccard 0.80, 1,500 samples)"
    assert stability(0.79).startswith("UNSTABLE")
    assert stability(None) == ""


@pytest.mark.parametrize("r2", [None, 0.5])
def test_degenerate_weights_are_neither_stable_nor_unstable(r2: float | None) -> None:
    degenerate = "all superpixel weights are negligible"
    assert stability(0.12, r2).startswith("UNSTABLE")
    assert stability(1.0, r2, weights=(9e-7, 0.0, 0.0, -9e-7)) == degenerate
    assert stability(None, r2, weights=(0.0, 0.0, 0.0, 0.0)) == degenerate
    assert stability(1.0, r2, weights=(0.0, 0.0, 0.0, -2e-6)).startswith("top 3 stable")


@pytest.mark.parametrize("top", [4, 5])
def test_a_top_of_all_superpixels_is_not_called_stable(top: int) -> None:
    assert stability(1.0, top=top) == "the top includes all 4 superpixels"
    assert stability(0.5, top=top).startswith("UNSTABLE")
