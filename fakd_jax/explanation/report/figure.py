"""The paper's four-panel figure: the image, what speaks for the class, against it, and both."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from fakd_jax.explanation.report.attribution import overlay
from fakd_jax.explanation.report.wording import UNSTABLE
from fakd_jax.explanation.result import (
    Explanation,
    TopSuperpixel,
    superpixel_mask,
    top_superpixels,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POSITIVE_COLOUR = "#1fd655"
NEGATIVE_COLOUR = "#ff3b30"
NOTHING_MATTERS = "no superpixel changes the probability"
_ALARM = "#c0392b"
_TINT = 0.38  # enough to see the colour, little enough to see the tissue under it
_SIZE_INCHES = (16.0, 6.1)
_WEIGHTS_LISTED = 6  # what fits under a panel
_DOTS_PER_INCH = 100


def explanation_figure(
    image: UInt8[np.ndarray, "H W 3"],
    explanation: Explanation,
    top: int,
    *,
    title: str,
    subtitle: str,
    class_name: str,
    remark: str = "",
) -> Figure:
    """Draws the four panels, 16 inches wide.

    As `get_image_and_mask` of the lime package: the second panel shows the heaviest superpixels
    for the class, the third those against it, the fourth the heaviest of both. For a method that
    weighs pixels, the second panel shows the attribution and the superpixels follow it.

    Args:
      image: the network's input.
      explanation: of one class.
      top: superpixels per panel, coloured by sign and numbered by rank.
      title: the prediction, its probability, the true class where it is known.
      subtitle: the image's id and how it was explained.
      class_name: the explained class, for the legend.
      remark: whether the explanation is stable.
    """
    import matplotlib.style
    from matplotlib.figure import Figure

    ranked = list(enumerate(top_superpixels(explanation, len(explanation.weights)), start=1))
    positive = [(rank, superpixel) for rank, superpixel in ranked if superpixel.positive][:top]
    negative = [(rank, superpixel) for rank, superpixel in ranked if not superpixel.positive][:top]
    # A user's matplotlibrc must not change the bytes; Figure without pyplot leaves no state.
    with matplotlib.style.context("default"):
        figure = Figure(figsize=_SIZE_INCHES, dpi=_DOTS_PER_INCH)
        panels = figure.subplots(1, 4)
        figure.subplots_adjust(left=0.01, right=0.99, bottom=0.19, top=0.83, wspace=0.03)
        positive_panel = (f"Positive: for {class_name}", positive, "no positive superpixel")
        negative_panel = (f"Negative: against {class_name}", negative, "no negative superpixel")
        if explanation.by_superpixel:
            contents = [("Original", (), ""), positive_panel, negative_panel]
            contents.append(("Both", ranked[:top], ""))
            pictures = [image] * 4
        else:
            contents = [("Original", (), ""), ("Attribution: orange for, blue against", (), "")]
            contents += [positive_panel, negative_panel]
            pictures = [image, overlay(image, explanation.attribution), image, image]
        for panel, picture, content in zip(panels, pictures, contents, strict=True):
            heading, numbered, missing = content
            _draw_panel(panel, picture, explanation, numbered)
            panel.set_title(heading, fontsize=13, parse_math=False)
            if not ranked and heading != "Original":
                _write_note(panel, NOTHING_MATTERS)
            elif missing and not numbered:
                _write_note(panel, missing)
        _write_texts(figure, title, subtitle, remark, class_name)
    return figure


def figure_png(figure: Figure) -> bytes:
    """A figure as a PNG, 1600 pixels wide; equal figures give equal bytes."""
    import matplotlib.style

    buffer = io.BytesIO()
    with matplotlib.style.context("default"):
        # 'Software' would carry matplotlib's version into the bytes.
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _draw_panel(
    panel: Axes,
    image: UInt8[np.ndarray, "H W 3"],
    explanation: Explanation,
    ranked: Sequence[tuple[int, TopSuperpixel]],
) -> None:
    """Draws the image with the superpixels tinted, outlined and numbered by rank."""
    height, width = explanation.segments.shape
    # A picture of attribution may be larger than the image; it covers the same ground.
    ground = (-0.5, width - 0.5, height - 0.5, -0.5)
    panel.imshow(image, interpolation="bilinear", extent=ground)
    for rank, superpixel in ranked:
        mask = superpixel_mask(explanation, superpixel.superpixel)
        colour = POSITIVE_COLOUR if superpixel.positive else NEGATIVE_COLOUR
        _tint(panel, mask, colour)
        x, y = _inner_point(mask)
        panel.text(
            *(x, y, str(rank)),
            color="white",
            fontsize=11,
            fontweight="bold",
            ha="center",
            va="center",
            bbox={"boxstyle": "round,pad=0.2", "facecolor": "black", "alpha": 0.55, "lw": 0},
        )
    # Signs are written out, so that the figure does not rest on telling red from green.
    panel.set_xlabel(weights_line(ranked), fontsize=12)
    panel.set(xticks=[], yticks=[], xlim=ground[:2], ylim=ground[2:])


def _tint(panel: Axes, mask: np.ndarray, colour: str) -> None:
    """Colours the pixels of `mask` and outlines them."""
    from matplotlib.colors import to_rgb

    overlay = np.zeros((*mask.shape, 4))
    overlay[mask] = (*to_rgb(colour), _TINT)
    panel.imshow(overlay, interpolation="nearest")
    # The border of False closes outlines of superpixels that touch the image's edge.
    padded = np.pad(mask, 1).astype(float)
    rows, columns = (np.arange(-1, size + 1) for size in mask.shape)
    panel.contour(columns, rows, padded, levels=[0.5], colors=[colour], linewidths=2)


def _inner_point(mask: np.ndarray) -> tuple[int, int]:
    """`(x, y)` of the pixel of `mask` farthest from its outside: a centroid may lie outside."""
    from scipy.ndimage import distance_transform_edt

    depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), mask.shape)
    return int(x), int(y)


def signed(weight: float) -> str:
    """A weight with its sign, the minus as long as the plus.

    >>> signed(0.1234), signed(-0.1234), signed(-0.00004)
    ('+0.123', '−0.123', '−4e-05')
    """
    text = f"{weight:+.0e}" if 0 < abs(weight) < 0.0005 else f"{weight:+.3f}"
    return text.replace("-", "−", 1) if weight < 0 else text


def weights_line(ranked: Sequence[tuple[int, TopSuperpixel]]) -> str:
    """The weights under a panel: `1: +0.120   3: +0.045`; the first few where there are many."""
    parts = [f"{rank}: {signed(superpixel.weight)}" for rank, superpixel in ranked]
    return "   ".join(parts[:_WEIGHTS_LISTED]) + (" …" if len(parts) > _WEIGHTS_LISTED else "")


def _write_note(panel: Axes, note: str) -> None:
    """Writes a note at the foot of a panel."""
    panel.text(
        *(0.5, 0.04, note),
        transform=panel.transAxes,
        color="white",
        fontsize=12,
        ha="center",
        va="bottom",
        bbox={"boxstyle": "round,pad=0.4", "facecolor": "black", "alpha": 0.7, "lw": 0},
    )


def _write_texts(figure: Figure, title: str, subtitle: str, remark: str, class_name: str) -> None:
    """Writes title, subtitle, legend and the note on use."""
    from matplotlib.patches import Patch

    # Ids and class names are the user's: a `$` in them is no mathematics.
    figure.text(
        0.5, 0.95, title, fontsize=17, fontweight="bold", ha="center", va="center",
        parse_math=False,
    )  # fmt: skip
    figure.text(
        0.5, 0.895, subtitle, fontsize=11, color="0.35", ha="center", va="center",
        parse_math=False,
    )  # fmt: skip
    figure.text(
        0.5, 0.1, remark, fontsize=13, ha="center", va="center",
        color=_ALARM if remark.startswith(UNSTABLE) else "0.35",
        fontweight="bold" if remark.startswith(UNSTABLE) else "normal",
    )  # fmt: skip
    legend = figure.legend(
        handles=[
            Patch(facecolor=POSITIVE_COLOUR, label=f"raises the probability of {class_name}"),
            Patch(facecolor=NEGATIVE_COLOUR, label=f"lowers the probability of {class_name}"),
        ],
        loc="lower left",
        bbox_to_anchor=(0.005, 0.0),
        ncols=2,
        frameon=False,
        fontsize=12,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)
    figure.text(
        0.99,
        0.042,
        "superpixels by weight, heaviest first · research software, not for diagnosis",
        fontsize=11,
        color="0.35",
        ha="right",
        va="center",
    )
