"""Cutting an image into superpixels, the same way every time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int32, UInt8


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

    kernel_size: float = 4.0
    max_dist: float = 200.0
    ratio: float = 0.2

    def __call__(self, image: UInt8[np.ndarray, "H W 3"], seed: int) -> Int32[np.ndarray, "H W"]:
        """Segments `image`.

        Args:
          image: uint8 ``[H, W, 3]``.
          seed: seeds the noise with which quickshift breaks ties; in [0, 2**31), a C int.

        Returns:
          Label map int32 ``[H, W]``, numbered 0 … S-1 without gaps (lime's columns are
          positions, so a gap would attach weights to the wrong superpixels).
        """
        from skimage.segmentation import quickshift

        labels = quickshift(
            image,
            kernel_size=self.kernel_size,
            max_dist=self.max_dist,
            ratio=self.ratio,
            rng=seed,  # an int: 0.26's compiled part takes no Generator
        )
        _, numbered = np.unique(labels, return_inverse=True)
        return numbered.reshape(labels.shape).astype(np.int32)
