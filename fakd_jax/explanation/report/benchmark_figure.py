"""The picture of a benchmark, `benchmark.png`: a panel a measure, a row a method."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fakd_jax.explanation.benchmark.metrics import Measure, measured
from fakd_jax.explanation.benchmark.summary import ALL
from fakd_jax.explanation.benchmark.verdicts import controls_by_verdict
from fakd_jax.explanation.quality.randomisation import DEPENDENT
from fakd_jax.reporting.figures import BLACK, BLUE, VERMILION, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

COLUMNS = 4
GREY = "#8C8C8C"
DIRECTIONS = {"higher": "higher is better →", "lower": "← lower is better"}


BEST_CONTROL: Mapping[str, Any] = {"color": GREY, "linestyle": "--", "linewidth": 1}
NEEDED: Mapping[str, Any] = {"color": BLACK, "linestyle": ":", "linewidth": 1}


class Standing(NamedTuple):
    """How a method's dot is drawn, by what its verdicts on a measure say.

    Attributes:
      label: in the legend.
      colour: of dot and interval.
      filled: whether the dot is.
      marker: matplotlib's; standings differ without colour too.
    """

    label: str
    colour: str
    filled: bool
    marker: str


ABOVE = Standing("better than all controls compared", BLUE, True, "o")
OPEN = Standing("not told apart from some control", BLACK, False, "o")
BELOW = Standing("worse than some control", VERMILION, True, "X")
UNCOMPARED = Standing("not held against controls", BLACK, True, "o")
CONTROL = Standing("control", GREY, True, "D")
STANDINGS = (ABOVE, OPEN, BELOW, UNCOMPARED, CONTROL)


def plot_benchmark(report: Mapping[str, Any], path: Path) -> None:
    """Draws the means over all images with their intervals, and how methods stand to the controls.

    A measure without a value has no panel. The dashed line is the best control's mean, the band
    its interval; a dot's colour says what the paired comparison does, which can tell methods
    apart whose intervals overlap.

    Args:
      report: of :func:`fakd_jax.explanation.benchmark.summary.summarise`.
      path: of the PNG, replaced atomically.

    Raises:
      ValueError: nothing has been measured.
      UserError: the file cannot be written.
    """
    rows = [row for row in report["rows"] if row["class"] == ALL]
    measures = measured(rows)
    if not measures:
        raise ValueError("nothing has been measured: there is no benchmark to draw")
    height, width = _grid(len(measures))
    figure = new_figure(width=1.6 + 2.9 * width, height=0.7 + height * (0.9 + 0.22 * len(rows)))
    axes = figure.subplots(height, width, squeeze=False, sharey=True).ravel()
    drawn = set()
    for ax, measure in zip(axes, measures, strict=False):
        drawn |= _draw(ax, measure, rows, report)
    legend: dict[str, Any] = {
        "handles": _handles([standing for standing in STANDINGS if standing in drawn], measures),
        "title": f"mean of {max(row['n'] for row in rows):,} images at most, 95 % interval",
        "fontsize": "small",
        "title_fontsize": "small",
    }
    free = axes[len(measures) :]
    for ax in free:
        ax.set_axis_off()
    # In the first place without a panel or, if there is none, below: it must hide no dot.
    if len(free):
        free[0].legend(loc="center left", alignment="left", frameon=False, **legend)
    else:
        figure.legend(loc="outside lower center", ncols=3, **legend)
    save_figure(figure, path)


def _grid(panels: int) -> tuple[int, int]:
    """Rows and columns that leave the fewest places empty, no more columns than COLUMNS."""
    height = math.ceil(panels / COLUMNS)
    return height, math.ceil(panels / height)


def _draw(
    ax: Axes, measure: Measure, rows: Sequence[Mapping[str, Any]], report: Mapping[str, Any]
) -> set[Standing]:
    """A measure's panel; returns the standings that occur in it."""
    if measure.compared:
        _mark_best_control(ax, measure, rows, report["controls"])
    if measure.key == "dependence":
        ax.axvline(DEPENDENT, **NEEDED)
    drawn = set()
    for place, row in enumerate(rows):
        standing = _standing(report, row["method"], measure)
        if _draw_mean(ax, place, row["measures"][measure.key], standing):
            drawn.add(standing)
    ax.set_title(measure.name, loc="left", fontsize="medium")
    ax.set_title(measure.group, loc="right", fontsize="small", color=GREY)
    ax.set_xlabel(DIRECTIONS[measure.better], fontsize="small")
    ax.set_yticks(range(len(rows)), [row["method"] for row in rows])
    ax.set_xlim(*_range(measure, rows))
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.axhline(len(rows) - len(report["controls"]) - 0.5, color=GREY, linewidth=0.6)
    ax.grid(axis="x", alpha=0.3)
    ax.tick_params(labelsize="small")
    return drawn


def _range(measure: Measure, rows: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """From 0, or the least interval's end below it, to 1: panels can be compared by eye."""
    figures = [row["measures"][measure.key] for row in rows]
    ends = [end for figure in figures for end in (figure["mean"], *(figure["ci95"] or ()))]
    least = min((0.0, *(end for end in ends if end is not None)))
    margin = 0.04 * (1 - least)
    return least - margin, 1 + margin


def _standing(report: Mapping[str, Any], method: str, measure: Measure) -> Standing:
    if method in report["controls"]:
        return CONTROL
    controls = controls_by_verdict(report["verdicts"], method, measure.key)
    if "below" in controls:
        return BELOW
    if "not told apart" in controls:
        return OPEN
    return ABOVE if "above" in controls else UNCOMPARED


def _draw_mean(ax: Axes, place: int, figure: Mapping[str, Any], standing: Standing) -> bool:
    """Dot and interval of one method; False where there is no mean to draw."""
    if figure["mean"] is None:
        return False
    if figure["ci95"]:
        ax.hlines(place, *figure["ci95"], color=standing.colour, linewidth=1.5)
    ax.plot(
        figure["mean"],
        place,
        standing.marker,
        color=standing.colour,
        markerfacecolor=standing.colour if standing.filled else "white",
        markersize=5,
        clip_on=False,
        zorder=3,
    )
    return True


def _mark_best_control(
    ax: Axes, measure: Measure, rows: Sequence[Mapping[str, Any]], controls: Sequence[str]
) -> None:
    """A line at the best control's mean and a band over its interval."""
    figures = [row["measures"][measure.key] for row in rows if row["method"] in controls]
    known = [figure for figure in figures if figure["mean"] is not None]
    if known:
        best = max(known, key=lambda figure: measure.sign * figure["mean"])
        ax.axvline(best["mean"], **BEST_CONTROL)
        if best["ci95"]:
            ax.axvspan(*best["ci95"], color=GREY, alpha=0.2, linewidth=0)


def _handles(standings: Sequence[Standing], measures: Sequence[Measure]) -> list[Artist]:
    """What the legend explains: each standing that occurs, and the lines that are drawn."""
    from matplotlib.lines import Line2D

    dots = [
        Line2D(
            [],
            [],
            marker=standing.marker,
            color=standing.colour,
            markerfacecolor=standing.colour if standing.filled else "white",
            label=standing.label,
        )
        for standing in standings
    ]
    lines = []
    if CONTROL in standings and any(measure.compared for measure in measures):
        lines.append(Line2D([], [], label="best control, its 95 % interval", **BEST_CONTROL))
    if any(measure.key == "dependence" for measure in measures):
        lines.append(Line2D([], [], label="needed to pass the sanity check", **NEEDED))
    return [*dots, *lines]
