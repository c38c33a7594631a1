"""The figure of a study: accuracy by method, one line per seed, one panel per split.

With comparisons of its own, a study has a second row of panels: the paired differences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fakd_jax.reporting.figures import BLACK, BLUE, VERMILION, new_figure, save_figure
from fakd_jax.reporting.numbers import p_value

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SEED_COLOUR = BLUE
STRESS_COLOUR = VERMILION
MEAN_COLOUR = BLACK
MEAN_OFFSET = 0.22  # of a method's width: the mean is drawn beside its points


class Series(NamedTuple):
    """One way to measure the accuracy of a cell."""

    metric: str
    label: str
    seeds: str
    means: str
    offset: float


CLEAN = Series("accuracy", "", SEED_COLOUR, MEAN_COLOUR, MEAN_OFFSET)
STRESSED = Series("stress_accuracy", " under shifts", STRESS_COLOUR, STRESS_COLOUR, -MEAN_OFFSET)


def plot_study(report: Mapping[str, Any], path: Path) -> None:
    """Draws the report of a study, finished or not, as a PNG.

    Each seed is a thin line through the methods, because the comparison is paired; the mean and
    its interval over the seeds are drawn beside the points. Where the cells were measured under
    shifts, the accuracy there is drawn likewise, in another colour.

    Raises:
      UserError: the file cannot be written.
    """
    splits, methods = report["study"]["splits"], report["study"]["methods"]
    drawn = [CLEAN, STRESSED] if report["study"]["stress"] else [CLEAN]
    rows = 2 if report["study"]["comparisons"] and report["differences"] else 1
    pairs = len(report["differences"]) // len(splits)
    width = max(5.0, 1.4 * max(len(methods), pairs if rows == 2 else 0))
    figure = new_figure(width=width * len(splits), height=5.0 * rows)
    axes = figure.subplots(rows, len(splits), squeeze=False)
    for ax, split in zip(axes[0], splits, strict=True):
        ax.sharey(axes[0, 0])
        for series in drawn:
            _draw_seeds(ax, split, report, series)
            _draw_means(ax, split, report, series)
        ax.set_title(split)
        ax.set_xticks(range(len(methods)), _labels(report), fontsize="small")
        ax.set_xlim(-0.5, len(methods) - 0.5)
        ax.set_ylabel("test accuracy (%)")
        _finish(ax)
    if rows == 2:
        for ax, split in zip(axes[1], splits, strict=True):
            ax.sharey(axes[1, 0])
            compared = [row for row in report["differences"] if row["split"] == split]
            _draw_differences(ax, compared, drawn)
    if missing := len(report["missing"]):
        total = missing + len(report["cells"])
        figure.suptitle(f"{missing} of {total} cells are missing", color=VERMILION)
    save_figure(figure, path)


def _finish(ax: Axes) -> None:
    ax.grid(axis="y", alpha=0.3)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)


def _labels(report: Mapping[str, Any]) -> list[str]:
    """Each method, with one term of its loss per line below."""
    return [
        "\n+ ".join(f"{method}\n{report['losses'][method]}".split(" + "))
        for method in report["study"]["methods"]
    ]


def _draw_seeds(ax: Axes, split: str, report: Mapping[str, Any], series: Series) -> None:
    """The accuracies of each seed, for a k-fold split fold by fold."""
    place = {method: index for index, method in enumerate(report["study"]["methods"])}
    runs: dict[tuple[int, int | None], dict[int, float]] = {}
    for cell in report["cells"]:
        if cell["split"] == split:
            run = runs.setdefault((cell["seed"], cell["fold"]), {})
            run[place[cell["method"]]] = 100 * cell[series.metric]
    style: dict[str, Any] = {"color": series.seeds, "markersize": 5, "linewidth": 0.6, "alpha": 0.7}
    for number, accuracies in enumerate(runs.values()):
        places, values = zip(*sorted(accuracies.items()), strict=True)
        label = None if number else f"one seed{series.label}"
        ax.plot(places, values, "o-", label=label, **style)


def _draw_means(ax: Axes, split: str, report: Mapping[str, Any], series: Series) -> None:
    """Means over the seeds with Student's intervals, where there are at least two seeds."""
    rows = [row for row in report["summary"] if row["split"] == split]
    estimates = [row["metrics"][series.metric] for row in rows]
    varied = [each if each and each["sd"] is not None else None for each in estimates]
    _draw_estimates(ax, varied, series, f"mean{series.label}, 95 % interval over seeds")


def _draw_estimates(
    ax: Axes, estimates: Sequence[Mapping[str, Any] | None], series: Series, label: str
) -> None:
    """Means with their intervals, each beside its place; None leaves its place empty."""
    style: dict[str, Any] = {"fmt": "D", "color": series.means, "markersize": 5, "capsize": 4}
    for index, estimate in enumerate(estimates):
        if estimate is None:
            continue
        mean = 100 * estimate["mean"]
        low, high = (100 * end for end in estimate["ci95"] or (estimate["mean"],) * 2)
        spread = [[mean - low], [high - mean]]
        ax.errorbar(index + series.offset, mean, yerr=spread, label=label, **style)
        label = ""


def _draw_differences(ax: Axes, rows: Sequence[Mapping[str, Any]], drawn: Sequence[Series]) -> None:
    """Each pair's mean difference with its interval; the exact p over all seeds below its name."""
    for series in drawn:
        estimates = [row["metrics"][series.metric] for row in rows]
        _draw_estimates(ax, estimates, series, f"difference{series.label}, 95 % interval")
    labels = [
        f"{row['method']}\n− {row['reference']}\nexact {p_value(row['sign_flip_p'], named=True)}"
        if row["seeds"]
        else f"{row['method']}\n− {row['reference']}"
        for row in rows
    ]
    ax.axhline(0.0, color=MEAN_COLOUR, linewidth=0.6)
    ax.set_xticks(range(len(rows)), labels, fontsize="small")
    ax.set_xlim(-0.5, len(rows) - 0.5)
    ax.set_ylabel("difference in accuracy (points)")
    _finish(ax)
