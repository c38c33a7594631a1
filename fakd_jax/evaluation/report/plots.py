"""Pictures of a run: learning curves (the paper's Fig. 2) and confusion matrix (Fig. 3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int

from fakd_jax.errors import UserError
from fakd_jax.reporting.figures import (
    BLACK,
    BLUE,
    GREEN,
    PURPLE,
    VERMILION,
    new_figure,
    save_figure,
)
from fakd_jax.runs.files import PHASES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOSS_CURVES = {
    "loss": ("total", BLACK),
    "ce": ("CE", BLUE),
    "kd": ("KD", VERMILION),
    "fa": ("FA", GREEN),
}
# Filled or hollow, so that single epochs can be told apart too.
STYLES: dict[str, dict[str, Any]] = {
    "train": {"linestyle": "-", "marker": "o", "markersize": 4},
    "val": {"linestyle": "--", "marker": "o", "markersize": 5, "markerfacecolor": "white"},
}
# The least ratio of the loss axis's ends: ticks at 1, 2 and 5 then show at least twice.
MIN_LOSS_RATIO = 6.0
ACCURACY_COLOUR = BLACK
BEST_COLOUR = PURPLE


def plot_curves(records: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Draws loss by term and accuracy by epoch, one column a phase (the paper's Fig. 2).

    Args:
      records: of `metrics.jsonl`; terms that a record lacks are not drawn. Of several records
        of an epoch (a run that was resumed) the last counts.
      path: of the PNG, replaced atomically.

    Raises:
      UserError: there is no record of any epoch, or the file cannot be written.
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
    save_figure(figure, path)


def plot_confusion_matrix(
    matrix: Int[np.ndarray, "C C"], class_names: Sequence[str], path: Path, *, title: str = ""
) -> None:
    """Draws counts, and shares of each true class, by truth and prediction (the paper's Fig. 3).

    Args:
      matrix: rows are the truth.
      class_names: C names.
      path: of the PNG, replaced atomically.
      title: above the picture.

    Raises:
      UserError: the file cannot be written.
    """
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    count = len(class_names)
    side = max(4.5, 1.1 * count)
    figure = new_figure(width=side + 1.5, height=side + 0.5)
    ax = figure.subplots()
    picture = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(matrix.shape):
        ax.text(
            column,
            row,
            f"{matrix[row, column]:,}\n{100 * shares[row, column]:.1f} %",
            ha="center",
            va="center",
            color="white" if shares[row, column] > 0.5 else "black",
            fontweight="bold" if row == column else "normal",
        )
    _write_names(ax, class_names, title)
    ax.set(xlabel="prediction", ylabel="truth")
    figure.colorbar(picture, ax=ax, label="share of the true class", shrink=0.8)
    save_figure(figure, path)


def _write_names(ax: Axes, class_names: Sequence[str], title: str) -> None:
    """Names the rows, the columns and the whole; a `$` in the user's names is no mathematics."""
    as_it_is: dict[str, Any] = {"parse_math": False}
    places = range(len(class_names))
    ax.set_xticks(places, class_names, rotation=30, ha="right", rotation_mode="anchor", **as_it_is)
    ax.set_yticks(places, class_names, **as_it_is)
    ax.set_title(title, **as_it_is)


def _by_phase(
    records: Iterable[Mapping[str, Any]],
) -> dict[str, dict[str, dict[int, Mapping[str, Any]]]]:
    """Sorts records into `{phase: {'train' | 'val': {epoch: record}}}`, teacher first."""
    found: dict[str, dict[str, dict[int, Mapping[str, Any]]]] = {}
    for record in records:
        kinds = found.setdefault(record["phase"], {"train": {}, "val": {}})
        if record["kind"] in kinds:
            kinds[record["kind"]][record["epoch"]] = record
    known = [phase for phase in PHASES if phase in found]
    return {phase: found[phase] for phase in known if any(found[phase].values())}


def _draw_losses(ax: Axes, kinds: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> None:
    for key, (name, colour) in LOSS_CURVES.items():
        for kind, style in STYLES.items():
            epochs, values = _curve(kinds[kind], key)
            # With cross-entropy alone the total is that term: one curve, not two on each other.
            alone = key == "loss" and values == _curve(kinds[kind], "ce")[1]
            if epochs and not alone:
                ax.plot(epochs, values, color=colour, label=f"{name}, {kind}", **style)
    _set_log_scale(ax)
    ax.set_ylabel("loss (log scale)")
    _finish(ax)


def _set_log_scale(ax: Axes) -> None:
    """A logarithmic loss axis with plain numbers on it, wide enough to show two of them."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    ax.set_yscale("log")
    low, high = ax.get_ylim()
    if low > 0 and high < MIN_LOSS_RATIO * low:
        widening = (MIN_LOSS_RATIO * low / high) ** 0.5
        ax.set_ylim(low / widening, high * widening)
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    ax.yaxis.set_minor_formatter(NullFormatter())


def _draw_accuracy(ax: Axes, kinds: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> None:
    for kind, style in STYLES.items():
        epochs, values = _curve(kinds[kind], "accuracy")
        shares = [100 * value for value in values]
        if epochs:
            ax.plot(epochs, shares, color=ACCURACY_COLOUR, label=kind, **style)
        if epochs and kind == "val":
            best = int(np.argmax(shares))  # of equals the earlier, as in early stopping
            ax.axvline(epochs[best], color=BEST_COLOUR, linestyle=":", zorder=0)
            label = f"best val: {shares[best]:.2f} % at epoch {epochs[best]}"
            ax.plot(epochs[best], shares[best], "*", color=BEST_COLOUR, markersize=12, label=label)
    ax.set_ylabel("accuracy (%)")
    _finish(ax)


def _curve(records: Mapping[int, Mapping[str, Any]], key: str) -> tuple[list[int], list[float]]:
    """The epochs at which a figure is recorded, in order, and the figure at each."""
    epochs = sorted(epoch for epoch, record in records.items() if record.get(key) is not None)
    return epochs, [records[epoch][key] for epoch in epochs]


def _finish(ax: Axes) -> None:
    """Whole epochs on the axis, and the legend below it, where it hides no curve."""
    from matplotlib.ticker import MaxNLocator

    first, last = ax.dataLim.intervalx
    ax.set_xlim(first - 0.5, last + 0.5)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set_xlabel("epoch")
    ax.grid(alpha=0.3)
    ax.legend(fontsize="small", ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.14))
