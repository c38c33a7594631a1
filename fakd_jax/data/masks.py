"""Ground-truth masks of lesions, at the network's input size."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from fakd_jax.data.pixels.raster import opened_image
from fakd_jax.errors import UserError


def read_masks(
    paths: Sequence[Path], original_size: tuple[int, int], side: int
) -> Bool[np.ndarray, "S S"]:
    """The union of an image's masks, each read by :func:`read_mask`.

    Raises:
      UserError: as there.
    """
    masks = [read_mask(path, original_size, side) for path in paths]
    return np.logical_or.reduce(masks)


def read_mask(path: Path, original_size: tuple[int, int], side: int) -> Bool[np.ndarray, "S S"]:
    """Reads a mask and resizes it as its image is resized.

    Args:
      path: a picture, 0 (black) where there is no lesion; in a JPEG, which is not exact, at most
        half of the full range.
      original_size: height and width of its image.
      side: S, of the network's input.

    Returns:
      True where at least half of what a pixel covers is lesion. A lesion too small for that
      keeps the pixels that it covers most.

    Raises:
      UserError: the file cannot be read, or its size is not the image's.
    """
    from PIL import Image

    with opened_image(path, f"cannot read the mask {path}") as picture:
        if picture.mode in ("P", "RGB", "RGBA") and picture.format != "JPEG":
            levels = np.asarray(picture.convert("RGB")).max(axis=-1)  # luminance of (0, 0, 1) is 0
        else:
            levels = np.asarray(picture.convert("L"))
        drawn = levels > (127 if picture.format == "JPEG" else 0)
    if drawn.shape != original_size:
        raise UserError(
            f"the mask {path} has {drawn.shape[1]} × {drawn.shape[0]} pixels, its image "
            f"{original_size[1]} × {original_size[0]}; give a mask of the same size"
        )
    fractions = Image.fromarray(drawn.astype(np.float32)).resize((side, side), Image.Resampling.BOX)
    covered = np.asarray(fractions)
    return covered >= min(0.5, covered.max()) if drawn.any() else np.zeros((side, side), bool)
