"""Figures of a benchmark: `benchmark.png`, and the deletion and insertion curves of one image."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import cycle, product
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from fakd_jax.explanation.benchmark.metrics import Metric, measured
from fakd_jax.explanation.benchmark.summary import ALL
from fakd_jax.explanation.benchmark.verdicts import controls_by_verdict
from fakd_jax.explanation.quality.randomisation import DEPENDENT
from fakd_jax.reporting.figures import BLACK, GREEN, PURPLE, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

COLUMNS = 4
GREY = "#8C8C8C"
DIRECTIONS = {"higher": "higher is better →", "lower": "← lower is better"}
BEST_CONTROL: Mapping[str, Any] = {"color": GREY, "linestyle": "--", "linewidth": 1}
DOT: Mapping[str, Any] = {"linestyle": "", "markersize": 5, "clip_on": False, "zorder": 3}
THRESHOLD: Mapping[str, Any] = {"color": BLACK, "linestyle": ":", "linewidth": 1}

# Okabe & Ito's palette without its pale yellow.
CURVE_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
CURVE_DASHES = ("-", "--", "-.", ":")
CURVE_PANELS = {"deletion": "share of the head masked", "insertion": "share of the head shown"}


class Standing(NamedTuple):
    """How a method compares with the controls by one metric, and how its dot is drawn."""

    label: str
    colour: str
    marker: str
    filled: bool = True

    def style(self) -> dict[str, Any]:
        """Matplotlib's keywords; standings differ without colour too."""
        face = self.colour if self.filled else "white"
        return {"color": self.colour, "marker": self.marker, "markerfacecolor": face}


# Not the colours of evidence, which the same gallery shows for and against a class.
BETTER = Standing("better than all controls compared", GREEN, "o")
INDISTINGUISHABLE = Standing("indistinguishable from a control", BLACK, "o", filled=False)
WORSE = Standing("worse than a control", PURPLE, "X")
UNCOMPARED = Standing("not compared with controls", BLACK, "o")
CONTROL = Standing("control", GREY, "D")
STANDINGS = (BETTER, INDISTINGUISHABLE, WORSE, UNCOMPARED, CONTROL)


def plot_benchmark(report: Mapping[str, Any], path: Path) -> None:
    """Draws the means over all images with their intervals, one panel per metric.

    The dashed line is the best control's mean, the band its interval. A dot's colour shows the
    paired comparison, which can separate methods whose intervals overlap.

    Args:
      report: from :func:`fakd_jax.explanation.benchmark.summary.summarise`.
      path: of the PNG, replaced atomically.

    Raises:
      ValueError: no metric has a value.
      UserError: the file cannot be written.
    """
    rows = [row for row in report["rows"] if row["class"] == ALL]
    metrics = measured(rows)
    if not metrics:
        raise ValueError("nothing has been measured: there is no benchmark to draw")
    height, width = _grid(len(metrics))
    figure = new_figure(width=1.6 + 2.9 * width, height=0.7 + height * (0.9 + 0.22 * len(rows)))
    axes = figure.subplots(height, width, squeeze=False, sharey=True).ravel()
    drawn: set[Standing] = set()
    for ax, metric in zip(axes, metrics, strict=False):
        drawn |= _draw_panel(ax, metric, rows, report)
    legend: dict[str, Any] = {
        "handles": _handles([standing for standing in STANDINGS if standing in drawn], metrics),
        "title": f"mean of up to {max(row['n'] for row in rows):,} images, 95 % interval",
        "fontsize": "small",
        "title_fontsize": "small",
    }
    free = axes[len(metrics) :]
    for ax in free:
        ax.set_axis_off()
    if len(free):
        free[0].legend(loc="center left", alignment="left", frameon=False, **legend)
    else:
        figure.legend(loc="outside lower center", ncols=3, **legend)
    save_figure(figure, path)


def _grid(panels: int) -> tuple[int, int]:
    """Rows and columns with the fewest free places."""
    height = math.ceil(panels / COLUMNS)
    return height, math.ceil(panels / height)


def _draw_panel(
    ax: Axes, metric: Metric, rows: Sequence[Mapping[str, Any]], report: Mapping[str, Any]
) -> set[Standing]:
    """Draws one metric and returns the standings that occur."""
    values = {row["method"]: row["metrics"][metric.key] for row in rows}
    defined = {name: value for name, value in values.items() if value["mean"] is not None}
    controls = [value for name, value in defined.items() if name in report["controls"]]
    if metric.compared and controls:
        best = max(controls, key=lambda value: metric.sign * value["mean"])
        ax.axvline(best["mean"], **BEST_CONTROL)
        if best["ci95"]:
            ax.axvspan(*best["ci95"], color=GREY, alpha=0.2, linewidth=0)
    if metric.key == "dependence":
        ax.axvline(DEPENDENT, **THRESHOLD)
    drawn = set()
    for place, method in enumerate(values):
        if value := defined.get(method):
            standing = _standing(report, method, metric)
            drawn.add(standing)
            if value["ci95"]:
                ax.hlines(place, *value["ci95"], color=standing.colour, linewidth=1.5)
            ax.plot(value["mean"], place, **DOT, **standing.style())
    # All panels reach from 0, or the least value below it, to 1, so that they can be compared.
    ends = [end for value in defined.values() for end in (value["mean"], *(value["ci95"] or ()))]
    least = min(0.0, *ends)
    margin = 0.04 * (1 - least)
    ax.set_xlim(least - margin, 1 + margin)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_title(metric.name, loc="left", fontsize="medium")
    ax.set_title(metric.group, loc="right", fontsize="small", color=GREY)
    ax.set_xlabel(DIRECTIONS[metric.better], fontsize="small")
    ax.set_yticks(range(len(rows)), list(values))
    ax.axhline(len(rows) - len(report["controls"]) - 0.5, color=GREY, linewidth=0.6)
    ax.grid(axis="x", alpha=0.3)
    ax.tick_params(labelsize="small")
    return drawn


def _standing(report: Mapping[str, Any], method: str, metric: Metric) -> Standing:
    if method in report["controls"]:
        return CONTROL
    controls = controls_by_verdict(report["verdicts"], method, metric.key)
    if "worse" in controls:
        return WORSE
    if "indistinguishable" in controls:
        return INDISTINGUISHABLE
    return BETTER if "better" in controls else UNCOMPARED


def _handles(standings: Sequence[Standing], metrics: Sequence[Metric]) -> list[Artist]:
    """Handles of the legend: each standing and line that occurs."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=one.label, **one.style()) for one in standings]
    if CONTROL in standings and any(metric.compared for metric in metrics):
        handles.append(Line2D([], [], label="best control, its 95 % interval", **BEST_CONTROL))
    if any(metric.key == "dependence" for metric in metrics):
        handles.append(Line2D([], [], label="threshold of the sanity check", **THRESHOLD))
    return list(handles)


def draw_curves(
    cells: Mapping[str, Mapping[str, Any]], controls: Collection[str]
) -> UInt8[np.ndarray, "H W 3"]:
    """Draws the deletion and insertion curves of one image, one line per method.

    Args:
      cells: by method; each with its `curves`.
      controls: the methods to draw in grey.

    Returns:
      A picture 600 pixels wide; equal arguments give equal pixels.
    """
    import matplotlib.style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    styles = line_styles(list(cells), controls)
    # A user's matplotlibrc must not change the bytes; Figure without pyplot leaves no state.
    with matplotlib.style.context("default"):
        figure = Figure(figsize=(6.0, 2.2), dpi=100, layout="constrained")
        canvas = FigureCanvasAgg(figure)
        panels = figure.subplots(1, 2, sharey=True)
        for panel, (kind, label) in zip(panels, CURVE_PANELS.items(), strict=True):
            for method, cell in cells.items():
                colour, dash = styles[method]
                curve = cell["curves"]["fraction"], cell["curves"][kind]
                panel.plot(*curve, color=colour, linestyle=dash, linewidth=1.3, label=method)
            panel.set_title(kind, fontsize=9)
            panel.set_xlabel(label, fontsize=8)
            panel.set(xlim=(0, 1), ylim=(-0.03, 1.03))
            panel.tick_params(labelsize=7)
            panel.spines[["top", "right"]].set_visible(False)
        panels[0].set_ylabel("probability of the class", fontsize=8)
        lines, names = panels[0].get_legend_handles_labels()
        figure.legend(lines, names, loc="outside right center", fontsize=7, frameon=False)
        canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def line_styles(methods: Sequence[str], controls: Collection[str]) -> dict[str, tuple[str, str]]:
    """Colour and dash of each method's line; they repeat after 28 methods and 4 controls."""
    own = cycle((colour, dash) for dash, colour in product(CURVE_DASHES, CURVE_COLOURS))
    grey = cycle((GREY, dash) for dash in CURVE_DASHES)
    return {method: next(grey if method in controls else own) for method in methods}
