"""What an image looks like, independent of brightness, contrast and the position of the head.

Duplicates differ in brightness, contrast, compression, sharpness, position and size; slices of
different heads differ in their fine structure. So images are compared by their *local contrast*:
the output of a band-pass filter divided by its local strength, so that a darkened, stretched or
sharpened duplicate looks like its original.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Int, Shaped, UInt8

from fakd_jax.audit.matching.progress import Progress
from fakd_jax.data.dataset import Example
from fakd_jax.data.pixels.raster import decode_rgb
from fakd_jax.runtime.hashing import sha256
from fakd_jax.runtime.mapping import HERE, Mapper
from fakd_jax.runtime.scratch import scratch_array

SIDE = 112
"""Side of the thumbnails in pixels: half the networks' input."""

COARSE_SIDE = SIDE // 2

READ_TOGETHER = 32
"""Images that are read, and then decoded, by one call."""


@runtime_checkable
class EncodedImages(Protocol):
    """What the audit reads of a data set."""

    @property
    def examples(self) -> Sequence[Example]:
        """The images, in order."""

    def read_encoded(self, index: int) -> bytes:
        """The bytes of an image as stored."""


@dataclass(frozen=True)
class Thumbnails:
    """Every image of a data set, small and grey, with facts about its file.

    Attributes:
      grey: luminance, 0 to 255; float32, or rounded to uint8 where it lies in a scratch file.
      digests: sha256 of each image's bytes as stored.
      sizes: (width, height) in pixels.
      coloured: whether any pixel's channels differ by more than `COLOUR_TOLERANCE`.
    """

    grey: Shaped[np.ndarray, "N S S"]
    digests: tuple[str, ...]
    sizes: tuple[tuple[int, int], ...]
    coloured: Bool[np.ndarray, " N"]


COLOUR_TOLERANCE = 16
"""JPEG compression scatters the channels of a grey picture by some levels."""


def read_thumbnails(
    dataset: EncodedImages,
    log: Callable[[str], object] = print,
    scratch: Path | None = None,
    mapper: Mapper = HERE,
) -> Thumbnails:
    """Decodes every image once; `log` receives the progress every ten seconds.

    Args:
      dataset: the images.
      log: receives the progress.
      scratch: a folder: the thumbnails go into a scratch file there instead of memory.
      mapper: decodes the images, which this process reads.

    Returns:
      The thumbnails, in the order of `dataset.examples`.

    Raises:
      UserError: there is no room in `scratch`.
    """
    total = len(dataset.examples)
    shape = (total, SIDE, SIDE)
    grey = np.empty(shape, np.float32) if scratch is None else scratch_array(scratch, shape, "u1")
    progress = Progress(log, "read", total)
    starts = range(0, total, READ_TOGETHER)
    parts = ((dataset, start, min(start + READ_TOGETHER, total)) for start in starts)
    read = HERE.map(_read, parts)
    facts = []
    for start, (pictures, some) in zip(starts, mapper.map(_thumbnails, read), strict=True):
        grey[start : start + len(some)] = pictures if scratch is None else np.rint(pictures)
        facts += some
        progress(len(facts))
    digests, sizes, coloured = zip(*facts, strict=True)
    return Thumbnails(grey, digests, sizes, np.array(coloured))


def _read(dataset: EncodedImages, start: int, stop: int) -> tuple[list[bytes], list[str]]:
    """Images as stored, and their ids."""
    numbers = range(start, stop)
    return [dataset.read_encoded(index) for index in numbers], [
        dataset.examples[index].id for index in numbers
    ]


def _thumbnails(
    encoded: Sequence[bytes], ids: Sequence[str]
) -> tuple[Float32[np.ndarray, "n S S"], list[tuple[str, tuple[int, int], bool]]]:
    """Thumbnails, and of each image its digest, its size and whether it is coloured."""
    pictures, facts = [], []
    for content, id in zip(encoded, ids, strict=True):
        pixels = decode_rgb(content, id)
        height, width, _ = pixels.shape
        red, green, blue = pixels[..., 0], pixels[..., 1], pixels[..., 2]
        brightest = np.maximum(np.maximum(red, green), blue)
        spread = brightest - np.minimum(np.minimum(red, green), blue)
        coloured = bool(spread.max() > COLOUR_TOLERANCE)
        pictures.append(thumbnail_of(pixels))
        facts.append((sha256(content), (width, height), coloured))
    return np.stack(pictures), facts


def thumbnail_of(pixels: UInt8[np.ndarray, "H W 3"]) -> Float32[np.ndarray, "S S"]:
    """An image's luminance, resized to a square of `SIDE` pixels with antialiasing."""
    from PIL import Image

    grey = Image.fromarray(pixels).convert("L").convert("F")
    small = grey.resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=3.0)
    return np.asarray(small, np.float32)


def local_contrast(
    images: Float32[np.ndarray, "N S S"], *, inner: float, outer: float, floor: float
) -> Float32[np.ndarray, "N S S"]:
    """The band between two Gaussian blurs, divided by its own local root mean square.

    Invariant to gain and offset of the brightness, and nearly so to any smooth change of it over
    the image or over the grey levels.

    Args:
      images: grey.
      inner: standard deviation of the finer blur, pixels.
      outer: standard deviation of the coarser blur, and of the window of the local strength.
      floor: share of an image's greatest local strength below which contrast is not amplified in
        full, so that the noise of an empty background stays small.

    Returns:
      Values around 0, mostly in [-2, 2].
    """
    from scipy.ndimage import gaussian_filter

    def blur(stack: np.ndarray, sigma: float) -> np.ndarray:
        return gaussian_filter(stack, (0, sigma, sigma), mode="nearest")

    band = blur(images, inner) - blur(images, outer)
    strength = np.sqrt(blur(band * band, outer))
    quiet = floor * strength.max(axis=(1, 2), keepdims=True)
    return band / (strength + quiet + 1e-6)


def halve(images: Float32[np.ndarray, "N S S"]) -> Float32[np.ndarray, "N S/2 S/2"]:
    """Means of 2 × 2 pixels."""
    n, height, width = images.shape
    return images.reshape(n, height // 2, 2, width // 2, 2).mean(axis=(2, 4))


BRIGHT_SHARE = 0.1
FILLED_SHARE = 0.02


def head_boxes(images: Float32[np.ndarray, "N S S"]) -> Int[np.ndarray, "N 4"]:
    """Boxes around what is not background: (top, bottom, left, right), ends excluded.

    A row or column belongs to the box if more than `FILLED_SHARE` of it is brighter than
    `BRIGHT_SHARE` of the image's 99th percentile. Where hardly anything is bright, the box is the
    whole image.
    """
    side = images.shape[-1]
    brightest = np.percentile(images.reshape(len(images), -1), 99, axis=1)[:, None, None]
    filled = images > BRIGHT_SHARE * brightest
    ends = []
    for axis in (2, 1):
        lines = filled.mean(axis=axis) > FILLED_SHARE
        ends += [lines.argmax(axis=1), side - lines[:, ::-1].argmax(axis=1)]
    boxes = np.stack(ends, axis=1)
    least = side // 8
    small = (boxes[:, 1] - boxes[:, 0] < least) | (boxes[:, 3] - boxes[:, 2] < least)
    boxes[small] = (0, side, 0, side)
    return boxes


def crop_to(
    images: Float32[np.ndarray, "N S S"], boxes: Int[np.ndarray, "N 4"], side: int
) -> Float32[np.ndarray, "N side side"]:
    """Each image's box, resampled bilinearly to a square, which removes position and size."""
    rows = [
        _resampling(top, bottom, images.shape[1], side)
        @ image
        @ _resampling(left, right, images.shape[2], side).T
        for image, (top, bottom, left, right) in zip(images, boxes.tolist(), strict=True)
    ]
    return np.stack(rows)


def _resampling(low: int, high: int, source: int, target: int) -> Float32[np.ndarray, "T S"]:
    """The matrix that samples `[low, high)` of `source` pixels at `target` centres."""
    centres = low + (np.arange(target) + 0.5) * (high - low) / target - 0.5
    distance = np.abs(centres[:, None] - np.arange(source)[None])
    weights = np.maximum(0, 1 - distance)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
