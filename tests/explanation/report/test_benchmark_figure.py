"""Panels by metric, dots by method, colours by verdict; curves of one image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fakd_jax.explanation.benchmark.summary import ALL, summarise
from fakd_jax.explanation.report import benchmark_figure
from fakd_jax.explanation.report.benchmark_figure import (
    BLACK,
    GREEN,
    GREY,
    PURPLE,
    draw_curves,
    line_styles,
    plot_benchmark,
)
from tests.explanation.benchmark.benchmark_cells import CONTROLS, METHODS, cells_of, typical_cells
from tests.explanation.report.example_gallery import cell

Drawn = tuple[Figure, dict[str, Axes]]


def draw(*arguments: Any) -> Drawn:
    """The figure of the summary of some cells, and its panels by metric."""
    drawn: list[Figure] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark_figure, "save_figure", lambda figure, path: drawn.append(figure))
        plot_benchmark(summarise(*arguments), Path("unused.png"))
    (figure,) = drawn
    return figure, {ax.get_title("left"): ax for ax in figure.axes if ax.get_title("left")}


def legend_of(figure: Figure) -> list[str]:
    legends = [*figure.legends, *(ax.get_legend() for ax in figure.axes if ax.get_legend())]
    (legend,) = legends
    return [text.get_text() for text in legend.get_texts()]


def lines_of(ax: Axes, style: str) -> list[float]:
    return [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == style]


def test_every_metric_has_a_panel_and_the_legend_a_free_one() -> None:
    figure, panels = draw(typical_cells(), METHODS, CONTROLS)
    assert len(panels) == 13
    (free,) = (ax for ax in figure.axes if ax.get_legend())
    assert not free.axison
    first = figure.axes[0]
    assert [label.get_text() for label in first.get_yticklabels()] == [*METHODS, *CONTROLS]
    assert first.get_title("right") == "stability"
    assert first.get_ylim()[0] > first.get_ylim()[1]  # the first method is on top
    thresholds = {name: lines_of(ax, ":") for name, ax in panels.items()}
    assert thresholds.pop("dependence on weights") == [0.5]
    assert not any(thresholds.values())


def test_absent_metrics_have_no_panel() -> None:
    _, panels = draw(typical_cells(12, localised=False), METHODS, CONTROLS)
    assert len(panels) == 10
    assert not {"pointing game", "Dice", "evidence in lesion"} & set(panels)


def test_dots_are_at_the_means_and_coloured_by_verdict() -> None:
    random = np.random.default_rng(0)
    centre, edges = (random.normal(0.5, 0.05, 40) for _ in range(2))
    better, alike, worse = (centre + d + random.normal(0, 0.05, 40) for d in (0.3, 0.0, -0.3))
    named = {"a": better, "b": alike, "c": worse, "centre": centre, "edges": edges - 0.3}
    cells = [cell for name, values in named.items() for cell in cells_of(name, "gap", values)]
    arguments = cells + cells_of("d", "gap", [0.4] * 4), ["a", "b", "c", "d"], ["centre", "edges"]
    figure, panels = draw(*arguments)
    ax = panels["insertion − deletion"]
    rows = summarise(*arguments)["rows"]
    means = [row["metrics"]["gap"]["mean"] for row in rows if row["class"] == ALL]
    dots = [line for line in ax.lines if line.get_marker() != "None"]
    assert [(dot.get_ydata()[0], dot.get_xdata()[0]) for dot in dots] == list(enumerate(means))
    colours = [GREEN, BLACK, PURPLE, BLACK, GREY, GREY]
    assert [dot.get_color() for dot in dots] == colours
    assert [dot.get_markerfacecolor() for dot in dots] == [GREEN, "white", *colours[2:]]
    assert lines_of(ax, "--") == [means[4]]
    assert len(legend_of(figure)) == 6


def test_the_best_control_has_the_lowest_mean_where_lower_is_better() -> None:
    cells = cells_of("centre", "deletion", [0.6]) + cells_of("edges", "deletion", [0.2])
    figure, panels = draw(cells, ["lime"], ["centre", "edges"])
    assert lines_of(panels["deletion"], "--") == [0.2]
    assert panels["deletion"].get_xlabel() == "← lower is better"
    assert len(figure.legends) == 1  # no panel is free


def test_panels_reach_from_0_or_the_least_value_to_1() -> None:
    cells = cells_of("lime", "gap", [-0.5] * 12) + cells_of("edges", "jaccard", [0.8] * 12)
    _, panels = draw(cells, ["lime"], ["edges"])
    assert panels["top overlap"].get_xlim() == pytest.approx((-0.04, 1.04))
    assert panels["insertion − deletion"].get_xlim() == pytest.approx((-0.56, 1.06))


def test_an_empty_benchmark_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing has been measured"):
        draw([], ["lime"], ["edges"])


def test_the_same_benchmark_gives_the_same_bytes(tmp_path: Path) -> None:
    report = summarise(typical_cells(12), METHODS[:2], CONTROLS)
    for name in ("a.png", "b.png"):
        plot_benchmark(report, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_curves_are_coloured_for_methods_and_grey_for_controls() -> None:
    cells = {name: cell("a", name) for name in ("lime", "centre")}
    flat = {"fraction": [0.0, 1.0], "deletion": [0.8, 0.8], "insertion": [0.8, 0.8]}
    cells["lime"]["curves"] = flat
    drawn = draw_curves(cells, ["centre"])
    np.testing.assert_array_equal(drawn, draw_curves(cells, ["centre"]))
    # The method's line is level in the upper half, across both panels.
    rows, columns = np.nonzero(np.ptp(drawn, axis=-1) > 60)
    panels = columns < 440  # the legend is to the right
    assert rows[panels].max() < drawn.shape[0] / 2
    assert np.unique(columns[panels]).size > 300
    assert not np.ptp(draw_curves(cells, ["lime", "centre"]), axis=-1).any()


def test_no_two_curves_look_alike() -> None:
    names = [f"method {number}" for number in range(32)]
    styles = line_styles(names, controls=names[28:])
    assert len(set(styles.values())) == 32
    (grey,) = {styles[name][0] for name in names[28:]}
    assert grey not in {styles[name][0] for name in names[:28]}
