"""The paper's four-panel figure: the image, evidence for the class, against it, and both.

The paper's green and red, which many cannot distinguish, are orange and blue here, as everywhere.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, UInt8

from fakd_jax.explanation.report.attribution import overlay
from fakd_jax.explanation.result import (
    NEGLIGIBLE,
    Completeness,
    Explanation,
    FeatureMap,
    LocalFit,
    Sampling,
    Score,
    TopSuperpixel,
    top_superpixels,
)
from fakd_jax.reporting.figures import EVIDENCE_AGAINST, EVIDENCE_FOR
from fakd_jax.reporting.numbers import decimal, percent
from fakd_jax.reporting.numbers import probability as written_probability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ALARMS = ("UNSTABLE", "COARSE", "INCOMPLETE")
"""Words with which a remark begins that no reader may overlook."""

_ALARM_COLOUR, _QUIET_COLOUR = "#c0392b", "0.35"
_TINT = 0.38  # shows the colour and the tissue under it
_WIDTH, _HEIGHT = 16.0, 6.6  # inches
_READING_WIDTH = 190  # characters, of two lines at most
_WEIGHTS_LISTED = 6  # as many as fit under a panel
_DOTS_PER_INCH = 100

Ranked = Sequence[tuple[int, TopSuperpixel]]
"""Superpixels with their ranks."""


def explanation_figure(
    image: UInt8[np.ndarray, "H W 3"],
    explanation: Explanation,
    top: int,
    *,
    title: str,
    subtitle: str,
    class_name: str,
    score: Score | None,
    contrast: str | None = None,
    original_size: tuple[int, int] | None = None,
    remark: str = "",
    reading: str = "",
) -> Figure:
    """Draws the four panels, and below them how to read them; 16 inches wide.

    As with `get_image_and_mask` of the lime package, the second panel has the top superpixels for
    the class, the third those against it, the fourth the top of both. For a method that assigns
    weights to pixels, the second panel shows the attribution, and there is no panel of both.

    Args:
      image: the network's input.
      explanation: of the image.
      top: how many superpixels a panel shows.
      title: see :func:`figure_title`.
      subtitle: the image's id and how it was explained.
      class_name: the explained class.
      score: what is explained, see :data:`~fakd_jax.explanation.result.Score`.
      contrast: the class that it is contrasted with, if any.
      original_size: height and width before the image was resized to the network's input.
      remark: see :func:`describe_reliability`.
      reading: see :func:`fakd_jax.explanation.report.reading.reading`.
    """
    import matplotlib.style
    from matplotlib.figure import Figure

    ranked = list(enumerate(top_superpixels(explanation, len(explanation.weights)), start=1))
    positive = [(rank, superpixel) for rank, superpixel in ranked if superpixel.positive][:top]
    negative = [(rank, superpixel) for rank, superpixel in ranked if not superpixel.positive][:top]
    empty = "" if ranked else f"no superpixel changes the {score}"
    if score is None and not ranked:
        empty = "every weight is negligible"
    panels: list[tuple[str, UInt8[np.ndarray, "H W 3"], Ranked, str]] = [
        (describe_input(image.shape[:2], original_size), image, (), ""),
        (f"Positive: for {class_name}", image, positive, empty or "no positive superpixel"),
        (
            f"Negative: {f'for {contrast}' if contrast else f'against {class_name}'}",
            *(image, negative, empty or "no negative superpixel"),
        ),
    ]
    if explanation.by_superpixel:
        panels.append(("Both", image, ranked[:top], empty))
    else:
        picture = overlay(image, explanation.attribution)
        panels.insert(1, ("Attribution: orange for, blue against", picture, (), empty))
    # A user's matplotlibrc must not change the bytes; Figure without pyplot leaves no state.
    with matplotlib.style.context("default"):
        figure = Figure(figsize=(_WIDTH, _HEIGHT), dpi=_DOTS_PER_INCH)
        axes = figure.subplots(1, 4)
        bottom, top_edge = 1.66 / _HEIGHT, 1 - 1.04 / _HEIGHT
        figure.subplots_adjust(left=0.01, right=0.99, bottom=bottom, top=top_edge, wspace=0.03)
        for ax, (heading, picture, superpixels, note) in zip(axes, panels, strict=True):
            _draw_panel(ax, picture, explanation, superpixels)
            ax.set_title(heading, fontsize=13 if len(heading) < 45 else 11, parse_math=False)
            if note and not superpixels:
                _label(ax, 0.5, 0.07, note, 12, transform=ax.transAxes)
        _write_texts(
            figure, title, subtitle, remark, reading, legend_texts(score, class_name, contrast)
        )
    return figure


def figure_png(figure: Figure) -> bytes:
    """A figure as a PNG, 1600 pixels wide; equal figures give equal bytes."""
    import matplotlib.style

    buffer = io.BytesIO()
    with matplotlib.style.context("default"):
        # 'Software' would hold matplotlib's version.
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def figure_title(prediction: str, probability: float, true_class: str | None) -> str:
    """The prediction with its probability, and the true class where it is known."""
    title = f"Predicted: {prediction} ({written_probability(probability)})"
    if true_class is None:
        return title
    return f"{title} · {'' if true_class == prediction else 'WRONG, '}true class: {true_class}"


def describe_fit(fit: LocalFit | None) -> str:
    """How well the local model fits the network; empty for methods without one."""
    if fit is None:
        return ""
    return "no local fit" if fit.r2 is None else f"local fit R² {fit.r2:.2f}"


def describe_reliability(explanation: Explanation) -> str:
    """How far to trust an explanation, as far as its method says; empty where it says nothing.

    What begins with one of :data:`ALARMS` comes first.
    """
    degenerate = (np.abs(explanation.weights) < NEGLIGIBLE).all()
    remarks = [
        "all superpixel weights are negligible"
        if degenerate
        else _describe_sampling(explanation.sampling, len(explanation.weights)),
        _describe_map(explanation.feature_map),
        _describe_completeness(explanation.completeness),
    ]
    remarks.sort(key=lambda remark: not remark.startswith(ALARMS))
    return "; ".join(filter(None, remarks))


def _describe_sampling(sampling: Sampling | None, superpixels: int) -> str:
    """Whether another seed would show the same superpixels."""
    if sampling is None:
        return ""
    facts = f"Jaccard {sampling.jaccard:.2f}, {sampling.num_samples:,} samples"
    if not sampling.stable:
        return f"UNSTABLE: another seed would show another top {sampling.top} ({facts})"
    if superpixels <= sampling.top:  # stable with any seed
        return f"the top includes all {superpixels} superpixels"
    return f"top {sampling.top} stable ({facts})"


def _describe_map(feature_map: FeatureMap | None) -> str:
    """The size of the map that was enlarged."""
    if feature_map is None:
        return ""
    size = f"{feature_map.height} × {feature_map.width}"
    if feature_map.coarse:
        return (
            f"COARSE: a map of {size} positions ({feature_map.layer}) cannot point at a lesion; "
            "choose an earlier --layer"
        )
    return f"map of {size} positions ({feature_map.layer})"


def _describe_completeness(completeness: Completeness | None) -> str:
    """Whether attributions add up to the difference of the logits."""
    if completeness is None:
        return ""
    sums = f"{decimal(completeness.attributed, digits=2, signed=True)} of a difference of "
    sums += f"{decimal(completeness.difference, digits=2, signed=True)} logits"
    if completeness.relative_error is not None:
        sums += f", error {percent(completeness.relative_error, digits=1)}"
    if completeness.complete:
        return f"attributions sum to {sums}"
    return f"INCOMPLETE: attributions sum to {sums}; take more --steps"


def describe_input(size: tuple[int, ...], original: tuple[int, int] | None) -> str:
    """The heading of the network's input: its size, and that of an image of other proportions.

    >>> describe_input((224, 224), (512, 512)), describe_input((64, 64), (60, 80))
    ('Network input, 224 × 224', 'Network input, 64 × 64, squashed from 60 × 80')
    """
    heading = f"Network input, {size[0]} × {size[1]}"
    if original is None or original[0] * size[1] == original[1] * size[0]:
        return heading
    return f"{heading}, squashed from {original[0]} × {original[1]}"


def legend_texts(
    score: Score | None, class_name: str, contrast: str | None = None
) -> tuple[str, str]:
    """What positive and negative superpixels mean, in the unit that is explained."""
    if score is None:
        return "above 0 (a control: independent of the network)", "below 0"
    explained = f"the {score} of {class_name}" + (f" against {contrast}" if contrast else "")
    return f"raises {explained}", f"lowers {explained}"


def shorten(text: str, length: int) -> str:
    """Cuts the beginning off a long path, since its end says more.

    >>> shorten("short", 10), shorten("0123456789abc", 10)
    ('short', '…456789abc')
    """
    return text if len(text) <= length else "…" + text[1 - length :]


def signed(weight: float) -> str:
    """A weight with its sign.

    >>> signed(0.1234), signed(-0.1234), signed(-0.00004)
    ('+0.123', '−0.123', '−4e-05')
    """
    text = f"{weight:+.0e}" if 0 < abs(weight) < 0.0005 else f"{weight:+.3f}"
    return text.replace("-", "−", 1) if weight < 0 else text


def _draw_panel(
    ax: Axes, picture: UInt8[np.ndarray, "H W 3"], explanation: Explanation, superpixels: Ranked
) -> None:
    """Draws a picture and its superpixels: tinted by sign, numbered by rank, weights below."""
    height, width = explanation.segments.shape
    # A picture of attribution may be larger than the image, but covers the same area.
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    ax.imshow(picture, interpolation="bilinear", extent=extent)
    for rank, superpixel in superpixels:
        mask = explanation.segments == superpixel.superpixel
        _tint(ax, mask, EVIDENCE_FOR if superpixel.positive else EVIDENCE_AGAINST)
        _label(ax, *_innermost(mask), str(rank), 11, fontweight="bold")
    # Signed weights, so that nobody has to distinguish colours.
    parts = [f"{rank}: {signed(superpixel.weight)}" for rank, superpixel in superpixels]
    more = " …" if len(parts) > _WEIGHTS_LISTED else ""
    ax.set_xlabel("   ".join(parts[:_WEIGHTS_LISTED]) + more, fontsize=12)
    ax.set(xticks=[], yticks=[], xlim=extent[:2], ylim=extent[2:])


def _tint(ax: Axes, mask: Bool[np.ndarray, "H W"], colour: str) -> None:
    """Tints and outlines the pixels of a mask."""
    from matplotlib.colors import to_rgb

    tint = np.zeros((*mask.shape, 4))
    tint[mask] = (*to_rgb(colour), _TINT)
    ax.imshow(tint, interpolation="nearest")
    # The border of False closes the outlines of superpixels at the image's edge.
    padded = np.pad(mask, 1).astype(float)
    rows, columns = (np.arange(-1, size + 1) for size in mask.shape)
    ax.contour(columns, rows, padded, levels=[0.5], colors=[colour], linewidths=2)


def _label(ax: Axes, x: float, y: float, text: str, size: int, **options: Any) -> None:
    """Writes in white on a dark box."""
    box = {"boxstyle": "round,pad=0.2", "facecolor": "black", "alpha": 0.6, "lw": 0}
    ax.text(x, y, text, fontsize=size, color="white", ha="center", va="center", bbox=box, **options)


def _innermost(mask: Bool[np.ndarray, "H W"]) -> tuple[float, float]:
    """`(x, y)` of the pixel farthest from the outside; a centroid may lie outside the mask."""
    from scipy.ndimage import distance_transform_edt

    depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    y, x = np.unravel_index(int(depth.argmax()), mask.shape)
    return float(x), float(y)


def _write_texts(
    figure: Figure,
    title: str,
    subtitle: str,
    remark: str,
    reading: str,
    legend: tuple[str, str],
) -> None:
    """Writes title, subtitle, remark, how to read the figure, legend and the intended use."""
    from matplotlib.patches import Patch

    alarm = remark.startswith(ALARMS)
    lines = textwrap.fill(reading, _READING_WIDTH)
    for inches, text, size, colour, weight in (
        (_HEIGHT - 0.31, title, 17, "black", "bold"),
        (_HEIGHT - 0.64, subtitle, 11, _QUIET_COLOUR, "normal"),
        (1.12, remark, 13, *((_ALARM_COLOUR, "bold") if alarm else (_QUIET_COLOUR, "normal"))),
        (0.7, lines, 11, "black", "normal"),
    ):
        figure.text(
            *(0.5, inches / _HEIGHT, text),
            fontsize=size,
            color=colour,
            fontweight=weight,
            ha="center",
            va="center",
            parse_math=False,  # ids and class names may contain a `$`
        )
    colours = (EVIDENCE_FOR, EVIDENCE_AGAINST)
    drawn = figure.legend(
        handles=[
            Patch(facecolor=colour, label=text)
            for colour, text in zip(colours, legend, strict=True)
        ],
        loc="lower left",
        bbox_to_anchor=(0.005, 0.0),
        ncols=2,
        frameon=False,
        fontsize=12,
    )
    for label in drawn.get_texts():
        label.set_parse_math(False)
    figure.text(
        *(
            0.99,
            0.25 / _HEIGHT,
            "superpixels by weight, largest first · research software, not for diagnosis",
        ),
        fontsize=11,
        color=_QUIET_COLOUR,
        ha="right",
        va="center",
    )
