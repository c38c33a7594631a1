"""Superpixels, reproducibly.

A segmenter takes an image, the foreground (True somewhere) and a seed, and returns a label map:
0 … S-1 without gaps, -1 outside the foreground.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Bool, Int, Int32, UInt8

from fakd_jax.errors import UserError
from fakd_jax.explanation.scene.scene import BACKGROUND


@dataclass(frozen=True)
class Slic:
    """SLIC within the foreground (maskSLIC: Irving 2016).

    Superpixels smaller than half of their mean size are merged into a neighbour: a smooth image
    keeps about `count`, a noisy one, whose superpixels break up, far fewer.

    Attributes:
      count: superpixels to start with, at least 2.
      compactness: weight of position against colour (in CIELAB).
    """

    name: ClassVar[str] = "slic"

    count: int = 48
    compactness: float = 10.0

    def __post_init__(self) -> None:
        if self.count < 2:
            raise UserError(f"superpixels is {self.count}; ask for at least 2")

    def __call__(
        self, image: UInt8[np.ndarray, "H W 3"], foreground: Bool[np.ndarray, "H W"], seed: int
    ) -> Int32[np.ndarray, "H W"]:
        """Segments the image; the seed is not used, as scikit-image's start is always the same."""
        from skimage.segmentation import slic

        labels = slic(
            image,
            n_segments=self.count,
            compactness=self.compactness,
            mask=None if foreground.all() else foreground,
            start_label=1,
        )
        return numbered(labels, foreground)


@dataclass(frozen=True)
class Quickshift:
    """Quickshift with the lime package's defaults.

    The package's own wrapper passes the seed under a name that scikit-image no longer knows, so
    that its superpixels ignore it; here it arrives.

    Attributes:
      kernel_size: width of the Gaussian that smooths the density, in pixels.
      max_dist: longest link between a pixel and its parent; larger gives fewer superpixels.
      ratio: weight of colour against position, in [0, 1].
    """

    name: ClassVar[str] = "quickshift"

    kernel_size: float = 4.0
    max_dist: float = 200.0
    ratio: float = 0.2

    def __call__(
        self, image: UInt8[np.ndarray, "H W 3"], foreground: Bool[np.ndarray, "H W"], seed: int
    ) -> Int32[np.ndarray, "H W"]:
        """Segments the image; the seed, below 2**31, is that of the noise that breaks ties."""
        from skimage.segmentation import quickshift

        labels = quickshift(
            image,
            kernel_size=self.kernel_size,
            max_dist=self.max_dist,
            ratio=self.ratio,
            rng=seed,  # an int: 0.26's compiled part takes no Generator
        )
        return numbered(labels, foreground)


def numbered(
    labels: Int[np.ndarray, "H W"], foreground: Bool[np.ndarray, "H W"]
) -> Int32[np.ndarray, "H W"]:
    """The labels of the foreground renumbered from 0 without gaps; the rest is -1."""
    segments = np.full(labels.shape, BACKGROUND, np.int32)
    segments[foreground] = np.unique(labels[foreground], return_inverse=True)[1]
    return segments
