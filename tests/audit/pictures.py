"""Pictures for the tests of the audit, and thumbnails of them."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import numpy as np
from scipy.ndimage import gaussian_filter

from fakd_jax.audit.matching.appearance import Thumbnails, thumbnail_of
from fakd_jax.audit.matching.orientations import ORIENTATIONS, Orientation


def smooth(count: int, side: int, sigma: float, seed: int = 0) -> np.ndarray:
    """Blurred noise, float32 `[count, side, side]`, each picture of mean 0 and deviation 1."""
    noise = np.random.default_rng(seed).normal(size=(count, side, side))
    pictures = gaussian_filter(noise, (0, sigma, sigma), mode="wrap")
    pictures -= pictures.mean(axis=(1, 2), keepdims=True)
    return (pictures / pictures.std(axis=(1, 2), keepdims=True)).astype(np.float32)


def thumbnails(images: Sequence[np.ndarray]) -> Thumbnails:
    """Thumbnails of uint8 `[H, W, 3]` images; the bytes of the pixels stand for a file's."""
    return Thumbnails(
        np.stack([thumbnail_of(image) for image in images]),
        tuple(sha256(image.tobytes()).hexdigest() for image in images),
        tuple((image.shape[1], image.shape[0]) for image in images),
        np.zeros(len(images), bool),
    )


def inverse(orientation: Orientation) -> Orientation:
    """The orientation that undoes another."""
    picture = np.arange(4).reshape(2, 2)
    turned = orientation.apply(picture)
    return next(each for each in ORIENTATIONS if np.array_equal(each.apply(turned), picture))
