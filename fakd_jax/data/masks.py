"""Ground-truth masks of lesions, at the network's input size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Bool

from fakd_jax.data.pixels.frames import file_id
from fakd_jax.data.pixels.raster import opened_image
from fakd_jax.errors import UserError


def mask_file(folder: Path, id: str) -> Path | None:
    """The mask of an image, `<id with the suffix .png>` in a folder of masks; None if it has none.

    That of one image of several in a file ends in its number, `volume.nii#80.png`.

    >>> mask_file(Path("masks"), "Training/glioma/no-such-image.jpg") is None
    True
    """
    file = file_id(id)
    path = folder / f"{Path(file).with_suffix('')}{id.removeprefix(file)}.png"
    return path if path.is_file() else None


def read_mask(path: Path, original_size: tuple[int, int], side: int) -> Bool[np.ndarray, "S S"]:
    """Reads a mask and resizes it as its image is resized.

    Args:
      path: a greyscale picture, 0 where there is no lesion.
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
        drawn = np.asarray(picture.convert("L")) > 0
    if drawn.shape != original_size:
        raise UserError(
            f"the mask {path} has {drawn.shape[1]} × {drawn.shape[0]} pixels, its image "
            f"{original_size[1]} × {original_size[0]}; give a mask of the same size"
        )
    fractions = Image.fromarray(drawn.astype(np.float32)).resize((side, side), Image.Resampling.BOX)
    covered = np.asarray(fractions)
    return covered >= min(0.5, covered.max()) if drawn.any() else np.zeros((side, side), bool)
