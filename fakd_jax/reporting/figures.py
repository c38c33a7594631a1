"""What every picture of figures is drawn on: matplotlib without global state, a palette."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from fakd_jax.runtime.atomic_files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Okabe & Ito's palette, which the colour-blind can distinguish.
BLACK = "#000000"
BLUE = "#0072B2"
VERMILION = "#D55E00"
GREEN = "#009E73"
PURPLE = "#CC79A7"
ORANGE = "#E69F00"
SKY_BLUE = "#56B4E9"
YELLOW = "#F0E442"
# For more than its eight colours.
GREY = "#8C8C8C"
BROWN = "#8C564B"
OLIVE = "#999933"
WINE = "#882255"
INDIGO = "#332288"
TEAL = "#44AA99"  # of Paul Tol's palette, as the two before


# The colours of evidence, in every picture and figure: of what speaks for a class, whatever the
# method, and of what speaks against it. Nothing else is drawn over an image in them.
EVIDENCE_FOR, EVIDENCE_AGAINST = VERMILION, SKY_BLUE


def new_figure(*, width: float, height: float) -> Figure:
    """A figure of its own, outside pyplot: no global state, no display needed.

    Args:
      width: in inches, of 150 pixels.
      height: likewise.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a figure as a PNG, replacing the file atomically.

    Raises:
      UserError: the file cannot be written.
    """
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    write_whole(path, picture.getvalue())


def error_bars(
    shares: Float[np.ndarray, " N"], intervals: Sequence[Sequence[float]]
) -> Float[np.ndarray, "2 N"]:
    """How far intervals reach below and above their shares, in percent, for `errorbar`."""
    low, high = np.array(intervals).T
    # Rounding can put an end on the wrong side of its share by a last bit.
    return 100 * np.maximum([shares - low, high - shares], 0)
