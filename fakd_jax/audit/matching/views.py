"""What is compared of each picture: local contrast in two sizes, the head's box, descriptors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Float32, Int, Shaped

from fakd_jax.audit.matching.appearance import (
    COARSE_SIDE,
    SIDE,
    crop_to,
    halve,
    head_boxes,
    local_contrast,
)
from fakd_jax.audit.matching.descriptors import LENGTH, describe
from fakd_jax.audit.matching.progress import Progress
from fakd_jax.runtime.mapping import Mapper
from fakd_jax.runtime.scratch import scratch_array

PART = 256
"""Pictures in one chunk."""


@dataclass(frozen=True)
class Views:
    """What is compared of N pictures.

    Attributes:
      boxes: of the heads, in pixels of `fine`.
      fine: local contrast, of the thumbnails' side; float32, or float16 in a scratch file.
      coarse: likewise, of half that side.
    """

    boxes: Int[np.ndarray, "N 4"]
    fine: Float[np.ndarray, "N S S"]
    coarse: Float[np.ndarray, "N C C"]


def view_all(
    grey: Shaped[np.ndarray, "N S S"], mapper: Mapper, log: Callable[[str], object]
) -> tuple[Views, Float32[np.ndarray, "N C C"]]:
    """The views of pictures, and the local contrast of their heads, cropped to one size."""
    count = len(grey)
    coarse = (count, COARSE_SIDE, COARSE_SIDE)
    boxes, fine = np.empty((count, 4), int), np.empty((count, SIDE, SIDE), np.float32)
    columns = (boxes, fine, np.empty(coarse, np.float32), np.empty(coarse, np.float32))
    _fill(columns, _view, grey, mapper, log)
    return Views(*columns[:3]), columns[3]


def describe_all(
    grey: Shaped[np.ndarray, "N S S"],
    scratch: Path,
    mapper: Mapper,
    log: Callable[[str], object],
) -> tuple[Views, Float32[np.ndarray, "N D"], Float32[np.ndarray, "N D"]]:
    """The views of pictures in scratch files, and descriptors of pictures and of cropped heads.

    Raises:
      UserError: there is no room in `scratch`.
    """
    count = len(grey)
    columns = (
        np.empty((count, 4), int),
        scratch_array(scratch, (count, SIDE, SIDE), "f2"),
        scratch_array(scratch, (count, COARSE_SIDE, COARSE_SIDE), "f2"),
        np.empty((count, LENGTH), np.float32),
        np.empty((count, LENGTH), np.float32),
    )
    _fill(columns, _describe, grey, mapper, log)
    return Views(*columns[:3]), *columns[3:]


def _fill(
    columns: tuple[np.ndarray, ...],
    function: Callable[..., tuple[np.ndarray, ...]],
    grey: Shaped[np.ndarray, "N S S"],
    mapper: Mapper,
    log: Callable[[str], object],
) -> None:
    """Writes what the function returns of each part of the pictures into arrays of all."""
    described = Progress(log, "described", len(grey))
    starts = range(0, len(grey), PART)
    parts = ((np.asarray(grey[start : start + PART]),) for start in starts)
    for start, part in zip(starts, mapper.map(function, parts), strict=True):
        for column, values in zip(columns, part, strict=True):
            column[start : start + PART] = values
        described(min(start + PART, len(grey)))


def _view(
    grey: Shaped[np.ndarray, "n S S"],
) -> tuple[
    Int[np.ndarray, "n 4"],
    Float32[np.ndarray, "n S S"],
    Float32[np.ndarray, "n C C"],
    Float32[np.ndarray, "n C C"],
]:
    grey = np.asarray(grey, np.float32)
    boxes = head_boxes(grey)
    fine = local_contrast(grey, inner=1.0, outer=3.0, floor=0.2)
    coarse = local_contrast(halve(grey), inner=0.7, outer=3.0, floor=0.1)
    heads = local_contrast(crop_to(grey, boxes, COARSE_SIDE), inner=0.7, outer=3.0, floor=0.1)
    return boxes, fine, coarse, heads


def _describe(
    grey: Shaped[np.ndarray, "n S S"],
) -> tuple[
    Int[np.ndarray, "n 4"],
    Float[np.ndarray, "n S S"],
    Float[np.ndarray, "n C C"],
    Float32[np.ndarray, "n D"],
    Float32[np.ndarray, "n D"],
]:
    boxes, fine, coarse, heads = _view(grey)
    half = np.float16  # as in the scratch files: half as much to send
    return boxes, fine.astype(half), coarse.astype(half), describe(coarse), describe(heads)
