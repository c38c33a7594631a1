"""The head in an MRI slice, separated from the air around it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, UInt8

AIR_OVER_OTSU = 0.4
MIN_AREA = 0.05
MAX_EDGE = 0.8
_FRAME = 0.02
_CLOSING = 0.03
_OPENING = 0.015


def find_head(image: UInt8[np.ndarray, "H W 3"]) -> Bool[np.ndarray, "H W"]:
    """Segments the head: the largest bright component, closed and without holes.

    Tissue is what exceeds a fraction of Otsu's threshold (Otsu 1979), which itself separates dark
    from bright tissue. Letters, marks and noise beside the head are components of their own and
    are dropped; ventricles and other dark places inside are holes and are filled. The outermost
    2 % are ignored and extended from inside: some slices have a bright frame, and everything
    within it would count as a hole.

    Returns:
      True on the head. True everywhere if no head is found: nothing is brighter than the rest,
      the largest component is a speck, or it covers at least four fifths of the image's edge, as
      bright air does.
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
    side: int = max(everything.shape)
    frame = round(_FRAME * side)
    height, width = image.shape[:2]
    within = slice(frame, height - frame), slice(frame, width - frame)
    if not everything[within].size:
        return everything
    grey = gaussian_filter(image[within].mean(axis=2), sigma=side / 224)
    if np.ptp(grey) < 1:
        return everything
    bright = grey > grey.min() + AIR_OVER_OTSU * (threshold_otsu(grey) - grey.min())

    def ball(radius: float) -> np.ndarray:
        return disk(max(1, round(radius * side)))

    # A border of air: the closing may reach over the image's edge.
    reach = 2 * len(ball(_CLOSING))
    closed = binary_closing(np.pad(bright, reach), ball(_CLOSING))
    filled = binary_fill_holes(closed)[reach:-reach, reach:-reach]
    components, count = label(binary_opening(filled, ball(_OPENING)))
    if count == 0:
        return everything
    head = binary_fill_holes(components == np.argmax(np.bincount(components.ravel())[1:]) + 1)
    edge = np.concatenate([head[0], head[-1], head[1:-1, 0], head[1:-1, -1]])
    if head.mean() < MIN_AREA or edge.mean() >= MAX_EDGE:
        return everything
    return np.pad(head, frame, mode="edge")
