"""Intensity standardisation: grey levels mapped to fixed ones by percentiles of the head.

Scanners, windows and exports give the same tissue other grey levels. The landmarks of an image are
mapped to fixed levels, linearly in between, as in Nyúl and Udupa, "On standardizing the MR image
intensity scale", Magnetic Resonance in Medicine 42 (1999). Only grey levels of the image itself
enter, so brightness, contrast and linear windows cancel as far as nothing was clipped.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float32, Int32, UInt8

RULES = ("none", "head_percentiles")
"""Values of `config.data.intensity`."""

LOW_LEVEL, HIGH_LEVEL = 48.0, 200.0
"""Where the head's 1st and 99th percentile go: their medians in the paper's data."""

MIN_CONTRAST = 8
"""Grey levels between these percentiles below which an image is left as it is."""

FRAME = 0.02  # of each side, ignored: some slices have a bright frame
LUMA = (19595, 38470, 7471)  # of red, green and blue, in 1/65,536: ITU-R 601, as Pillow's "L"


class Landmarks(NamedTuple):
    """Grey levels of each image, 0 to 255.

    Attributes:
      air: the image's 1st percentile.
      low: the head's 1st percentile.
      high: the head's 99th percentile.
    """

    air: Int32[Array, " B"]
    low: Int32[Array, " B"]
    high: Int32[Array, " B"]


@jax.jit  # so that an export finds it by its name
def level_histogram(levels: Int32[Array, "B N"]) -> Int32[Array, "B 256"]:
    """How many pixels of each image have each grey level."""
    return jax.vmap(lambda image: jnp.zeros(256, jnp.int32).at[image].add(1))(levels)


def find_landmarks(images: UInt8[Array, "B H W 3"]) -> Landmarks:
    """Finds the landmarks of each image; the head is what is brighter than the image's mean.

    The mean needs no shape of a head: it is defined for cropped, noisy and inverted images too,
    and follows changes of gamma better than Otsu's threshold does.

    Args:
      images: of at least one pixel.

    Returns:
      The landmarks; all three are equal for a constant image.
    """
    height, width = images.shape[1:3]
    top, left = round(FRAME * height), round(FRAME * width)
    inner = images[:, top : height - top, left : width - left].astype(jnp.int32)
    grey = (jnp.sum(inner * jnp.array(LUMA), axis=-1) + 0x8000) >> 16
    pixels = grey.shape[1] * grey.shape[2]
    histogram = level_histogram(grey.reshape(grey.shape[0], -1))
    up_to = jnp.cumsum(histogram, axis=1)  # pixels of each level or darker ones
    levels = jnp.arange(256)
    mean = jnp.sum(histogram * levels.astype(jnp.float32), axis=1, keepdims=True) / pixels
    outside = jnp.sum(histogram * (levels <= mean), axis=1)
    head = pixels - outside

    def level(rank: Int32[Array, " B"]) -> Int32[Array, " B"]:
        """Of the pixel with that rank, counted from 1 at the darkest."""
        return jnp.sum(up_to < rank[:, None], axis=1)

    return Landmarks(
        level(jnp.full_like(head, (pixels + 99) // 100)),
        level(outside + (head + 99) // 100),
        level(pixels - head // 100),
    )


def to_fixed_levels(
    grey_levels: Float32[Array, "B H W 3"], landmarks: Landmarks
) -> Float32[Array, "B H W 3"]:
    """Maps `air` to 0, `low` to `LOW_LEVEL` and `high` to `HIGH_LEVEL`, and clips to 0 and 255.

    Linear between two landmarks and beyond the last. An image whose head has less than
    `MIN_CONTRAST`, such as a constant one, is left as it is.

    Args:
      grey_levels: 0 to 255, not necessarily integers.
      landmarks: of each image, or of one image for all.
    """
    air, low, high = (level.astype(jnp.float32)[:, None, None, None] for level in landmarks)
    below = LOW_LEVEL / jnp.maximum(low - air, 1)
    above = (HIGH_LEVEL - LOW_LEVEL) / jnp.maximum(high - low, 1)
    mapped = LOW_LEVEL + (grey_levels - low) * jnp.where(grey_levels < low, below, above)
    return jnp.where(high - low < MIN_CONTRAST, grey_levels, jnp.clip(mapped, 0, 255))
