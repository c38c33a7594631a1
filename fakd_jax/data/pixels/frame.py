"""One image of a file, before its grey levels are brought to 8 bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from jaxtyping import Shaped, UInt8

from fakd_jax.data.pixels.window import LevelRange, Window


@dataclass(frozen=True)
class Frame:
    """An image as its file holds it.

    Attributes:
      levels: a picture, uint8 `[H, W, 3]`; or grey levels `[H, W]`, or `[H, W, 3]` of more bits.
      mode: what the file holds, for reports: `L`, `RGB`, `I;16`, `DICOM 12-bit MONOCHROME2`.
      reencoded: why the file itself cannot stand for the picture; "" if it can.
      own: the picture by the window that the file states, if it states one.
      inverted: whether the largest grey level is black.
      counts_bits: see :class:`LevelRange`.
      is_slice: whether it was cut out of a volume.
    """

    levels: Shaped[np.ndarray, "H W *C"]
    mode: str
    reencoded: str
    own: UInt8[np.ndarray, "H W"] | None = None
    inverted: bool = False
    counts_bits: bool = True
    is_slice: bool = False

    @property
    def is_picture(self) -> bool:
        """Whether no window changes it."""
        return self.levels.dtype == np.uint8 and self.levels.ndim == 3

    @property
    def depends(self) -> bool:
        """Whether the picture depends on rules of pixels."""
        return self.is_slice or not self.is_picture

    def shows_own(self, window: Window | None) -> bool:
        """Whether the picture is the one by the window that the file states."""
        return self.own is not None and (window is None or window.own_first)

    def needs(self, window: Window | None) -> bool:
        """Whether the picture is made by the window."""
        return not (self.is_picture or self.shows_own(window))

    @property
    def range(self) -> LevelRange:
        """The grey levels of the image."""
        low, high = float(self.levels.min()), float(self.levels.max())
        whole = self.counts_bits and np.issubdtype(self.levels.dtype, np.integer)
        return LevelRange(low, high, bool(whole and low >= 0))

    def picture(self, window: Window | None) -> UInt8[np.ndarray, "H W 3"]:
        """The image as RGB of 8 bits.

        Args:
          window: as grey levels, see :func:`fakd_jax.data.pixels.frames.window_of_file`; None only
            where :meth:`needs` is False.
        """
        if self.is_picture:
            return self.levels
        if self.own is not None and self.shows_own(window):
            shown = self.own
        elif window is None:
            raise ValueError("grey levels of more than 8 bits need a window")
        else:
            shown = window.eight_bits(self.levels)
            shown = 255 - shown if self.inverted else shown
        return shown if shown.ndim == 3 else np.repeat(shown[..., None], 3, axis=-1)


class PixelFile(Protocol):
    """A file of one or more images, open for reading."""

    def __len__(self) -> int:
        """The number of its images."""

    def read(self, index: int) -> Frame:
        """Decodes one of them.

        Raises:
          UserError: it is broken, too large or too small.
        """

    def close(self) -> None:
        """Releases the file."""
