"""Infill: what replaces superpixels that are not visible.

Every function takes an image and its label map and leaves the image where the label is -1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Int32, UInt8

BLUR_SIGMA = 1 / 12
"""Of the image's longer side."""
_TOWARDS_MEAN = 1e-6  # fills a superpixel without neighbours


def mean_colours(
    image: UInt8[np.ndarray, "H W 3"], superpixels: Int32[np.ndarray, "H W"]
) -> UInt8[np.ndarray, "H W 3"]:
    """Every superpixel in its mean colour, rounded down as the lime package does.

    It keeps a superpixel's mean brightness: evidence in nothing but that is not removed.
    """
    inside = superpixels >= 0
    labels = superpixels[inside]
    counts = np.bincount(labels)
    sums = [np.bincount(labels, weights=values[inside]) for values in np.moveaxis(image, -1, 0)]
    filled = image.copy()
    filled[inside] = (np.stack(sums, axis=-1) / counts[:, None]).astype(np.uint8)[labels]
    return filled


def blurred(
    image: UInt8[np.ndarray, "H W 3"], superpixels: Int32[np.ndarray, "H W"]
) -> UInt8[np.ndarray, "H W 3"]:
    """The foreground under a wide Gaussian blur.

    The blur averages over the foreground alone, so that no dark air seeps into the head.
    """
    from scipy.ndimage import gaussian_filter

    inside = (superpixels >= 0).astype(np.float64)[..., None]
    sigma = (BLUR_SIGMA * max(image.shape[:2]),) * 2 + (0,)
    weights = gaussian_filter(inside, sigma)
    means = gaussian_filter(image * inside, sigma) / np.maximum(weights, 1e-12)
    return np.where(inside > 0, np.rint(means), image).astype(np.uint8)


def inpainted(
    image: UInt8[np.ndarray, "H W 3"], superpixels: Int32[np.ndarray, "H W"]
) -> UInt8[np.ndarray, "H W 3"]:
    """Every superpixel filled in from its neighbours: a bright lesion becomes the tissue around it.

    Solves Laplace's equation within each superpixel (each pixel is the mean of the four beside
    it), with the surrounding pixels as boundary values, and no boundary at the image's edge.
    """
    from scipy.sparse import csc_array
    from scipy.sparse.linalg import splu

    labels, pixels = superpixels.ravel(), image.reshape(-1, 3).astype(np.float64)
    here, there = _neighbours(superpixels.shape)
    unknown = labels >= 0
    place = np.cumsum(unknown) - 1
    here, there = here[unknown[here]], there[unknown[here]]
    same = labels[here] == labels[there]
    degrees = np.bincount(place[here], minlength=unknown.sum()) + _TOWARDS_MEAN
    diagonal = np.arange(len(degrees))
    rows = np.concatenate([diagonal, place[here[same]]])
    columns = np.concatenate([diagonal, place[there[same]]])
    system = csc_array((np.concatenate([degrees, -np.ones(same.sum())]), (rows, columns)))
    known = _TOWARDS_MEAN * mean_colours(image, superpixels).reshape(-1, 3)[unknown]
    np.add.at(known, place[here[~same]], pixels[there[~same]])
    filled = pixels.copy()
    filled[unknown] = splu(system, permc_spec="MMD_AT_PLUS_A").solve(known)
    return np.rint(filled).clip(0, 255).astype(np.uint8).reshape(image.shape)


def _neighbours(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of adjacent pixels, in both orders, as indices of the flat image."""
    index = np.arange(np.prod(shape)).reshape(shape)
    first = np.concatenate([index[:, :-1].ravel(), index[:-1].ravel()])
    second = np.concatenate([index[:, 1:].ravel(), index[1:].ravel()])
    return np.concatenate([first, second]), np.concatenate([second, first])


INFILLS: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "mean": mean_colours,
    "blur": blurred,
    "inpaint": inpainted,
}
"""By the name that `--hide` takes."""
