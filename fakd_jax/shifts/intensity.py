"""Shifts of grey levels: what other windows, displays and exports do to the same slice."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float32, Key

from fakd_jax.shifts.draws import per_image, signs, uniforms
from fakd_jax.shifts.filters import gaussian_matrix

_WINDOW_LOW = 0.3  # of the share: most grey levels of a head lie in the lower half
_LOCAL_SIGMA = 1 / 8  # of the side: neighbourhoods as large as the tiles of scikit-image's CLAHE
_LOCAL_DEVIATION = 0.25  # the standard deviation that local contrast is stretched to
_LOCAL_LIMIT = 3.0  # the most that it is stretched by, so that air stays dark


def gamma(
    keys: Key[Array, " B"], images: Float32[Array, "B H W 3"], exponents: Float32[Array, " B"]
) -> Float32[Array, "B H W 3"]:
    """x^γ or x^(1/γ), drawn per image, as MedMNIST-C (Di Salvo et al. 2024, arXiv:2406.17536)."""
    return jnp.power(images, per_image(exponents ** signs(keys)))


def window(
    keys: Key[Array, " B"], images: Float32[Array, "B H W 3"], shares: Float32[Array, " B"]
) -> Float32[Array, "B H W 3"]:
    """Narrows the display window by a share of the grey levels.

    (x - l) / (1 - share): the lower bound l takes between none and three tenths of the share, the
    upper bound the rest. The linear window of DICOM PS3.3, C.11.2.1.2.
    """
    low = shares * _WINDOW_LOW * uniforms(keys, 1)[:, 0]
    return (images - per_image(low)) / per_image(1 - shares)


def brightness(
    keys: Key[Array, " B"], images: Float32[Array, "B H W 3"], offsets: Float32[Array, " B"]
) -> Float32[Array, "B H W 3"]:
    """Adds c or -c: ImageNet-C's brightness on grey images, both ways (arXiv:1903.12261)."""
    return images + per_image(offsets * signs(keys))


def contrast(
    keys: Key[Array, " B"], images: Float32[Array, "B H W 3"], factors: Float32[Array, " B"]
) -> Float32[Array, "B H W 3"]:
    """Changes x to m + c (x - m) or m + (x - m) / c, drawn per image; m is each channel's mean.

    ImageNet-C's contrast (Hendrycks & Dietterich 2019, arXiv:1903.12261), both ways.
    """
    mean = jnp.mean(images, axis=(1, 2), keepdims=True)
    return mean + per_image(factors ** signs(keys)) * (images - mean)


def local_contrast(
    keys: Key[Array, " B"], images: Float32[Array, "B H W 3"], shares: Float32[Array, " B"]
) -> Float32[Array, "B H W 3"]:
    """Stretches the contrast of every neighbourhood: a smooth form of CLAHE.

    m + (1 - share + share · g) (x - m) with m and s the local mean and standard deviation of the
    grey levels, and g = 0.25 / s between 1 and 3. The filter of Wallis (1976), limited as in
    CLAHE (Zuiderveld 1994), with a Gaussian neighbourhood of an eighth of the side.
    """
    del keys
    grey = jnp.mean(images, axis=-1)
    rows, columns = (gaussian_matrix(size * _LOCAL_SIGMA, size) for size in grey.shape[1:])
    moments = jnp.stack([grey, jnp.square(grey)])
    mean, square = jnp.einsum("ih,nbhw,jw->nbij", rows, moments, columns, precision="highest")
    deviation = jnp.sqrt(jnp.maximum(square - jnp.square(mean), 1e-6))
    stretch = jnp.clip(_LOCAL_DEVIATION / deviation, 1.0, _LOCAL_LIMIT)
    added = shares[:, None, None] * (stretch - 1) * (grey - mean)
    return images + added[..., None]


def inversion(
    keys: Key[Array, " B"], images: Float32[Array, "B H W 3"], shares: Float32[Array, " B"]
) -> Float32[Array, "B H W 3"]:
    """1 - x for a share of the images: files whose photometric interpretation is MONOCHROME1.

    Each image is inverted or is not (DICOM PS3.3, C.7.6.3.1.2): half-way between an image and its
    negative there is only grey.
    """
    inverted = per_image(uniforms(keys, 1)[:, 0] < shares)
    return jnp.where(inverted, 1 - images, images)
