"""Shifts of sharpness: coarser matrices, thick slices, filters and resampling on export."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float32, Int32, Key

from fakd_jax.shifts.draws import per_image, uniforms
from fakd_jax.shifts.filters import filter_separably, gaussian_weights, resampling_weights

MAX_FACTOR = 4.0
"""How far :func:`downsampling` and :func:`anisotropic` reach; what needs wider filters is NaN."""

MAX_SIGMA = 2.0
"""How far :func:`blur` reaches, in pixels; what needs a wider filter is NaN."""

_SHARPENING_SIGMA = 1.0  # pixels
_RESAMPLING_RADIUS = 2 * int(MAX_FACTOR) + 1
_BLUR_RADIUS = 4 * int(MAX_SIGMA)


def downsampling(
    keys: Key[Array, " B"], images: Float32[Array, "B H W 3"], factors: Float32[Array, " B"]
) -> Float32[Array, "B H W 3"]:
    """Down by a factor of at most `MAX_FACTOR` and back, bilinear, antialiased as in Pillow.

    MedMNIST-C's pixelation (Di Salvo et al. 2024) with the filter of a scanner's or viewer's
    export instead of boxes.
    """
    del keys
    return _resampled(images, factors, factors)


def anisotropic(
    keys: Key[Array, " B"], images: Float32[Array, "B H W 3"], factors: Float32[Array, " B"]
) -> Float32[Array, "B H W 3"]:
    """:func:`downsampling` along one axis, drawn per image.

    A reformatted volume of thick slices: TorchIO's RandomAnisotropy (Pérez-García et al. 2021).
    """
    along_rows = uniforms(keys, 1)[:, 0] < 0.5
    return _resampled(
        images, jnp.where(along_rows, factors, 1.0), jnp.where(along_rows, 1.0, factors)
    )


def blur(
    keys: Key[Array, " B"], images: Float32[Array, "B H W 3"], sigmas: Float32[Array, " B"]
) -> Float32[Array, "B H W 3"]:
    """Gaussian blur, σ in pixels up to `MAX_SIGMA`: MedMNIST-C's (Di Salvo et al. 2024)."""
    del keys
    weights = gaussian_weights(sigmas, _BLUR_RADIUS)
    return filter_separably(images, weights, weights)


def sharpening(
    keys: Key[Array, " B"], images: Float32[Array, "B H W 3"], weights: Float32[Array, " B"]
) -> Float32[Array, "B H W 3"]:
    """Unsharp masking: x + w (x - blurred x), σ = 1 pixel, as scanners' and viewers' filters."""
    del keys
    sigmas = jnp.full_like(weights, _SHARPENING_SIGMA)
    gaussian = gaussian_weights(sigmas, int(4 * _SHARPENING_SIGMA))
    blurred = filter_separably(images, gaussian, gaussian)
    return images + per_image(weights) * (images - blurred)


def interpolation(
    keys: Key[Array, " B"], images: Float32[Array, "B H W 3"], factors: Float32[Array, " B"]
) -> Float32[Array, "B H W 3"]:
    """Down by a factor and back with nearest neighbours, which alias, instead of bilinear.

    ImageNet-C's pixelate (Hendrycks & Dietterich 2019) with Pillow's NEAREST both ways.
    """
    del keys
    batch, height, width, channels = images.shape
    rows, columns = (_nearest(factors, size) for size in (height, width))
    positions = rows[:, :, None] * width + columns[:, None, :]
    flat = images.reshape(batch, height * width, channels)
    picked = jnp.take_along_axis(flat, positions.reshape(batch, -1, 1), axis=1)
    return picked.reshape(images.shape)


def _resampled(
    images: Float32[Array, "B H W 3"],
    row_factors: Float32[Array, " B"],
    column_factors: Float32[Array, " B"],
) -> Float32[Array, "B H W 3"]:
    height, width = images.shape[1:3]
    return filter_separably(
        images,
        resampling_weights(row_factors, height, _RESAMPLING_RADIUS),
        resampling_weights(column_factors, width, _RESAMPLING_RADIUS),
    )


def _nearest(factors: Float32[Array, " B"], size: int) -> Int32[Array, "B size"]:
    """The input pixel that each pixel shows after both steps."""
    small = jnp.ceil(size / factors - 1e-3)[:, None]
    pixels = jnp.arange(size, dtype=jnp.float32)[None, :] + 0.5
    # Halfway positions go up as in Pillow, whatever float32 makes of them.
    in_small = jnp.minimum(jnp.floor(pixels * small / size + 1e-4), small - 1)
    back = jnp.floor((in_small + 0.5) * size / small + 1e-4)
    return jnp.clip(back, 0, size - 1).astype(jnp.int32)
