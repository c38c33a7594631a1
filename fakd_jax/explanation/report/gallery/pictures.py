"""Pictures of a gallery: found on disk, and made small, so that one page can hold hundreds."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fakd_jax.errors import UserError
from fakd_jax.explanation.files import folder_names

PictureSource = Callable[[str, str | None], bytes]
"""An image's id, and a method or None for the image itself, to a PNG file's content."""

THUMBNAIL_SIDE = 184  # as wide as a page shows it


def stored_pictures(folder: Path, ids: Sequence[str]) -> PictureSource:
    """Finds pictures where a benchmark leaves them: `<image>/image.png`, `<image>/<method>.png`.

    Args:
      folder: `cells` of a benchmark.
      ids: of all its images, since a folder's name depends on whether another would share it.

    Returns:
      A source that raises a UserError for a picture that cannot be read.
    """
    names = dict(zip(ids, folder_names(ids), strict=True))

    def read(id: str, method: str | None) -> bytes:
        path = folder / names[id] / f"{method or 'image'}.png"
        try:
            return path.read_bytes()
        except OSError as error:
            raise UserError(
                f"cannot read {path}: {error.strerror or error}; make the benchmark again"
            ) from error

    return read


def thumbnail(picture: bytes) -> bytes:
    """A PNG at most 184 pixels wide and high; of a head it takes some 10 kB."""
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as opened:
        small = opened.convert("RGB")
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.LANCZOS)
    return compact_png(np.asarray(small))


def compact_png(pixels: UInt8[np.ndarray, "H W 3"]) -> bytes:
    """Pixels as a PNG of at most 256 colours, a fifth as large as it would be with all of them."""
    from PIL import Image

    # Not median cut: it spends its colours on what is frequent, and grey bone turns bluish.
    palette = Image.fromarray(pixels).quantize(
        256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE
    )
    content = io.BytesIO()
    palette.save(content, format="PNG", optimize=True)
    return content.getvalue()
