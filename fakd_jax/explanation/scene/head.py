"""The head in an MRI slice, told from the air around it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, UInt8

AIR_OVER_OTSU = 0.4
LEAST_SHARE = 0.05
MOST_OF_EDGE = 0.8
_FRAME = 0.02
_CLOSING = 0.03
_OPENING = 0.015


def find_head(image: UInt8[np.ndarray, "H W 3"]) -> Bool[np.ndarray, "H W"]:
    """Where the head is: the largest bright piece, closed and without holes.

    Tissue is what is brighter than a part of Otsu's threshold (Otsu 1979), which itself runs
    between dark and bright tissue. Letters, marks and noise beside the head are pieces of their
    own and fall away; ventricles and other dark places within are holes and are filled. The
    outermost 2 % are not looked at, but continue what lies beside them: some slices have a bright
    line around them, and all within it would be a hole.

    Args:
      image: uint8 ``[H, W, 3]``.

    Returns:
      True on the head. True everywhere where no head is found, i.e. where nothing is brighter
      than the rest, the largest piece is a speck, or it covers four fifths of the image's edge or
      more, as light air does: then nothing is known to be background.
    """
    from scipy.ndimage import (
        binary_closing,
        binary_fill_holes,
        binary_opening,
        gaussian_filter,
        label,
    )
    from skimage.filters import threshold_otsu
    from skimage.morphology import disk

    everything = np.ones(image.shape[:2], bool)
    frame = round(_FRAME * max(everything.shape))
    height, width = image.shape[:2]
    within = slice(frame, height - frame), slice(frame, width - frame)
    if not everything[within].size:
        return everything
    grey = gaussian_filter(image[within].mean(axis=2), sigma=max(everything.shape) / 224)
    if np.ptp(grey) < 1:
        return everything
    bright = grey > grey.min() + AIR_OVER_OTSU * (threshold_otsu(grey) - grey.min())

    def ball(share: float) -> np.ndarray:
        return disk(max(1, round(share * max(everything.shape))))

    # A border of air: the closing may reach over the image's edge.
    reach = 2 * len(ball(_CLOSING))
    closed = binary_closing(np.pad(bright, reach), ball(_CLOSING))
    filled = binary_fill_holes(closed)[reach:-reach, reach:-reach]
    pieces, count = label(binary_opening(filled, ball(_OPENING)))
    if count == 0:
        return everything
    head = binary_fill_holes(pieces == np.bincount(pieces.ravel())[1:].argmax() + 1)
    speck, air = head.mean() < LEAST_SHARE, _edge(head).mean() >= MOST_OF_EDGE
    return everything if speck or air else np.pad(head, frame, mode="edge")


def _edge(mask: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, " N"]:
    """The outermost pixels."""
    return np.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])
