"""The paper's four-panel figure: the image, what speaks for the class, against it, and both."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

from fakd_jax.explanation.result import Explanation, TopSuperpixel, superpixel_mask

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POSITIVE_COLOUR = "#1fd655"
NEGATIVE_COLOUR = "#ff3b30"
_TINT = 0.38  # enough to see the colour, little enough to see the tissue under it
_SIZE_INCHES = (16.0, 5.5)
_DOTS_PER_INCH = 100


def draw_explanation(
    image: UInt8[np.ndarray, "H W 3"],
    explanation: Explanation,
    top: Sequence[TopSuperpixel],
    *,
    title: str,
    subtitle: str,
    class_name: str,
) -> bytes:
    """Draws the four panels as a PNG, 1600 pixels wide; equal arguments give equal bytes.

    Args:
      image: uint8 ``[H, W, 3]``, what the network saw.
      explanation: its superpixels.
      top: those to show; colour by sign, each labelled with its weight.
      title: the prediction, its probability, the true class where it is known.
      subtitle: the image's id and how it was explained.
      class_name: the explained class, for the legend.

    Returns:
      The PNG file's content.
    """
    import matplotlib.style
    from matplotlib.figure import Figure

    positive = [superpixel for superpixel in top if superpixel.positive]
    negative = [superpixel for superpixel in top if not superpixel.positive]
    # A user's matplotlibrc must not change the bytes; Figure without pyplot leaves no state.
    with matplotlib.style.context("default"):
        figure = Figure(figsize=_SIZE_INCHES, dpi=_DOTS_PER_INCH)
        panels = figure.subplots(1, 4)
        figure.subplots_adjust(left=0.01, right=0.99, bottom=0.10, top=0.80, wspace=0.03)
        headings = (
            "Original",
            f"Positive: for {class_name}",
            f"Negative: against {class_name}",
            "Both",
        )
        shown: tuple[list[TopSuperpixel], ...] = ([], positive, negative, list(top))
        for panel, heading, superpixels in zip(panels, headings, shown, strict=True):
            _draw_panel(panel, image, explanation, superpixels)
            panel.set_title(heading, fontsize=13, parse_math=False)
        extremes = (explanation.weights.max(), explanation.weights.min())
        for panel, superpixels, sign, strongest in zip(
            panels[1:3], (positive, negative), ("positive", "negative"), extremes, strict=True
        ):
            if not superpixels:
                _say_none(panel, sign, len(top), float(strongest))
        _write_texts(figure, title, subtitle, class_name)
        buffer = io.BytesIO()
        # 'Software' would carry matplotlib's version into the bytes.
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def _draw_panel(
    panel: Axes,
    image: UInt8[np.ndarray, "H W 3"],
    explanation: Explanation,
    superpixels: Sequence[TopSuperpixel],
) -> None:
    """Draws the image with the superpixels tinted, outlined and labelled by weight."""
    panel.imshow(image, interpolation="bilinear")
    for superpixel in superpixels:
        mask = superpixel_mask(explanation, superpixel.superpixel)
        colour = POSITIVE_COLOUR if superpixel.positive else NEGATIVE_COLOUR
        _tint(panel, mask, colour)
        # The sign is written too, so that the figure does not rest on telling red from green.
        x, y = _inner_point(mask)
        panel.text(
            *(x, y, _signed(superpixel.weight)),
            color="white",
            fontsize=11,
            fontweight="bold",
            ha="center",
            va="center",
            bbox={"boxstyle": "round,pad=0.2", "facecolor": "black", "alpha": 0.55, "lw": 0},
        )
    panel.set(xticks=[], yticks=[], xlim=(-0.5, image.shape[1] - 0.5))
    panel.set_ylim(image.shape[0] - 0.5, -0.5)


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


def _signed(weight: float) -> str:
    """A weight with its sign, the minus as long as the plus."""
    return f"{weight:+.3f}".replace("-", "−")


def _say_none(panel: Axes, sign: str, count: int, strongest: float) -> None:
    """Says in the panel why nothing is marked, and how far the strongest one fell short."""
    if count == 0:
        text = "no superpixel changes the probability"
    elif (strongest > 0) == (sign == "positive") and strongest != 0:
        text = f"no {sign} superpixel among the top {count}\n"
        text += f"(strongest elsewhere: {_signed(strongest)})"
    else:
        text = f"no {sign} superpixel at all"
    panel.text(
        *(0.5, 0.06, text),
        transform=panel.transAxes,
        color="white",
        fontsize=12,
        ha="center",
        va="bottom",
        bbox={"boxstyle": "round,pad=0.4", "facecolor": "black", "alpha": 0.7, "lw": 0},
    )


def _write_texts(figure: Figure, title: str, subtitle: str, class_name: str) -> None:
    """Writes title, subtitle, legend and the note on use."""
    from matplotlib.patches import Patch

    # Ids and class names are the user's: a `$` in them is no mathematics.
    figure.text(
        0.5, 0.945, title, fontsize=17, fontweight="bold", ha="center", va="center",
        parse_math=False,
    )  # fmt: skip
    figure.text(
        0.5, 0.885, subtitle, fontsize=11, color="0.35", ha="center", va="center",
        parse_math=False,
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
        "number: weight in the local linear model · research software, not for diagnosis",
        fontsize=11,
        color="0.35",
        ha="right",
        va="center",
    )
