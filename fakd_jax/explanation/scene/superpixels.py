"""Cutting an image into superpixels, the same way every time."""

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

    It begins with as many superpixels as asked for, and merges pieces smaller than half of their
    mean size into a neighbour: a smooth image keeps about as many, a noisy one, whose superpixels
    fall into pieces, far fewer.

    Attributes:
      count: superpixels asked for; at least 2.
      compactness: weight of position against colour (of CIELAB).
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
        """Segments `image`; the seed is not used.

        SLIC starts from a regular grid, or within a mask from points that scikit-image draws by a
        seed of its own, always the same, and spreads by k-means.

        Args:
          image: uint8 ``[H, W, 3]``.
          foreground: what is to be segmented; True somewhere.
          seed: ignored.

        Returns:
          Label map int32 ``[H, W]``, 0 … S-1 without gaps, -1 outside of the foreground.
        """
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
    """Quickshift with the lime package's own defaults, passed so that they arrive.

    lime's wrapper hands the seed to scikit-image as `random_seed`, a name that has since
    become `rng`, and drops it without a word: its superpixels ignore the seed it is given.
    Here every argument has scikit-image's current name.

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
        """Segments `image`; what a superpixel has outside of the foreground is cut off.

        Args:
          image: uint8 ``[H, W, 3]``.
          foreground: what is to be segmented; True somewhere.
          seed: seeds the noise with which quickshift breaks ties; in [0, 2**31), a C int.

        Returns:
          Label map int32 ``[H, W]``, 0 … S-1 without gaps (lime's columns are positions, so a gap
          would attach weights to the wrong superpixels), -1 outside of the foreground.
        """
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
    """Labels of the foreground as 0 … S-1 in their order, without gaps; the rest is -1."""
    segments = np.full(labels.shape, BACKGROUND, np.int32)
    segments[foreground] = np.unique(labels[foreground], return_inverse=True)[1]
    return segments
