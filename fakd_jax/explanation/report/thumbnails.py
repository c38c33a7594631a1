"""Small pictures of attribution, which pages link to."""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import Float, UInt8

from fakd_jax.explanation.report.attribution import overlay
from fakd_jax.reporting.images import shrink

THUMBNAIL_SIDE = 184
"""In pixels, the width at which a page shows a thumbnail."""


def thumbnail_of(image: UInt8[np.ndarray, "H W 3"], attribution: Float[np.ndarray, "H W"]) -> bytes:
    """An :func:`~fakd_jax.explanation.report.attribution.overlay` as a PNG of about 10 kB."""
    return thumbnail(overlay(image, attribution, side=THUMBNAIL_SIDE))


def thumbnail(picture: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """Shrinks a picture to at most 184 × 184 pixels."""
    return compact_png(shrink(picture, THUMBNAIL_SIDE))


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
