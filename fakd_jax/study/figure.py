"""The figure of a study: accuracy by method, one line per seed, one panel per split."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fakd_jax.reporting.figures import new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SEED_COLOUR = "#0072B2"
MEAN_COLOUR = "#000000"
MEAN_OFFSET = 0.22  # of a method's width: the mean is drawn beside its points


def plot_study(report: Mapping[str, Any], path: Path) -> None:
    """Draws the report of a study, finished or not, as a PNG.

    Each seed is a thin line through the methods, because the comparison is paired; the mean and
    its interval over the seeds are drawn beside the points.

    Raises:
      UserError: the file cannot be written.
    """
    splits, methods = report["study"]["splits"], report["study"]["methods"]
    width = max(5.0, 1.4 * len(methods))
    figure = new_figure(width=width * len(splits), height=5.0)
    axes = figure.subplots(1, len(splits), squeeze=False)
    for ax, split in zip(axes[0], splits, strict=True):
        ax.sharey(axes[0, 0])
        _draw_seeds(ax, split, report)
        _draw_means(ax, split, report)
        ax.set_title(split)
        ax.set_xticks(range(len(methods)), _labels(report), fontsize="small")
        ax.set_xlim(-0.5, len(methods) - 0.5)
        ax.set_ylabel("test accuracy (%)")
        ax.grid(axis="y", alpha=0.3)
        if ax.has_data():
            ax.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    if missing := len(report["missing"]):
        total = missing + len(report["cells"])
        figure.suptitle(f"{missing} of {total} cells are missing", color="#D55E00")
    save_figure(figure, path)


def _labels(report: Mapping[str, Any]) -> list[str]:
    """Each method, with one term of its loss per line below."""
    return [
        "\n+ ".join(f"{method}\n{report['losses'][method]}".split(" + "))
        for method in report["study"]["methods"]
    ]


def _draw_seeds(ax: Axes, split: str, report: Mapping[str, Any]) -> None:
    """The accuracies of each seed, for a k-fold split fold by fold."""
    place = {method: index for index, method in enumerate(report["study"]["methods"])}
    runs: dict[tuple[int, int | None], dict[int, float]] = {}
    for cell in report["cells"]:
        if cell["split"] == split:
            run = runs.setdefault((cell["seed"], cell["fold"]), {})
            run[place[cell["method"]]] = 100 * cell["accuracy"]
    style: dict[str, Any] = {"color": SEED_COLOUR, "markersize": 5, "linewidth": 0.6, "alpha": 0.7}
    for number, accuracies in enumerate(runs.values()):
        places, values = zip(*sorted(accuracies.items()), strict=True)
        ax.plot(places, values, "o-", label=None if number else "one seed", **style)


def _draw_means(ax: Axes, split: str, report: Mapping[str, Any]) -> None:
    """Means over the seeds with Student's intervals, where there are at least two seeds."""
    style: dict[str, Any] = {"fmt": "D", "color": MEAN_COLOUR, "markersize": 5, "capsize": 4}
    label = "mean, 95 % interval over seeds"
    for index, row in enumerate(row for row in report["summary"] if row["split"] == split):
        accuracy = row["metrics"]["accuracy"]
        if accuracy is None or accuracy["sd"] is None:
            continue
        mean = 100 * accuracy["mean"]
        low, high = (100 * end for end in accuracy["ci95"] or (accuracy["mean"],) * 2)
        spread = [[mean - low], [high - mean]]
        ax.errorbar(index + MEAN_OFFSET, mean, yerr=spread, label=label, **style)
        label = ""
