"""Panels by metric, dots by method, colours by verdict; curves of one image."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from fakd_jax.explanation.benchmark.metrics import BY_KEY
from fakd_jax.explanation.benchmark.summary import ALL, summarise
from fakd_jax.explanation.report import benchmark_figure as figure
from fakd_jax.explanation.report.benchmark_figure import draw_curves, line_styles
from tests.explanation.benchmark.benchmark_cells import (
    CONTROLS,
    METHODS,
    cells_of,
    typical_cells,
)
from tests.explanation.report.example_gallery import cell

Draw = Callable[[dict[str, Any]], Figure]


@pytest.fixture
def draw(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Draw:
    """Draws a benchmark and returns the figure, which was saved too."""
    kept: list[Figure] = []
    save = figure.save_figure

    def keep(drawn: Figure, path: Path) -> None:
        kept.append(drawn)
        save(drawn, path)

    monkeypatch.setattr(figure, "save_figure", keep)

    def drawn(report: dict[str, Any]) -> Figure:
        figure.plot_benchmark(report, tmp_path / "benchmark.png")
        assert (tmp_path / "benchmark.png").read_bytes().startswith(b"\x89PNG")
        return kept[-1]

    return drawn


def panels(drawn: Figure) -> dict[str, Any]:
    return {ax.get_title("left"): ax for ax in drawn.axes if ax.get_title("left")}


def dots(ax: Any) -> list[tuple[float, float, str, str]]:
    """Place, mean, colour and filling of every dot in a panel."""
    return [
        (line.get_ydata()[0], line.get_xdata()[0], line.get_color(), line.get_markerfacecolor())
        for line in ax.lines
        if line.get_marker() != "None"
    ]


def legend_of(drawn: Figure) -> list[str]:
    legends = [*drawn.legends, *(ax.get_legend() for ax in drawn.axes if ax.get_legend())]
    (legend,) = legends
    return [text.get_text() for text in legend.get_texts()]


def test_every_metric_has_a_panel_and_the_legend_a_free_one(draw: Draw) -> None:
    drawn = draw(summarise(typical_cells(), METHODS, CONTROLS))
    assert len(panels(drawn)) == 13
    assert not drawn.legends
    (home,) = (ax for ax in drawn.axes if ax.get_legend())
    assert not home.axison
    first = drawn.axes[0]
    assert [label.get_text() for label in first.get_yticklabels()] == [*METHODS, *CONTROLS]
    assert first.get_title("right") == "stability"
    low, high = first.get_ylim()
    assert low > high  # the first method is on top


def test_absent_metrics_have_no_panel(draw: Draw) -> None:
    drawn = draw(summarise(typical_cells(12, localised=False), METHODS, CONTROLS))
    assert len(panels(drawn)) == 10
    assert not {"pointing game", "Dice", "evidence in lesion"} & set(panels(drawn))


def test_without_a_free_panel_the_legend_is_below(draw: Draw) -> None:
    cells = cells_of("lime", "gap", [0.1, 0.2]) + cells_of("rise", "gap", [0.3, -0.2])
    drawn = draw(summarise(cells, ["lime", "rise"], []))
    assert len(drawn.axes) == 1
    assert len(drawn.legends) == 1
    assert legend_of(drawn) == ["not compared with controls"]


def test_dots_are_at_the_means_and_coloured_by_verdict(draw: Draw) -> None:
    random = np.random.default_rng(0)
    centre, edges = (random.normal(0.5, 0.05, 40) for _ in range(2))
    better, alike, worse = (centre + d + random.normal(0, 0.05, 40) for d in (0.3, 0.0, -0.3))
    named = {"a": better, "b": alike, "c": worse, "centre": centre, "edges": edges - 0.3}
    cells = [cell for name, values in named.items() for cell in cells_of(name, "gap", values)]
    cells += cells_of("d", "gap", [0.4] * 4)
    report = summarise(cells, ["a", "b", "c", "d"], ["centre", "edges"])
    drawn = draw(report)
    ax = panels(drawn)["insertion − deletion"]
    means = [row["metrics"]["gap"]["mean"] for row in report["rows"] if row["class"] == ALL]
    colours = [figure.BLUE, figure.BLACK, figure.VERMILION, figure.BLACK, figure.GREY, figure.GREY]
    fillings = [figure.BLUE, "white", figure.VERMILION, figure.BLACK, figure.GREY, figure.GREY]
    assert dots(ax) == list(zip(range(6), means, colours, fillings, strict=True))
    best = [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"]
    assert best == [means[4]]
    assert legend_of(drawn) == [
        "better than all controls compared",
        "indistinguishable from a control",
        "worse than a control",
        "not compared with controls",
        "control",
        "best control, its 95 % interval",
    ]


def test_the_best_control_has_the_lowest_mean_where_lower_is_better(draw: Draw) -> None:
    cells = cells_of("centre", "deletion", [0.6]) + cells_of("edges", "deletion", [0.2])
    ax = panels(draw(summarise(cells, ["lime"], ["centre", "edges"])))["deletion"]
    assert [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == "--"] == [0.2]
    assert ax.get_xlabel() == "← lower is better"
    assert len(dots(ax)) == 2  # nothing has been measured of lime


def test_panels_reach_from_0_or_the_least_value_to_1(draw: Draw) -> None:
    cells = cells_of("lime", "gap", [-0.5] * 12) + cells_of("edges", "jaccard", [0.8] * 12)
    drawn = panels(draw(summarise(cells, ["lime"], ["edges"])))
    assert drawn["top overlap"].get_xlim() == pytest.approx((-0.04, 1.04))
    assert drawn["insertion − deletion"].get_xlim() == pytest.approx((-0.56, 1.06))


def test_only_dependence_has_a_threshold(draw: Draw) -> None:
    drawn = panels(draw(summarise(typical_cells(12), METHODS, CONTROLS)))
    lines = {
        name: [line.get_xdata()[0] for line in ax.lines if line.get_linestyle() == ":"]
        for name, ax in drawn.items()
    }
    assert lines.pop("dependence on weights") == [0.5]
    assert not any(lines.values())


def test_an_empty_benchmark_is_refused(draw: Draw) -> None:
    with pytest.raises(ValueError, match="nothing has been measured"):
        draw(summarise([], ["lime"], ["edges"]))


def test_the_same_benchmark_gives_the_same_bytes(tmp_path: Path) -> None:
    report = summarise(typical_cells(12), METHODS[:2], CONTROLS)
    for name in ("a.png", "b.png"):
        figure.plot_benchmark(report, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


@pytest.mark.parametrize(("count", "grid"), [(1, (1, 1)), (4, (1, 4)), (6, (2, 3)), (10, (3, 4))])
def test_the_grid_has_few_free_places(draw: Draw, count: int, grid: tuple[int, int]) -> None:
    cells = [cells_of("lime", key, [0.5])[0] for key in list(BY_KEY)[:count]]
    cells = [cell | {"id": str(place)} for place, cell in enumerate(cells)]
    drawn = draw(summarise(cells, ["lime"], []))
    assert drawn.axes[0].get_subplotspec().get_gridspec().get_geometry() == grid


def test_curves_are_coloured_for_methods_and_grey_for_controls() -> None:
    cells = {name: cell("a", name) for name in ("lime", "centre")}
    flat = {"fraction": [0.0, 1.0], "deletion": [0.8, 0.8], "insertion": [0.8, 0.8]}
    cells["lime"]["curves"] = flat
    drawn = draw_curves(cells, ["centre"])
    np.testing.assert_array_equal(drawn, draw_curves(cells, ["centre"]))
    assert drawn.shape[1] == 600
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
