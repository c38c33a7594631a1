"""Short descriptors of pictures, whose products are nearly correlations in any orientation.

The lowest frequencies of a picture's cosine transform carry the correlation of its local contrast.
To mirror a picture flips the signs of some of them, to turn it by 90° transposes them too, so one
descriptor serves all eight orientations.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Int

from fakd_jax.audit.matching.orientations import ORIENTATIONS, Orientation

RADIUS = 14
"""Frequencies below this many half-waves per side are kept."""

_FREQUENCIES = np.arange(RADIUS)
_KEPT = np.hypot(_FREQUENCIES[:, None], _FREQUENCIES) < RADIUS
_KEPT[0, 0] = False  # the mean
LENGTH = int(_KEPT.sum())


def describe(pictures: Float32[np.ndarray, "N S S"]) -> Float32[np.ndarray, "N D"]:
    """The low frequencies of each picture, of length 1; zeros for a picture without contrast.

    Args:
      pictures: local contrast, at least `RADIUS` pixels wide.
    """
    from scipy.fft import dctn

    spectrum = dctn(pictures, axes=(1, 2), norm="ortho")[:, :RADIUS, :RADIUS]
    rows = np.ascontiguousarray(spectrum[:, _KEPT], np.float32)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(length > 1e-3, length, np.float32(np.inf))


def oriented(
    descriptors: Float32[np.ndarray, "N D"], orientation: Orientation
) -> Float32[np.ndarray, "N D"]:
    """The descriptors of the same pictures in another orientation."""
    places, signs = _TABLES[orientation]
    return descriptors[:, places] * signs


def _table(
    orientation: Orientation,
) -> tuple[Int[np.ndarray, " D"], Float32[np.ndarray, " D"]]:
    """Where each number of an oriented descriptor comes from, and its sign."""
    flipped = np.where(_FREQUENCIES % 2, -1, 1).astype(np.float32)
    places = np.zeros(_KEPT.shape, int)
    places[_KEPT] = np.arange(LENGTH)
    signs = np.ones(_KEPT.shape, np.float32)
    for _ in range(orientation.turns):  # transposed, then upside down
        places, signs = places.T, signs.T * flipped[:, None]
    if orientation.mirrored:
        signs = signs * flipped
    return places[_KEPT], signs[_KEPT]


_TABLES = {orientation: _table(orientation) for orientation in ORIENTATIONS}
