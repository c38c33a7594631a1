"""Resizing to the networks' input; apart from :mod:`fakd_jax.data.preprocessing`, without JAX."""

from __future__ import annotations

import numpy as np
from jaxtyping import UInt8

from fakd_jax.data.pixels.raster import pillow


def resize(image: UInt8[np.ndarray, "H W 3"], size: int) -> UInt8[np.ndarray, "S S 3"]:
    """Resizes to a square of side `size`, as torchvision's `Resize((size, size))` on PIL images.

    Bilinear with antialiasing; as in the paper, the aspect ratio is not kept. An image that has
    that size already is returned itself.
    """
    if image.shape[:2] == (size, size):
        return image
    Image = pillow()
    resized = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)
    return np.array(resized)
