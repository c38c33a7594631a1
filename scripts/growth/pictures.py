"""A folder of many different phantoms and of altered copies of some of them."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from copies.alterations import KINDS, Kind
from PIL import Image

from fakd_jax.data.phantom.dataset import CLASS_NAMES, phantom

SIZE = 64
"""Mean side of the pictures in pixels."""

PART = 500
"""Pictures per task of a process."""

PLANTED = tuple(
    kind
    for kind in KINDS
    if kind.name
    in (
        *("JPEG quality 60", "brightness × 1.2", "gamma 0.8", "zoomed × 0.95"),
        *("mirrored", "turned by 180°", "upside down", "mirrored, JPEG 40, brightness × 0.8"),
    )
)
"""Alterations that take turns: all of them are found in pictures of a usual size."""


def original_id(number: int) -> str:
    """The id of the phantom of that number."""
    return f"Training/{CLASS_NAMES[number % 4]}/{number:07d}.png"


def copy_id(number: int) -> str:
    """The id of the altered copy of the phantom of that number."""
    return f"Testing/{CLASS_NAMES[number % 4]}/{number:07d}.jpg"


def write_pictures(folder: Path, count: int, copies: int) -> None:
    """Writes `count` pictures, `copies` of which are altered copies of the first ones.

    One process per CPU draws them; equal arguments give equal files.
    """
    starts = range(0, count - copies, PART)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        write = partial(write_part, folder, count - copies, copies)
        for _ in pool.map(write, starts):
            pass


def write_part(folder: Path, originals: int, copies: int, start: int) -> None:
    """Writes the pictures of `PART` phantoms, from the one numbered `start` on."""
    for id in (name(number) for number in range(4) for name in (original_id, copy_id)):
        (folder / id).parent.mkdir(parents=True, exist_ok=True)
    for number in range(start, min(start + PART, originals)):
        image = Image.fromarray(phantom(number, number % 4, SIZE).image[..., 0])
        image.save(folder / original_id(number), compress_level=1)
        if number < copies:
            (folder / copy_id(number)).write_bytes(
                _altered(image, PLANTED[number % len(PLANTED)], number)
            )


def _altered(image: Image.Image, kind: Kind, number: int) -> bytes:
    return kind.copy_of(image.convert("RGB"), np.random.default_rng([1, number]))
