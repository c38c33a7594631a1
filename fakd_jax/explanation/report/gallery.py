"""The gallery of a benchmark, `gallery.html`: all explanations, the least trustworthy first."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from jaxtyping import UInt8

from fakd_jax.explanation.benchmark.cases import (
    cases_of,
    is_degenerate,
    mean_agreement,
    worst_first,
)
from fakd_jax.explanation.benchmark.summary import ALL
from fakd_jax.explanation.benchmark.verdicts import sanity_outcome
from fakd_jax.explanation.quality.stability import STABLE
from fakd_jax.explanation.report.attribution import overlay
from fakd_jax.explanation.report.benchmark import ARROWS, verdict_words
from fakd_jax.explanation.report.benchmark_figure import draw_curves
from fakd_jax.reporting.pages import render

PictureSource = Callable[[str, str | None], bytes]
"""Returns the PNG of an image by id and method; for None the image itself."""

SHOWN = (
    *("jaccard", "gap", "local_fidelity", "dependence"),
    *("pointing", "mass_in_mask", "background"),
)
"""The metrics of the page, one or two per question; `benchmark.txt` has all."""

CASES_OPEN = 12
"""The number of cases that are unfolded."""

THUMBNAIL_SIDE = 184
"""In pixels, the width at which a page shows a thumbnail."""


def gallery(
    report: Mapping[str, Any],
    cells: Iterable[Mapping[str, Any]],
    read_picture: PictureSource,
    *,
    benchmark_figure: bytes | None = None,
) -> str:
    """Renders the page, in the order of :func:`~fakd_jax.explanation.benchmark.cases.worst_first`.

    Args:
      report: the content of `benchmark.json`.
      cells: one per image and method, as stored; those of other methods are ignored.
      read_picture: returns the pictures of images and explanations.
      benchmark_figure: `benchmark.png`.

    Returns:
      A self-contained HTML document; equal arguments give equal text.

    Raises:
      OSError: a picture cannot be read.
    """
    cases = worst_first(cases_of(cells, report["methods"], report["controls"]))
    rows = {row["method"]: row for row in report["rows"] if row["class"] == ALL}
    measured = {key for row in rows.values() for key, value in row["metrics"].items() if value["n"]}
    metrics = {metric["key"]: metric for metric in report["metrics"]}
    shown = [metrics[key] for key in SHOWN if key in measured]
    keys = {metric["key"] for metric in shown}
    return render(
        "explanation/report/gallery.html",
        report=report,
        rows=rows,
        shown=shown,
        verdicts=[
            row
            for row in report["verdicts"]
            if row["metric"] in keys and row["verdict"] is not None
        ],
        sanity=[row for row in report["sanity"] if row["passes"] is not None],
        cases=list(enumerate(cases, start=1)),
        localised="pointing" in measured,
        benchmark_figure=benchmark_figure,
        colour_bar=_colour_bar(),
        arrows=ARROWS,
        cases_open=CASES_OPEN,
        stable=STABLE,
        thumbnail=lambda id, method=None: thumbnail(read_picture(id, method)),
        curves=lambda case: compact_png(draw_curves(case.cells, case.controls)),
        is_degenerate=is_degenerate,
        mean_agreement=mean_agreement,
        sanity_outcome=sanity_outcome,
        verdict_words=verdict_words,
    )


def _colour_bar() -> UInt8[np.ndarray, "20 360 3"]:
    """Attribution from -1 to 1 over grey."""
    grey = np.full((20, 360, 3), 128, np.uint8)
    return overlay(grey, np.tile(np.linspace(-1, 1, 360), (20, 1)), side=360)


def thumbnail(picture: bytes) -> bytes:
    """Shrinks a PNG to at most 184 × 184 pixels, about 10 kB for a head."""
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as opened:
        small = opened.convert("RGB")
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    return compact_png(np.asarray(small))


def compact_png(pixels: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """Encodes pixels as a PNG of at most 256 colours, a fifth of the size with all of them."""
    from PIL import Image

    # Median cut spends its colours on what is frequent, and turns grey bone bluish.
    palette = Image.fromarray(pixels).quantize(
        256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
    )
    content = io.BytesIO()
    palette.save(content, format="PNG", optimize=True)
    return content.getvalue()
