"""Pictures of attribution: evidence for and against a class, overlaid on the image."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from fakd_jax.reporting.figures import EVIDENCE_AGAINST, EVIDENCE_FOR

FOR_COLOUR, AGAINST_COLOUR = (
    tuple(bytes.fromhex(colour[1:])) for colour in (EVIDENCE_FOR, EVIDENCE_AGAINST)
)
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
      image: the network's input, or the original.
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
    factor = max(1.0, side / max(attribution.shape))
    height, width = (round(size * factor) for size in attribution.shape)
    opacity = MAX_OPACITY * _nearest(_strength(attribution), height, width)[..., None]
    colour = _colours(_nearest(attribution, height, width))
    enlarged = _bicubic(image, height, width).astype(np.float64)
    tinted = np.rint(enlarged + opacity * (colour - enlarged)).astype(np.uint8)
    return tinted if mask is None else _outlined(tinted, _nearest(mask, height, width))


def layer(attribution: Float[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 4"]:
    """The colours of :func:`overlay` alone, as RGBA: laid over the image it gives the overlay.

    Raises:
      ValueError: the attribution is not finite.
    """
    alpha = np.rint(255 * MAX_OPACITY * _strength(attribution))
    return np.concatenate([_colours(attribution), alpha[..., None]], axis=-1).astype(np.uint8)


def at_size(
    attribution: Float[np.ndarray, "H W"], size: tuple[int, int], *, smooth: bool
) -> Float32[np.ndarray, "h w"]:
    """Brings an attribution from the network's input to the size and aspect of the original.

    The values stay those of the network's input, so that they no longer add up to what they do
    there.

    Args:
      attribution: at the network's input size.
      size: height and width of the original.
      smooth: bilinearly, and averaged where the original is smaller, as images are resized; else
        by nearest neighbours, which keeps the one weight of each superpixel.
    """
    from PIL import Image

    if not smooth:
        return _nearest(attribution.astype(np.float32), *size)
    picture = Image.fromarray(attribution.astype(np.float32))
    return np.asarray(picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))


def _strength(attribution: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """Magnitudes in [0, 1]; 1 from the 99th percentile of those above 0."""
    if not np.isfinite(attribution).all():
        raise ValueError("the attribution is not finite everywhere")
    magnitude = np.abs(attribution)
    present = magnitude[magnitude > 0]
    if not present.size:
        return np.zeros(attribution.shape)
    return np.minimum(magnitude / np.percentile(present, SCALE_PERCENTILE), 1.0)


def _colours(attribution: Float[np.ndarray, "H W"]) -> UInt8[np.ndarray, "H W 3"]:
    colours = np.where(attribution[..., None] > 0, FOR_COLOUR, AGAINST_COLOUR)
    return colours.astype(np.uint8)


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
    """Resizes ``[H, W]`` to ``[h, w]`` by nearest neighbours."""
    rows, columns = (
        (np.arange(new) + 0.5) * old // new
        for new, old in zip((height, width), values.shape, strict=True)
    )
    return values[rows.astype(int)[:, None], columns.astype(int)]
