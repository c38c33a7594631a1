"""Image files, as data preparation, `fakd explain --image` and masks read them."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from fakd_jax.data.masks import read_mask
from fakd_jax.data.pixels.limits import MAX_PIXELS, MIN_SIDE
from fakd_jax.data.pixels.raster import decode_rgb
from fuzzing.expected import only_user_errors, scratch

_FORMATS = {
    "L": ("PNG", "JPEG", "TIFF", "BMP"),
    "RGB": ("PNG", "JPEG", "TIFF", "BMP", "WEBP"),
    "P": ("PNG", "GIF", "BMP", "TIFF"),
    "RGBA": ("PNG", "WEBP", "TIFF"),
    "LA": ("PNG",),
    "1": ("PNG", "TIFF", "BMP"),
    "CMYK": ("JPEG", "TIFF"),
    "I;16": ("PNG", "TIFF"),
    "F": ("TIFF",),
}


def seeds() -> list[bytes]:
    """Pictures of every mode in every format, an animation and one of a billion pixels."""
    pixels = np.arange(12 * 10, dtype=np.uint8).reshape(12, 10)
    made = []
    for mode, formats in _FORMATS.items():
        picture = (
            Image.fromarray(pixels.astype(np.uint16) * 257)
            if mode == "I;16"
            else Image.fromarray(pixels).convert(mode)
        )
        made += [_saved(picture, format) for format in formats]
    frames = [Image.fromarray(pixels + shift) for shift in range(3)]
    made.append(_saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    huge = bytearray(_saved(Image.fromarray(pixels), "BMP"))
    huge[18:26] = (32_768).to_bytes(4, "little") * 2
    return [*made, bytes(huge)]


def check(data: bytes) -> None:
    """Decodes an image and reads it as a mask."""
    with only_user_errors():
        pixels = decode_rgb(data, "image")
        height, width, channels = pixels.shape
        assert (pixels.dtype, channels) == (np.uint8, 3)
        assert min(height, width) >= MIN_SIDE
        assert height * width <= MAX_PIXELS
    with only_user_errors(), scratch() as folder:
        (folder / "mask.png").write_bytes(data)
        assert read_mask(folder / "mask.png", (12, 10), 8).shape == (8, 8)


def _saved(picture: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()
