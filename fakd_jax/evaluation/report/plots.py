"""Figures of a run: learning curves, confusion matrix, reliability diagram, risk–coverage curve."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fakd_jax.distillation.terms import TERM_NAMES
from fakd_jax.errors import UserError
from fakd_jax.reporting.figures import (
    BLACK,
    BLUE,
    BROWN,
    GREEN,
    GREY,
    INDIGO,
    OLIVE,
    ORANGE,
    PURPLE,
    SKY_BLUE,
    TEAL,
    VERMILION,
    WINE,
    YELLOW,
    error_bars,
    new_figure,
)
from fakd_jax.reporting.numbers import count, percent
from fakd_jax.runs.files import PHASES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Records = Mapping[int, Mapping[str, Any]]  # of one phase and kind, by epoch

TERM_COLOURS = {
    "ce": BLUE,
    "kd": VERMILION,
    "fa": GREEN,
    "tckd": ORANGE,
    "nckd": YELLOW,
    "dist_inter": SKY_BLUE,
    "dist_intra": GREY,
    "attention": PURPLE,
    "rkd_distance": BROWN,
    "rkd_angle": OLIVE,
    "lesion_attention": WINE,
    "right_reasons": INDIGO,
    "counterfactual": TEAL,
}
LOSS_CURVES = {"loss": ("total", BLACK)} | {
    term: (TERM_NAMES[term], colour) for term, colour in TERM_COLOURS.items()
}
# Filled or hollow, so that single epochs stay distinguishable.
STYLES: dict[str, dict[str, Any]] = {
    "train": {"linestyle": "-", "marker": "o", "markersize": 4},
    "val": {"linestyle": "--", "marker": "o", "markersize": 5, "markerfacecolor": "white"},
}
# The least ratio of the loss axis's ends: ticks at 1, 2 and 5 then show at least twice.
MIN_LOSS_RATIO = 6.0
# Below this coverage the risk jumps between 0 and 100 %, and would flatten the rest of the curve.
STEADY_COVERAGE = 0.1
# The numbers of more classes would be too small to read, and each takes time to draw.
MOST_CLASSES_WRITTEN = 24
# Below the axes, where it covers no curve.
LEGEND_BELOW: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.14)}


def plot_curves(records: Iterable[Mapping[str, Any]]) -> Figure:
    """Draws loss by term and accuracy by epoch, one column per phase (the paper's Fig. 2).

    Args:
      records: of `metrics.jsonl`; terms that a record lacks are not drawn. Of several records
        of an epoch (a run that was resumed) the last counts.

    Raises:
      UserError: no epoch is recorded.
    """
    series = _by_phase(records)
    if not series:
        raise UserError("no epoch is recorded yet: there are no curves to draw")
    figure = new_figure(width=6.0 * len(series), height=8.0)
    axes = figure.subplots(2, len(series), squeeze=False)
    for column, (phase, kinds) in enumerate(series.items()):
        _draw_losses(axes[0, column], kinds)
        _draw_accuracy(axes[1, column], kinds)
        axes[0, column].set_title(phase.capitalize())
    return figure


def plot_confusion_matrix(metrics: Mapping[str, Any]) -> Figure:
    """Draws counts, and shares of each true class, by truth and prediction (the paper's Fig. 3).

    Of more than `MOST_CLASSES_WRITTEN` classes only the shares, as colours.

    Args:
      metrics: what `metrics.json` holds.
    """
    matrix, names = np.array(metrics["confusion_matrix"]), metrics["class_names"]
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = min(max(4.5, 1.1 * len(names)), 1.1 * MOST_CLASSES_WRITTEN)
    figure = new_figure(width=side + 1.5, height=side + 0.5)
    ax = figure.subplots()
    image = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(matrix.shape if len(names) <= MOST_CLASSES_WRITTEN else (0, 0)):
        ax.text(
            column,
            row,
            f"{count(int(matrix[row, column]))}\n{percent(shares[row, column], digits=1)}",
            ha="center",
            va="center",
            color="white" if shares[row, column] > 0.5 else "black",
            fontweight="bold" if row == column else "normal",
        )
    provenance = metrics["provenance"]
    subject = f"{provenance['arch']} on the {provenance['split']} split of "
    subject = textwrap.fill(subject + provenance["data"]["name"], width=int(10 * side))
    title = f"{subject}\naccuracy {percent(metrics['accuracy'], metrics['accuracy_ci95'])}"
    text: dict[str, Any] = {"parse_math": False}  # a `$` in a user's names is not mathematics
    ax.set_xticks(range(len(names)), names, rotation=30, ha="right", rotation_mode="anchor", **text)
    ax.set_yticks(range(len(names)), names, **text)
    ax.set_title(title, **text)
    ax.set(xlabel="prediction", ylabel="truth")
    figure.colorbar(image, ax=ax, label="share of the true class", shrink=0.8)
    return figure


def plot_reliability(calibration: Mapping[str, Any]) -> Figure:
    """Draws accuracy by confidence with 95 % intervals, and how many images each bin has.

    A calibrated network's points lie on the diagonal (DeGroot & Fienberg 1983; Guo et al. 2017,
    fig. 1). Where a temperature was fitted, a second column shows the same images after it.

    Args:
      calibration: `bins` and `temperature` of `metrics.json`; a bin without images is not drawn.
    """
    temperature = calibration["temperature"]
    columns = [("As predicted", calibration["bins"])]
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
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, fontsize="small", ncols=2, loc="outside lower center")
    axes[0, 0].set_ylabel("accuracy (%)")
    axes[1, 0].set_ylabel("images")
    return figure


def plot_risk_coverage(selective: Mapping[str, Any]) -> Figure:
    """Draws the share of errors against the share of images predicted (El-Yaniv & Wiener 2010).

    Args:
      selective: `curve` and `reject` of `metrics.json`; the reject option is marked if there.
    """
    curve, reject = selective["curve"], selective["reject"]
    figure = new_figure(width=6.5, height=4.6)
    ax = figure.subplots()
    coverage = [100 * point["coverage"] for point in curve]
    risk = [100 * point["risk"] for point in curve]
    low, high = 100 * np.array([point["risk_ci95"] for point in curve]).T
    ax.fill_between(coverage, low, high, color=BLUE, alpha=0.2, linewidth=0, label="95 % interval")
    ax.plot(coverage, risk, color=BLUE, label="the most confident predictions")
    ax.axhline(risk[-1], color=BLACK, linestyle=":", linewidth=1)
    _mark(ax, curve[-1], f"all predictions: {percent(curve[-1]['risk'])} wrong", "o", BLACK)
    steady = [point for point in curve if point["coverage"] >= STEADY_COVERAGE]
    if reject is not None and reject["n_kept"]:  # without predictions there is no risk
        label = f"reject option: {percent(reject['risk'])} of {count(reject['n_kept'])} wrong"
        _mark(ax, reject, label, "D", VERMILION)
        steady.append(reject)
    highest = 115 * max(point["risk_ci95"][1] for point in steady)
    ax.set(
        xlim=(0, 102),
        ylim=(0, min(105, highest)),
        xlabel="images predicted, the most confident first (%)",
        ylabel="wrong among those predicted (%)",
    )
    ax.grid(alpha=0.3)
    ax.legend(fontsize="small", ncols=2, **LEGEND_BELOW)
    return figure


def _by_phase(records: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Records]]:
    """Sorts records into `{phase: {'train' | 'val': {epoch: record}}}`, teacher first."""
    found: dict[str, dict[str, dict[int, Mapping[str, Any]]]] = {}
    for record in records:
        kinds = found.setdefault(record["phase"], {"train": {}, "val": {}})
        if record["kind"] in kinds:
            kinds[record["kind"]][record["epoch"]] = record
    known = [phase for phase in PHASES if phase in found]
    return {phase: dict(found[phase]) for phase in known if any(found[phase].values())}


def _draw_losses(ax: Axes, kinds: Mapping[str, Records]) -> None:
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    for key, (name, colour) in LOSS_CURVES.items():
        for kind, style in STYLES.items():
            epochs, values = _curve(kinds[kind], key)
            # With cross-entropy alone the total equals it: one curve, not two on top of each other.
            alone = key == "loss" and values == _curve(kinds[kind], "ce")[1]
            if epochs and not alone:
                ax.plot(epochs, values, color=colour, label=f"{name}, {kind}", **style)
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    if low > 0 and high < MIN_LOSS_RATIO * low:
        widening = (MIN_LOSS_RATIO * low / high) ** 0.5
        ax.set_ylim(low / widening, high * widening)
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    ax.set_ylabel("loss (log scale)")
    _finish_curves(ax)


def _draw_accuracy(ax: Axes, kinds: Mapping[str, Records]) -> None:
    for kind, style in STYLES.items():
        epochs, values = _curve(kinds[kind], "accuracy")
        shares = [100 * value for value in values]
        if epochs:
            ax.plot(epochs, shares, color=BLACK, label=kind, **style)
        if epochs and kind == "val":
            best = int(np.argmax(shares))  # the first of equals
            ax.axvline(epochs[best], color=PURPLE, linestyle=":", zorder=0)
            label = f"highest val: {percent(values[best])} at epoch {epochs[best]}"
            ax.plot(epochs[best], shares[best], "*", color=PURPLE, markersize=12, label=label)
    ax.set_ylabel("accuracy (%)")
    _finish_curves(ax)


def _curve(records: Records, key: str) -> tuple[list[int], list[float]]:
    """The epochs at which a metric is recorded, in order, and its values."""
    epochs = sorted(epoch for epoch, record in records.items() if record.get(key) is not None)
    return epochs, [records[epoch][key] for epoch in epochs]


def _finish_curves(ax: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    first, last = ax.dataLim.intervalx
    ax.set_xlim(first - 0.5, last + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set_xlabel("epoch")
    ax.grid(alpha=0.3)
    ax.legend(fontsize="small", ncols=4, **LEGEND_BELOW)


def _draw_reliability(ax: Axes, bins: Sequence[Mapping[str, Any]]) -> None:
    """Points with their intervals, and the diagonal on which they should lie."""
    accuracy = np.array([row["accuracy"] for row in bins])
    ax.plot((0, 100), (0, 100), color=BLACK, linestyle=":", linewidth=1, label="calibrated")
    ax.errorbar(
        [100 * row["confidence"] for row in bins],
        100 * accuracy,
        yerr=error_bars(accuracy, [row["accuracy_ci95"] for row in bins]),
        fmt="o",
        color=BLUE,
        capsize=3,
        label="images of a bin, 95 % interval",
    )
    ax.set(xlim=(-3, 103), ylim=(-3, 103))
    ax.grid(alpha=0.3)


def _draw_counts(ax: Axes, bins: Sequence[Mapping[str, Any]]) -> None:
    """One bar per bin, its number above it: some bins hold a hundred times what others do."""
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    low = np.array([100 * row["low"] for row in bins])
    width = np.array([100 * row["high"] for row in bins]) - low
    numbers = [row["n"] for row in bins]
    bars = ax.bar(low, numbers, width=width, align="edge", color=BLUE, alpha=0.4)
    ax.bar_label(bars, [count(number) for number in numbers], padding=2, fontsize=6.5)
    ax.margins(y=0.2)
    ax.yaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    ax.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.set_xlabel("confidence in the prediction (%)")


def _mark(ax: Axes, point: Mapping[str, Any], label: str, fmt: str, color: str) -> None:
    """Marks one coverage, its risk and the risk's interval, even on the very edge of the axes."""
    risk = np.array([point["risk"]])
    ax.errorbar(
        [100 * point["coverage"]],
        100 * risk,
        yerr=error_bars(risk, [point["risk_ci95"]]),
        fmt=fmt,
        color=color,
        capsize=3,
        label=label,
        clip_on=False,
        zorder=5,
    )
