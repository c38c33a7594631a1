"""The figure of an explanation: its texts, its bytes, and what each panel shows."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from fakd_jax.explanation.methods.registry import EXPLAINERS
from fakd_jax.explanation.report.figure import (
    ALARMS,
    describe_fit,
    describe_input,
    describe_reliability,
    explanation_figure,
    figure_png,
    figure_title,
    legend_texts,
)
from fakd_jax.explanation.result import (
    Completeness,
    Explanation,
    FeatureMap,
    LocalFit,
    Sampling,
    Score,
    painted,
)


def test_titles_mark_wrong_predictions() -> None:
    assert figure_title("glioma", 0.9834, None) == "Predicted: glioma (98.3 %)"
    assert (
        figure_title("glioma", 0.5, "glioma") == "Predicted: glioma (50.0 %) · true class: glioma"
    )
    wrong = figure_title("glioma", 0.5, "notumor")
    assert wrong == "Predicted: glioma (50.0 %) · WRONG, true class: notumor"


def test_fits() -> None:
    assert describe_fit(LocalFit(0.0, 1.0, 0.829)) == "local fit R² 0.83"
    assert describe_fit(LocalFit(0.0, 1.0, None)) == "no local fit"
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
    return describe_reliability(
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


def test_degenerate_weights_hide_no_alarm() -> None:
    degenerate = replace(MIXED, weights=np.zeros(len(MIXED.weights)))
    remark = describe_reliability(
        replace(
            degenerate,
            feature_map=FeatureMap("layer4", 2, 7),
            completeness=Completeness(-3.0, 2.0),
        )
    )
    assert remark.startswith("COARSE")
    assert "; INCOMPLETE" in remark
    assert remark.endswith(describe_reliability(degenerate))


@pytest.mark.parametrize("top", [4, 5])
def test_a_top_of_all_superpixels_is_not_called_stable(top: int) -> None:
    assert stability(1.0, top=top) == "the top includes all 4 superpixels"
    assert stability(0.5, top=top).startswith("UNSTABLE")


def an_explanation(weights: list[float]) -> Explanation:
    """Superpixels as four quarters of a 32 × 32 image."""
    segments = np.kron(np.arange(4, dtype=np.int32).reshape(2, 2), np.ones((16, 16), np.int32))
    values = np.array(weights)
    return Explanation(1, segments, values, painted(segments, values), LocalFit(0.1, 0.6, 0.8))


MIXED = an_explanation([0.3, -0.2, 0.0, 0.1])


def figure_of(explanation: Explanation = MIXED, top: int = 3, **options: Any) -> Figure:
    image = np.full((32, 32, 3), 90, np.uint8)
    texts = {"title": "t", "subtitle": "s", "class_name": "bright", "score": "probability"}
    return explanation_figure(image, explanation, top, **texts | options)


def draw(explanation: Explanation = MIXED, top: int = 3, **options: Any) -> bytes:
    return figure_png(figure_of(explanation, top, **options))


def texts_of(figure: Figure) -> str:
    """All that is written in a figure."""
    return "\n".join(text.get_text() for text in figure.findobj(Text))


@pytest.mark.parametrize("method", EXPLAINERS)
def test_a_legend_speaks_of_what_its_method_explains(method: str) -> None:
    score = EXPLAINERS[method].score
    legend = " ".join(legend_texts(score, "bright"))
    assert ("control" if score is None else f"raises the {score} of bright") in legend
    for other in {"probability", "logit"} - {score}:
        assert other not in legend


@pytest.mark.parametrize("score", ["probability", "logit", None])
def test_no_other_score_is_written_anywhere_in_a_figure(score: Score | None) -> None:
    written = texts_of(figure_of(an_explanation([0.0] * 4), score=score))
    assert legend_texts(score, "bright")[0] in written
    for other in {"probability", "logit"} - {score}:
        assert other not in written


def test_the_first_panel_is_the_networks_input_not_the_original() -> None:
    assert describe_input((32, 32), None) == describe_input((32, 32), (64, 64))
    written = texts_of(figure_of(original_size=(36, 40)))
    assert "Network input, 32 × 32, squashed from 36 × 40" in written
    assert "Original" not in written


def test_a_coarse_map_is_an_alarm_and_its_size_is_always_written() -> None:
    fine = describe_reliability(replace(MIXED, feature_map=FeatureMap("layer1", 8, 5)))
    assert "8 × 5" in fine
    assert "layer1" in fine
    assert not fine.startswith(ALARMS)
    coarse = describe_reliability(replace(MIXED, feature_map=FeatureMap("layer4", 2, 7)))
    assert coarse.startswith("COARSE")
    assert "2 × 7" in coarse


def test_incomplete_attributions_are_an_alarm_and_the_error_is_always_written() -> None:
    complete = describe_reliability(replace(MIXED, completeness=Completeness(2.02, 2.0)))
    assert "error 1.0 %" in complete
    assert not complete.startswith(ALARMS)
    incomplete = describe_reliability(replace(MIXED, completeness=Completeness(-3.0, 2.0)))
    assert incomplete.startswith("INCOMPLETE")
    assert "−3.00" in incomplete
    assert "error 250.0 %" in incomplete
    assert describe_reliability(replace(MIXED, completeness=Completeness(1.0, 0.0))).startswith(
        "INCOMPLETE"
    )


def panels_of(png: bytes) -> list[np.ndarray]:
    """The inner pixels of the four panels."""
    with Image.open(io.BytesIO(png)) as figure:
        pixels = np.asarray(figure.convert("RGB")).astype(int)
    return [pixels[120:460, 400 * i + 20 : 400 * i + 380] for i in range(4)]


def test_a_figure_is_a_wide_png_without_software_or_time() -> None:
    texts = {"title": "$x_1$ 98 %", "subtitle": "a_b^c$", "class_name": "$\\bad{"}
    first = draw(**texts)
    assert first == draw(**texts)
    with Image.open(io.BytesIO(first)) as figure:
        assert figure.size == (1600, 660)
        assert set(figure.info) <= {"dpi"}


def test_the_users_style_does_not_change_the_figure() -> None:
    import matplotlib as mpl

    figures = set()
    for size in (10, 20):
        with mpl.rc_context({"font.size": size, "savefig.dpi": size * 5}):
            figures.add(draw())
    assert len(figures) == 1


def test_a_remark_and_a_reading_are_drawn() -> None:
    assert len({draw(remark=remark) for remark in ("", "top 3 stable", "UNSTABLE")}) == 3
    long = "It shows what it shows and " * 12
    assert texts_of(figure_of(reading=long)).replace("\n", " ").count("it shows and") == 12


def test_the_panels_of_a_contrast_name_both_classes() -> None:
    written = texts_of(figure_of(contrast="dark", score="log-odds"))
    assert "for bright" in written
    assert "for dark" in written
    assert "raises the log-odds of bright against dark" in written


def coloured(weights: list[float], top: int) -> list[tuple[int, int]]:
    """Numbers of orange and blue pixels in each of the four panels."""
    counts = []
    for panel in panels_of(draw(an_explanation(weights), top)):
        red, _, blue = np.moveaxis(panel, -1, 0)
        counts.append((int((red > blue + 40).sum()), int((blue > red + 40).sum())))
    return counts


def test_each_sign_has_its_own_top_superpixels() -> None:
    """As in lime's get_image_and_mask: three heavier ones do not empty the third panel."""
    original, positive, negative, both = coloured([0.3, 0.2, 0.1, -0.05], 1)
    assert original == (0, 0)
    assert positive[0] > 0 == positive[1]
    assert negative[1] > 0 == negative[0]
    assert both[0] > 0 == both[1]
    assert coloured([0.3, 0.2, 0.1, -0.05], 2)[1][0] > 1.5 * positive[0]


def test_a_panel_without_superpixels_has_no_colour() -> None:
    assert coloured([0.3, 0.2, 0.1, 0.0], 3)[2] == (0, 0)
    assert coloured([0.0, 1e-9, 0.0, -1e-9], 3) == [(0, 0)] * 4


def test_attribution_of_pixels_is_shown_in_the_second_panel() -> None:
    attribution = MIXED.attribution.copy()
    attribution[2:6, 2:6] = 2.0
    by_pixel = replace(MIXED, attribution=attribution, fit=None)
    assert MIXED.by_superpixel
    assert not by_pixel.by_superpixel
    original, shown, positive, _ = panels_of(draw(by_pixel))
    orange = [int((panel[..., 0] > panel[..., 2] + 60).sum()) for panel in (original, shown)]
    assert orange[0] == 0
    assert orange[1] > 200
    # The patch is no superpixel: the panel of superpixels does not show it.
    assert (shown != positive).any(axis=-1).sum() > 200
    assert "Attribution" in texts_of(figure_of(by_pixel))
