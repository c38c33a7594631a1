"""What is compared of each picture: local contrast in two sizes, the head's box, descriptors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

    def columns(self) -> tuple[np.ndarray, ...]:
        """All arrays, in the order of the attributes."""
        return self.boxes, self.fine, self.coarse


def view_all(
    grey: Shaped[np.ndarray, "N S S"], mapper: Mapper, log: Callable[[str], object]
) -> tuple[Views, Float32[np.ndarray, "N C C"]]:
    """The views of pictures, and the local contrast of their heads, cropped to one size."""
    count = len(grey)
    views = Views(
        np.empty((count, 4), int),
        np.empty((count, SIDE, SIDE), np.float32),
        np.empty((count, COARSE_SIDE, COARSE_SIDE), np.float32),
    )
    heads = np.empty_like(views.coarse)
    _fill((*views.columns(), heads), _view, grey, mapper, log)
    return views, heads


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
    views = Views(
        np.empty((count, 4), int),
        scratch_array(scratch, (count, SIDE, SIDE), "f2"),
        scratch_array(scratch, (count, COARSE_SIDE, COARSE_SIDE), "f2"),
    )
    whole, cropped = np.empty((2, count, LENGTH), np.float32)
    _fill((*views.columns(), whole, cropped), _describe, grey, mapper, log)
    return views, whole, cropped


def _fill(
    columns: tuple[np.ndarray, ...],
    function: Callable[[np.ndarray], tuple[Any, ...]],
    grey: Shaped[np.ndarray, "N S S"],
    mapper: Mapper,
    log: Callable[[str], object],
) -> None:
    """Writes what the function returns of each part of the pictures, views first, into arrays."""
    described = Progress(log, "described", len(grey))
    starts = range(0, len(grey), PART)
    parts = ((np.asarray(grey[start : start + PART]),) for start in starts)
    for start, (views, *others) in zip(starts, mapper.map(function, parts), strict=True):
        for column, values in zip(columns, (*views.columns(), *others), strict=True):
            column[start : start + PART] = values
        described(min(start + PART, len(grey)))


def _view(grey: Shaped[np.ndarray, "n S S"]) -> tuple[Views, Float32[np.ndarray, "n C C"]]:
    grey = np.asarray(grey, np.float32)
    boxes = head_boxes(grey)
    fine = local_contrast(grey, inner=1.0, outer=3.0, floor=0.2)
    coarse = local_contrast(halve(grey), inner=0.7, outer=3.0, floor=0.1)
    heads = local_contrast(crop_to(grey, boxes, COARSE_SIDE), inner=0.7, outer=3.0, floor=0.1)
    return Views(boxes, fine, coarse), heads


def _describe(
    grey: Shaped[np.ndarray, "n S S"],
) -> tuple[Views, Float32[np.ndarray, "n D"], Float32[np.ndarray, "n D"]]:
    full, heads = _view(grey)
    half = np.float16  # as in the scratch files: half as much to send
    views = Views(full.boxes, full.fine.astype(half), full.coarse.astype(half))
    return views, describe(full.coarse), describe(heads)
