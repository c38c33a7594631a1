"""The figure of a stress test: accuracy by severity, one panel per family."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from fakd_jax.reporting.figures import BLUE, VERMILION, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 4
PANEL_WIDTH, PANEL_HEIGHT, LEGEND_HEIGHT = 2.2, 1.6, 0.5


def plot_stress(report: Mapping[str, Any]) -> Figure:
    """Draws accuracy with 95 % intervals against severity, 0 being images as they are.

    Args:
      report: what `stress.json` holds.
    """
    families = list(report["families"])
    columns = min(COLUMNS, len(families))
    lines = math.ceil(len(families) / columns)
    figure = new_figure(
        width=max(PANEL_WIDTH * columns, 4.0), height=PANEL_HEIGHT * lines + LEGEND_HEIGHT
    )
    axes = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).flat
    networks = [("this network", report, {"color": BLUE, "marker": "o"})]
    if report["other"] is not None:
        dashed = {"color": VERMILION, "marker": "s", "linestyle": "--"}
        networks.append(("the other network", report["other"], dashed))
    for ax, family in zip(axes, families, strict=False):
        for label, network, style in networks:
            _draw(ax, network["conditions"], family, label=label, style=style)
        ax.set_title(family.replace("_", " "), fontsize=9)
        ax.grid(axis="y", alpha=0.3)
        ax.tick_params(labelsize=7)
        ax.set_xticks([0, *report["severities"]])
    for ax in list(axes)[len(families) :]:
        ax.set_axis_off()
    figure.supxlabel("severity (0: images as they are)", fontsize=9)
    figure.supylabel("accuracy (%)", fontsize=9)
    if len(networks) > 1:
        shown = figure.axes[0].get_legend_handles_labels()
        figure.legend(*shown, loc="outside upper center", ncols=2, fontsize=8, frameon=False)
    return figure


def _draw(
    ax: Axes,
    rows: Sequence[Mapping[str, Any]],
    family: str,
    *,
    label: str,
    style: Mapping[str, Any],
) -> None:
    drawn = [row for row in rows if row["family"] == family or not row["severity"]]
    severities = [row["severity"] for row in drawn]
    intervals = [row["accuracy_ci95_grouped"] or row["accuracy_ci95"] for row in drawn]
    low, high = ([100 * ends[i] for ends in intervals] for i in (0, 1))
    ax.fill_between(severities, low, high, color=style["color"], alpha=0.2, linewidth=0)
    accuracies = [100 * row["accuracy"] for row in drawn]
    ax.plot(severities, accuracies, label=label, markersize=3, linewidth=1.2, **style)
