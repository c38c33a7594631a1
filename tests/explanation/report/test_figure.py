"""The figure of an explanation: its texts, its bytes, and what each panel shows."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fakd_jax.explanation.report.figure import (
    describe_fit,
    describe_stability,
    explanation_figure,
    figure_png,
    figure_title,
    signed,
)
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


def an_explanation(weights: list[float]) -> Explanation:
    """Superpixels as four quarters of a 32 × 32 image."""
    segments = np.kron(np.arange(4, dtype=np.int32).reshape(2, 2), np.ones((16, 16), np.int32))
    values = np.array(weights)
    return Explanation(1, segments, values, painted(segments, values), LocalFit(0.1, 0.6, 0.8))


def draw_explanation(*arguments: object, **texts: str) -> bytes:
    return figure_png(explanation_figure(*arguments, **texts))


def test_figure_is_a_wide_png_without_software_or_time() -> None:
    explanation = an_explanation([0.3, -0.2, 0.0, 0.1])
    image = np.full((32, 32, 3), 90, np.uint8)
    arguments = {"title": "$x_1$ 98 %", "subtitle": "a_b^c$", "class_name": "$\\bad{"}
    first = draw_explanation(image, explanation, 3, **arguments)
    assert first == draw_explanation(image, explanation, 3, **arguments)
    with Image.open(io.BytesIO(first)) as figure:
        assert figure.size == (1600, 610)
        assert set(figure.info) <= {"dpi"}


def test_user_style_does_not_change_the_figure() -> None:
    import matplotlib as mpl

    explanation = an_explanation([0.3, -0.2, 0.0, 0.1])
    image = np.full((32, 32, 3), 90, np.uint8)
    figures = []
    for size in (10, 20):
        with mpl.rc_context({"font.size": size, "savefig.dpi": size * 5}):
            figures.append(
                draw_explanation(
                    image, explanation, 3, title="t", subtitle="s", class_name="bright"
                )
            )
    assert figures[0] == figures[1]


def panels_with_colour(weights: list[float], top: int) -> list[tuple[int, int]]:
    """Numbers of green and red pixels in each of the four panels."""
    image = np.full((32, 32, 3), 90, np.uint8)
    content = draw_explanation(
        image, an_explanation(weights), top, title="t", subtitle="s", class_name="bright"
    )
    with Image.open(io.BytesIO(content)) as figure:
        pixels = np.asarray(figure.convert("RGB")).astype(int)
    red, green, blue = np.moveaxis(pixels, -1, 0)
    rows, columns = slice(120, 480), [slice(400 * i + 20, 400 * i + 380) for i in range(4)]
    is_green, is_red = (
        (green > red + 40) & (green > blue + 40),
        (red > green + 40) & (red > blue + 40),
    )
    return [(int(is_green[rows, c].sum()), int(is_red[rows, c].sum())) for c in columns]


def test_each_sign_has_its_own_heaviest_superpixels() -> None:
    """As lime's get_image_and_mask: three heavier ones do not empty the third panel."""
    original, positive, negative, both = panels_with_colour([0.3, 0.2, 0.1, -0.05], 1)
    assert original == (0, 0)
    assert positive[0] > 0
    assert positive[1] == 0
    assert negative[0] == 0
    assert negative[1] > 0
    assert both[0] > 0
    assert both[1] == 0
    assert panels_with_colour([0.3, 0.2, 0.1, -0.05], 2)[1][0] > 1.5 * positive[0]


def test_a_panel_without_superpixels_has_no_colour() -> None:
    assert panels_with_colour([0.3, 0.2, 0.1, 0.0], 3)[2] == (0, 0)
    assert panels_with_colour([0.0, 1e-9, 0.0, -1e-9], 3) == [(0, 0)] * 4


def test_small_weights_keep_their_size() -> None:
    assert [signed(w) for w in (0.25, -0.25, 4e-5, -4e-5, 0.0)] == [
        "+0.250", "−0.250", "+4e-05", "−4e-05", "+0.000",
    ]  # fmt: skip


def test_a_remark_is_drawn() -> None:
    image = np.full((32, 32, 3), 90, np.uint8)
    figures = [
        draw_explanation(
            image, an_explanation([0.3, 0, 0, 0.1]), 3,
            title="t", subtitle="s", class_name="c", remark=remark,
        )
        for remark in ("", "top 3 stable", "UNSTABLE")
    ]  # fmt: skip
    assert len(set(figures)) == 3


def test_a_method_that_weighs_pixels_shows_its_attribution_beside_the_superpixels() -> None:
    by_superpixel = an_explanation([0.3, -0.2, 0.0, 0.1])
    attribution = by_superpixel.attribution.copy()
    attribution[2:6, 2:6] = 2.0
    by_pixel = replace(by_superpixel, attribution=attribution, fit=None)
    assert by_superpixel.by_superpixel
    assert not by_pixel.by_superpixel
    image = np.full((32, 32, 3), 90, np.uint8)
    content = draw_explanation(image, by_pixel, 3, title="t", subtitle="s", class_name="c")
    with Image.open(io.BytesIO(content)) as figure:
        pixels = np.asarray(figure.convert("RGB")).astype(int)
    orange = (pixels[..., 0] > pixels[..., 2] + 60) & (pixels[..., 1] > pixels[..., 2] + 10)
    panels = [int(orange[120:460, 400 * i + 20 : 400 * i + 380].sum()) for i in range(4)]
    assert panels[1] > 200
    assert panels[0] == panels[2] == 0
