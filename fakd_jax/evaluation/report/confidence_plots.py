"""Pictures of what a network's confidence is worth: reliability diagram, risk–coverage curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from fakd_jax.reporting.figures import BLACK, BLUE, VERMILION, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BIN_COLOUR = BLUE
CURVE_COLOUR = BLUE
REJECT_COLOUR = VERMILION
# Of fewer answers the risk jumps between 0 and 100 %, and would flatten the rest of the curve.
STEADY_COVERAGE = 0.1


def plot_reliability(calibration: Mapping[str, Any], path: Path) -> None:
    """Draws accuracy by confidence with 95 % intervals, and how many images each bin has.

    A calibrated network's points lie on the diagonal (DeGroot & Fienberg 1983; Guo et al. 2017,
    fig. 1). Where a temperature was fitted, a second column shows the same images after it.

    Args:
      calibration: `bins` and `temperature` of `metrics.json`; a bin without images is not drawn.
      path: of the PNG, replaced atomically.

    Raises:
      UserError: the file cannot be written.
    """
    temperature = calibration["temperature"]
    columns = [("As the network gives them", calibration["bins"])]
    if temperature is not None:
        columns.append((f"With temperature {temperature['value']:.3g}", temperature["bins_after"]))
    figure = new_figure(width=5.0 * len(columns), height=6.2)
    axes = figure.subplots(
        2, len(columns), squeeze=False, sharex=True, sharey="row", height_ratios=(3, 1)
    )
    for column, (title, bins) in enumerate(columns):
        filled = [row for row in bins if row["n"]]
        _draw_reliability(axes[0, column], filled)
        _draw_counts(axes[1, column], filled)
        axes[0, column].set_title(title)
    # Below the picture, where it hides no point.
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize="small", ncols=2, loc="outside lower center")
    axes[0, 0].set_ylabel("share that is right (%)")
    axes[1, 0].set_ylabel("images")
    save_figure(figure, path)


def plot_risk_coverage(selective: Mapping[str, Any], path: Path) -> None:
    """Draws the share of wrong answers against the share of images answered (El-Yaniv 2010).

    Args:
      selective: `curve` and `reject` of `metrics.json`; the reject option is marked if there.
      path: of the PNG, replaced atomically.

    Raises:
      UserError: the file cannot be written.
    """
    curve, reject = selective["curve"], selective["reject"]
    figure = new_figure(width=6.5, height=4.6)
    ax = figure.subplots()
    coverage = [100 * point["coverage"] for point in curve]
    risk = [100 * point["risk"] for point in curve]
    low, high = zip(*([100 * end for end in point["risk_ci95"]] for point in curve), strict=True)
    ax.fill_between(
        coverage, low, high, color=CURVE_COLOUR, alpha=0.2, linewidth=0, label="95 % interval"
    )
    ax.plot(coverage, risk, color=CURVE_COLOUR, label="the most confident answers")
    ax.axhline(risk[-1], color=BLACK, linestyle=":", linewidth=1)
    _mark(ax, curve[-1], f"all answers: {risk[-1]:.2f} % wrong", fmt="o", color=BLACK)
    steady = [point for point in curve if point["coverage"] >= STEADY_COVERAGE]
    if reject is not None and reject["n_kept"]:  # else nothing is answered: there is no risk
        label = f"reject option: {100 * reject['risk']:.2f} % of {reject['n_kept']:,} wrong"
        _mark(ax, reject, label, fmt="D", color=REJECT_COLOUR)
        steady.append(reject)
    highest = 115 * max(point["risk_ci95"][1] for point in steady)
    ax.set(
        xlim=(0, 102),
        ylim=(0, min(105, highest)),
        xlabel="images answered, the most confident first (%)",
        ylabel="wrong among those answered (%)",
    )
    ax.grid(alpha=0.3)
    ax.legend(fontsize="small", ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.14))
    save_figure(figure, path)


def _draw_reliability(ax: Axes, bins: Sequence[Mapping[str, Any]]) -> None:
    """Points with their intervals, and the diagonal on which they should lie."""
    accuracy = np.array([row["accuracy"] for row in bins])
    low, high = np.array([row["accuracy_ci95"] for row in bins]).T
    ax.plot((0, 100), (0, 100), color=BLACK, linestyle=":", linewidth=1, label="calibrated")
    ax.errorbar(
        [100 * row["confidence"] for row in bins],
        100 * accuracy,
        yerr=_lengths(accuracy, low, high),
        fmt="o",
        color=BIN_COLOUR,
        capsize=3,
        label="images of a bin, 95 % interval",
    )
    ax.set(xlim=(-3, 103), ylim=(-3, 103))
    ax.grid(alpha=0.3)


def _draw_counts(ax: Axes, bins: Sequence[Mapping[str, Any]]) -> None:
    """A bar a bin, its number above it: some bins hold a hundred times what others do."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    for row in bins:
        low, high = 100 * row["low"], 100 * row["high"]
        ax.bar(low, row["n"], width=high - low, align="edge", color=BIN_COLOUR, alpha=0.4)
        ax.annotate(
            f"{row['n']:,}",
            ((low + high) / 2, row["n"]),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            fontsize=6.5,
        )
    ax.margins(y=0.2)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.set_xlabel("confidence in the answer (%)")


def _mark(ax: Axes, point: Mapping[str, Any], label: str, *, fmt: str, color: str) -> None:
    """Marks one coverage, its risk and the risk's interval, on the axis' very edge too."""
    risk = np.array([point["risk"]])
    low, high = point["risk_ci95"]
    ax.errorbar(
        [100 * point["coverage"]],
        100 * risk,
        yerr=_lengths(risk, low, high),
        fmt=fmt,
        color=color,
        capsize=3,
        label=label,
        clip_on=False,
        zorder=5,
    )


def _lengths(
    shares: Float[np.ndarray, " N"],
    low: Float[np.ndarray, " N"] | float,
    high: Float[np.ndarray, " N"] | float,
) -> Float[np.ndarray, "2 N"]:
    """How far intervals reach below and above their shares, in percent, as `errorbar` wants it."""
    # Rounding can leave an end on the wrong side of its share by a last bit.
    return 100 * np.maximum([shares - low, high - shares], 0)
