"""Pictures of attribution: evidence for and against a class, overlaid on the image."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, UInt8

# Vermilion and sky blue of Okabe & Ito's colour-blind-safe palette (2008).
FOR_COLOUR = (213, 94, 0)
AGAINST_COLOUR = (86, 180, 233)
MAX_OPACITY = 0.7  # shows the colour and the tissue under it
SCALE_PERCENTILE = 99.0


def overlay(
    image: UInt8[np.ndarray, "H W 3"],
    attribution: Float[np.ndarray, "H W"],
    *,
    mask: Bool[np.ndarray, "H W"] | None = None,
    side: int = 224,
) -> UInt8[np.ndarray, "h w 3"]:
    """Tints an image orange where the attribution is positive and blue where it is negative.

    Opacity is proportional to the magnitude, up to the 99th percentile of the magnitudes above 0:
    a few extreme pixels do not hide the others, and scaling the attribution changes nothing.

    Args:
      image: the network's input.
      attribution: finite, in any unit; positive for the class.
      mask: of a known lesion; outlined in white and black, both outside it.
      side: smaller pictures are enlarged until their longer side has as many pixels, the image
        bicubically, attribution and mask by nearest neighbours.

    Raises:
      ValueError: different shapes, or an attribution that is not finite.
    """
    if attribution.shape != image.shape[:2] or (
        mask is not None and mask.shape != attribution.shape
    ):
        raise ValueError("image, attribution and mask must have the same height and width")
    if not np.isfinite(attribution).all():
        raise ValueError("the attribution is not finite everywhere")
    factor = max(1.0, side / max(attribution.shape))
    height, width = (round(size * factor) for size in attribution.shape)
    opacity = MAX_OPACITY * _nearest(_strength(attribution), height, width)[..., None]
    positive = _nearest(attribution, height, width)[..., None] > 0
    colour = np.where(positive, FOR_COLOUR, AGAINST_COLOUR)
    enlarged = _bicubic(image, height, width).astype(np.float64)
    tinted = np.rint(enlarged + opacity * (colour - enlarged)).astype(np.uint8)
    return tinted if mask is None else _outlined(tinted, _nearest(mask, height, width))


def heat(attribution: Float[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 4"]:
    """What :func:`overlay` puts over an image, as RGBA: for a viewer who sets the opacity.

    The alpha channel is the strength, 255 from the 99th percentile on.
    """
    colour = np.where((attribution > 0)[..., None], FOR_COLOUR, AGAINST_COLOUR)
    alpha = np.rint(255 * _strength(attribution))[..., None]
    return np.concatenate([colour, alpha], axis=-1).astype(np.uint8)


def _strength(attribution: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """Magnitudes in [0, 1]; 1 from the 99th percentile of those above 0."""
    magnitude = np.abs(attribution)
    present = magnitude[magnitude > 0]
    if not present.size:
        return np.zeros(attribution.shape)
    return np.minimum(magnitude / np.percentile(present, SCALE_PERCENTILE), 1.0)


def _outlined(
    picture: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Draws a white line around the mask and a black one around that: one always shows."""
    from scipy.ndimage import binary_dilation

    line = binary_dilation(mask)
    rim = binary_dilation(line)
    outlined = picture.copy()
    outlined[rim & ~line] = 0
    outlined[line & ~mask] = 255
    return outlined


def _bicubic(
    image: UInt8[np.ndarray, "H W 3"], height: int, width: int
) -> UInt8[np.ndarray, "h w 3"]:
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BICUBIC))


def _nearest(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Enlarges ``[H, W]`` to ``[h, w]`` by nearest neighbours."""
    rows, columns = (
        (np.arange(new) + 0.5) * old // new
        for new, old in zip((height, width), values.shape, strict=True)
    )
    return values[rows.astype(int)[:, None], columns.astype(int)]
