"""Images as PNG, for files and for embedding in pages."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped, UInt8

Picture = bytes | UInt8[np.ndarray, "H W 3"] | UInt8[np.ndarray, "H W"]
"""A PNG file's content, or pixels from 0 to 255: RGB or grey."""

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Embedded:
    """A picture as a `data:` URI, with its size in pixels."""

    uri: str
    width: int
    height: int


def embed(picture: Picture) -> Embedded:
    """Prepares a picture for an `<img>` that needs no other file.

    Raises:
      ValueError: bytes that are not a PNG, or pixels that are not uint8.
    """
    content = picture if isinstance(picture, bytes) else png_bytes(picture)
    width, height = png_size(content)
    return Embedded(f"data:image/png;base64,{base64.b64encode(content).decode()}", width, height)


def png_size(content: bytes) -> tuple[int, int]:
    """The width and the height in pixels that a PNG declares.

    Raises:
      ValueError: bytes that are not a PNG.
    """
    if not content.startswith(PNG_SIGNATURE):
        raise ValueError("the picture is not a PNG")
    # The first chunk holds both (PNG specification, section 11.2.2).
    return int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")


def png_bytes(pixels: Shaped[np.ndarray, "H W *C"]) -> bytes:
    """Encodes uint8 pixels, grey or RGB, as a PNG without metadata.

    Raises:
      ValueError: the pixels are not uint8.
    """
    from PIL import Image

    if pixels.dtype != np.uint8:
        raise ValueError(f"pixels must be uint8, not {pixels.dtype}")
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, format="PNG")
    return content.getvalue()


def shrink(pixels: UInt8[np.ndarray, "H W 3"], longest: int) -> UInt8[np.ndarray, "h w 3"]:
    """Resizes pixels by Lanczos' filter so that neither side is longer than `longest`."""
    from PIL import Image

    height, width = pixels.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return pixels
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
