"""Alterations of images, to construct duplicates."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

QUALITY = 90
"""JPEG quality at which a copy is stored unless its kind says otherwise."""

Change = Callable[[Image.Image, np.random.Generator], Image.Image]


@dataclass(frozen=True)
class Kind:
    """A kind of altered copy.

    Attributes:
      name: in the table.
      change: alters a full-resolution RGB image; the generator serves random alterations.
      tuned: whether the search's thresholds were tuned on this kind.
      quality: of the JPEG file of the copy.
      remark: for the table.
    """

    name: str
    change: Change
    tuned: bool = False
    quality: int = QUALITY
    remark: str = ""

    def copy_of(self, image: Image.Image, rng: np.random.Generator) -> bytes:
        """The altered image as the bytes of a JPEG file."""
        buffer = io.BytesIO()
        self.change(image, rng).save(buffer, "JPEG", quality=self.quality)
        return buffer.getvalue()


def unchanged(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """The image itself."""
    return image


def brightened(factor: float) -> Change:
    """Multiplies every level, clipped at 255."""
    return lambda image, rng: ImageEnhance.Brightness(image).enhance(factor)


def contrasted(factor: float) -> Change:
    """Multiplies the distance of every level from the mean."""
    return lambda image, rng: ImageEnhance.Contrast(image).enhance(factor)


def sharpened(factor: float) -> Change:
    """Extrapolates from the smoothed image past the image."""
    return lambda image, rng: ImageEnhance.Sharpness(image).enhance(factor)


def gamma(exponent: float) -> Change:
    """Raises every level, as a fraction of 255, to a power."""
    levels = [round(255 * (level / 255) ** exponent) for level in range(256)]
    return lambda image, rng: image.point(levels * len(image.getbands()))


def equalised(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Equalises the histogram."""
    return ImageOps.equalize(image)


def noisy(sd: float) -> Change:
    """Normal noise in grey levels, the same in every channel."""

    def change(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        noise = rng.normal(0, sd, (image.height, image.width, 1))
        return Image.fromarray(np.clip(np.asarray(image) + noise + 0.5, 0, 255).astype(np.uint8))

    return change


def shifted(pixels: int) -> Change:
    """Shifts down and to the right, filling with black."""

    def change(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        return image.transform(image.size, Image.Transform.AFFINE, (1, 0, -pixels, 0, 1, -pixels))

    return change


def zoomed(factor: float) -> Change:
    """Scales about the centre: below 1 the rim becomes black, above 1 it is cropped."""

    def change(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        to_left, to_top = (side / 2 * (1 - 1 / factor) for side in image.size)
        coefficients = (1 / factor, 0, to_left, 0, 1 / factor, to_top)
        bilinear = Image.Resampling.BILINEAR
        return image.transform(image.size, Image.Transform.AFFINE, coefficients, resample=bilinear)

    return change


def transposed(method: Image.Transpose) -> Change:
    """Rotates or mirrors exactly."""
    return lambda image, rng: image.transpose(method)


def in_turn(*changes: Change) -> Change:
    """One change after the other."""

    def change(image: Image.Image, rng: np.random.Generator) -> Image.Image:
        for one in changes:
            image = one(image, rng)
        return image

    return change


_MIRRORED = transposed(Image.Transpose.FLIP_LEFT_RIGHT)

KINDS = (
    Kind("JPEG quality 60", unchanged, tuned=True, quality=60),
    Kind("brightness × 1.1", brightened(1.1), tuned=True),
    Kind("shifted by 1 pixel", shifted(1), tuned=True),
    Kind("zoomed × 0.95", zoomed(0.95), tuned=True),
    Kind("gamma 0.8", gamma(0.8), tuned=True),
    Kind("mirrored", _MIRRORED),
    Kind("turned by 180°", transposed(Image.Transpose.ROTATE_180)),
    Kind("upside down", transposed(Image.Transpose.FLIP_TOP_BOTTOM)),
    Kind("JPEG quality 40", unchanged, quality=40),
    Kind("brightness × 1.2", brightened(1.2)),
    Kind("brightness × 0.8", brightened(0.8)),
    Kind("shifted by 2 pixels", shifted(2)),
    Kind("zoomed × 0.9", zoomed(0.9)),
    Kind("zoomed × 1.1", zoomed(1.1)),
    Kind("noise, sd 10 levels", noisy(10)),
    Kind("contrast × 1.5", contrasted(1.5)),
    Kind("sharpened × 3", sharpened(3)),
    Kind("histogram equalised", equalised, remark="expected to be missed often"),
    Kind("mirrored, JPEG 40, brightness × 0.8", in_turn(_MIRRORED, brightened(0.8)), quality=40),
    Kind("zoomed × 0.9, JPEG 40", zoomed(0.9), quality=40),
)
