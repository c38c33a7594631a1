"""From an uploaded file to a picture, without anything that a file says about a person."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fakd_jax.data.layouts.names import suffix_of
from fakd_jax.data.pixels.frames import frames_in, read_frame
from fakd_jax.data.pixels.window import PixelRules
from fakd_jax.errors import UserError

_SUFFIX = re.compile(r"\.[a-z0-9.]{1,10}|")


@dataclass(frozen=True)
class Upload:
    """An image as it was decoded.

    Attributes:
      picture: uint8 `[H, W, 3]`, at its own size.
      frame: its number in the file, from 0.
      frames: number of images in the file.
    """

    picture: UInt8[np.ndarray, "H W 3"]
    frame: int
    frames: int


def decode(
    content: bytes, name: str, rules: PixelRules, frame: int | None = None, *, most_pixels: int
) -> Upload:
    """Decodes an uploaded file.

    Readers of medical files want a file: it is written into a folder of this process alone, and
    removed before this returns. Of its name only the suffix is used.

    Args:
      content: of the file.
      name: as the sender called it.
      rules: how files that are not pictures of 8 bits become such.
      frame: which of its images; None for the middle one.
      most_pixels: of an image.

    Raises:
      UserError: it cannot be decoded, is too large, or has no such image. The line has neither the
        file's name nor anything of its header.
    """
    suffix = suffix_of(Path(name).name)
    with tempfile.TemporaryDirectory(prefix="fakd-upload-") as folder:  # readable by its owner only
        path = Path(folder) / f"upload{suffix if _SUFFIX.fullmatch(suffix) else ''}"
        path.write_bytes(content)
        try:
            frames = frames_in(path, rules.slice_axis)
            number = frames // 2 if frame is None else frame
            picture = read_frame(path, number, rules)
        except UserError as error:
            raise UserError(str(error).replace(str(path), "the file")) from None
    height, width, _ = picture.shape
    if height * width > most_pixels:
        raise UserError(
            f"the image has {width} × {height} pixels, more than {most_pixels / 1e6:g} million: "
            "scale it down"
        )
    return Upload(picture, number, frames)
