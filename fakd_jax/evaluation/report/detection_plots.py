"""Figures of the network as a test for any tumour: ROC and precision-recall curves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from fakd_jax.evaluation.report.text import chosen_threshold
from fakd_jax.reporting.figures import (
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    VERMILION,
    error_bars,
    new_figure,
)
from fakd_jax.reporting.numbers import decimal, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_roc(tumour: Mapping[str, Any]) -> Figure:
    """Draws the share of tumours found against that of false alarms, and the operating points.

    Args:
      tumour: of `metrics.json`.
    """
    figure, ax = _square()
    ax.plot(
        [100 * (1 - row["specificity"]) for row in tumour["roc"]],
        [100 * row["sensitivity"] for row in tumour["roc"]],
        color=BLUE,
        label="all thresholds",
    )
    ax.plot((0, 100), (0, 100), color=BLACK, linestyle=":", linewidth=1, label="chance")
    for point, style in _operating_points(tumour):
        found, spared = point["sensitivity"], point["specificity"]
        ax.errorbar(
            [100 * (1 - spared["rate"])],
            [100 * found["rate"]],
            xerr=error_bars(np.array([spared["rate"]]), [spared["ci95"]])[::-1],
            yerr=error_bars(np.array([found["rate"]]), [found["ci95"]]),
            **style,
        )
    ax.set(xlabel="images without a tumour that raise an alarm (%)", ylabel="tumours found (%)")
    ax.legend(fontsize="small", loc="lower right")
    return figure


def plot_precision_recall(tumour: Mapping[str, Any]) -> Figure:
    """Draws the share of alarms that are tumours against that of tumours found.

    In steps, the area under which is the average precision. The share of tumours among these
    images, which is chance, decides on the height of everything.

    Args:
      tumour: of `metrics.json`.
    """
    figure, ax = _square()
    rows, prevalence = tumour["precision_recall"], tumour["prevalence"]["rate"]
    area = decimal(tumour["average_precision"], digits=3)
    ax.plot(
        [0.0, *(100 * row["recall"] for row in rows)],
        [100 * rows[0]["precision"], *(100 * row["precision"] for row in rows)],
        color=BLUE,
        drawstyle="steps-pre",
        label=f"all thresholds (average precision {area})",
    )
    ax.axhline(
        100 * prevalence,
        color=BLACK,
        linestyle=":",
        linewidth=1,
        label=f"chance: {percent(prevalence, digits=1)} of these images",
    )
    for point, style in _operating_points(tumour):
        found, here = point["sensitivity"], point["predictive_values"][0]
        if here["ppv"] is None:  # no alarm at all
            continue
        ax.errorbar(
            [100 * found["rate"]],
            [100 * here["ppv"]],
            xerr=error_bars(np.array([found["rate"]]), [found["ci95"]]),
            yerr=error_bars(np.array([here["ppv"]]), [here["ppv_ci95"]]),
            **style,
        )
    ax.set(xlabel="tumours found (%)", ylabel="alarms that are tumours (%)")
    ax.legend(fontsize="small", loc="lower left")
    return figure


def _square() -> tuple[Figure, Axes]:
    """Axes of two shares from 0 to 100 %."""
    figure = new_figure(width=5.2, height=5.4)
    ax = figure.subplots()
    ax.set(xlim=(0, 100), ylim=(0, 100), aspect="equal")
    ax.grid(alpha=0.3)
    return figure, ax


def _operating_points(
    tumour: Mapping[str, Any],
) -> Iterator[tuple[Mapping[str, Any], dict[str, Any]]]:
    """The operating points, each with how it is drawn in both figures."""
    markers = cycle("osD^v"), cycle((VERMILION, GREEN, PURPLE, ORANGE))
    for point, marker, colour in zip(tumour["points"], *markers, strict=False):
        yield (
            point,
            {
                "fmt": marker,
                "color": colour,
                "capsize": 3,
                "label": chosen_threshold(point),
                "clip_on": False,
                "zorder": 5,
            },
        )
