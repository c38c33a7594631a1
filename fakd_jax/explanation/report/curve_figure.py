"""A small picture of one image's deletion and insertion curves."""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from itertools import cycle, product
from typing import Any

import numpy as np

from fakd_jax.explanation.report.gallery.pictures import compact_png

# Okabe & Ito's palette without its pale yellow; a further round of methods is dashed.
_COLOURS = ("#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_CONTROL_COLOUR = "#8c8c8c"
_DASHES = ("-", "--", "-.", ":")
_PANELS = {"deletion": "share of the head hidden", "insertion": "share of the head shown"}
_SIZE_INCHES = (6.0, 2.2)
_DOTS_PER_INCH = 100


def draw_curves(cells: Mapping[str, Mapping[str, Any]], controls: Collection[str]) -> bytes:
    """Draws deletion and insertion side by side, a line a method, controls in grey.

    Args:
      cells: of one image, by method; each with its `curves`.
      controls: the methods that look at no network.

    Returns:
      A PNG, 600 pixels wide; equal arguments give equal bytes.
    """
    import matplotlib.style
    from matplotlib.figure import Figure

    styles = line_styles(list(cells), controls)
    # A user's matplotlibrc must not change the bytes; Figure without pyplot leaves no state.
    with matplotlib.style.context("default"):
        figure = Figure(figsize=_SIZE_INCHES, dpi=_DOTS_PER_INCH, layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        for panel, (kind, label) in zip(panels, _PANELS.items(), strict=True):
            for method, cell in cells.items():
                colour, dash = styles[method]
                curve = cell["curves"]["fraction"], cell["curves"][kind]
                panel.plot(*curve, color=colour, linestyle=dash, linewidth=1.3, label=method)
            panel.set_title(kind, fontsize=9)
            panel.set_xlabel(label, fontsize=8)
            panel.set(xlim=(0, 1), ylim=(-0.03, 1.03))
            panel.tick_params(labelsize=7)
            panel.spines[["top", "right"]].set_visible(False)
        panels[0].set_ylabel("probability of the class", fontsize=8)
        lines, names = panels[0].get_legend_handles_labels()
        figure.legend(lines, names, loc="outside right center", fontsize=7, frameon=False)
        content = io.BytesIO()
        figure.savefig(content, format="rgba")
    width, height = (round(inches * _DOTS_PER_INCH) for inches in _SIZE_INCHES)
    pixels = np.frombuffer(content.getvalue(), np.uint8).reshape(height, width, 4)
    return compact_png(np.ascontiguousarray(pixels[..., :3]))


def line_styles(methods: Sequence[str], controls: Collection[str]) -> dict[str, tuple[str, str]]:
    """Colour and dash of each method's line; they repeat after 28 methods and 4 controls."""
    own = cycle((colour, dash) for dash, colour in product(_DASHES, _COLOURS))
    grey = cycle((_CONTROL_COLOUR, dash) for dash in _DASHES)
    return {method: next(grey if method in controls else own) for method in methods}
