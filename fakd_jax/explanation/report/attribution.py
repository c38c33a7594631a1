"""Pictures of attribution: evidence for and against a class, laid over the image it was found in."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, UInt8

# Vermilion and sky blue of Okabe & Ito's palette (2008), which the colour-blind can tell apart.
FOR_COLOUR = (213, 94, 0)
AGAINST_COLOUR = (86, 180, 233)
STRONGEST_OPACITY = 0.7  # enough to see the colour, little enough to see the tissue under it
SCALE_PERCENTILE = 99.0


def overlay(
    image: UInt8[np.ndarray, "H W 3"],
    attribution: Float[np.ndarray, "H W"],
    *,
    mask: Bool[np.ndarray, "H W"] | None = None,
    side: int = 224,
) -> UInt8[np.ndarray, "h w 3"]:
    """Tints an image: orange where the attribution speaks for the class, blue where against it.

    The stronger the attribution, the more opaque the tint; without attribution the image is as it was, and an
    image without any attribution comes back untinted. The tint is full from the 99th percentile of the
    magnitudes that are not 0, so that a few extreme pixels do not hide all others, and attribution on a
    small part of the image shows as well as attribution everywhere. Only the attribution's proportions are
    shown: multiplied by a positive factor it gives the same picture.

    Args:
      image: what the network saw, 0 to 255.
      attribution: finite, any unit; positive for the class.
      mask: a lesion known to be there; it gets a white outline with a black rim, both outside it.
      side: small pictures are enlarged so that their longer side has as many pixels; the image is
        interpolated, attribution and mask are not.

    Returns:
      ``[h, w, 3]``, of the image's proportions.

    Raises:
      ValueError: attribution or mask of another shape than the image's, or attribution that is not finite.
    """
    if attribution.shape != image.shape[:2] or (
        mask is not None and mask.shape != attribution.shape
    ):
        raise ValueError("image, attribution and mask must have the same height and width")
    if not np.isfinite(attribution).all():
        raise ValueError("the attribution is not finite everywhere")
    factor = max(1.0, side / max(attribution.shape))
    height, width = (round(size * factor) for size in attribution.shape)
    opacity = STRONGEST_OPACITY * _nearest(_strength(attribution), height, width)[..., None]
    colour = np.where(
        _nearest(attribution, height, width)[..., None] > 0, FOR_COLOUR, AGAINST_COLOUR
    )
    tissue = _enlarge(image, height, width).astype(np.float64)
    tinted = np.rint(tissue + opacity * (colour - tissue)).astype(np.uint8)
    return tinted if mask is None else _outlined(tinted, _nearest(mask, height, width))


def _strength(attribution: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """The attribution's magnitude in [0, 1], 1 from the 99th percentile of what is not 0."""
    magnitude = np.abs(attribution)
    present = magnitude[magnitude > 0]
    if not present.size:
        return np.zeros(attribution.shape)
    return np.minimum(magnitude / np.percentile(present, SCALE_PERCENTILE), 1.0)


def _outlined(
    picture: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Draws a white line around the mask and a black one around that: one of them always shows."""
    from scipy.ndimage import binary_dilation

    line = binary_dilation(mask)
    rim = binary_dilation(line)
    outlined = picture.copy()
    outlined[rim & ~line] = 0
    outlined[line & ~mask] = 255
    return outlined


def _enlarge(
    image: UInt8[np.ndarray, "H W 3"], height: int, width: int
) -> UInt8[np.ndarray, "h w 3"]:
    from PIL import Image

    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def _nearest(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Repeats values ``[H, W]`` to ``[h, w]``; nothing is mixed, so nothing spills into zeros."""
    rows, columns = (
        (np.arange(new) + 0.5) * old // new
        for new, old in zip((height, width), values.shape, strict=True)
    )
    return values[rows.astype(int)[:, None], columns.astype(int)]
