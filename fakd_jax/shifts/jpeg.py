"""JPEG compression as libjpeg and hence Pillow do it: quantised DCT, 4:2:0 chroma."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Key

_BLOCK = 8
_UNIT = 16  # pixels that one block of chroma covers
_ROUNDING = 1e-4

# ITU-T T.81, tables K.1 and K.2.
_LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float32,
)
_CHROMINANCE = np.array(
    [
        [17, 18, 24, 47, 99, 99, 99, 99],
        [18, 21, 26, 66, 99, 99, 99, 99],
        [24, 26, 56, 99, 99, 99, 99, 99],
        [47, 66, 99, 99, 99, 99, 99, 99],
        [99, 99, 99, 99, 99, 99, 99, 99],
        [99, 99, 99, 99, 99, 99, 99, 99],
        [99, 99, 99, 99, 99, 99, 99, 99],
        [99, 99, 99, 99, 99, 99, 99, 99],
    ],
    np.float32,
)
_TO_YCBCR = np.array(
    [[0.299, 0.587, 0.114], [-0.168735892, -0.331264108, 0.5], [0.5, -0.418687589, -0.081312411]],
    np.float32,
)
_TO_RGB = np.array([[1, 0, 1.402], [1, -0.344136286, -0.714136286], [1, 1.772, 0]], np.float32)


def _dct() -> Float32[np.ndarray, "64 64"]:
    """The orthonormal DCT-II of 8 × 8 blocks as one matrix on their 64 values."""
    k, n = np.arange(_BLOCK)[:, None], np.arange(_BLOCK)[None, :]
    matrix = np.sqrt(2 / _BLOCK) * np.cos(np.pi * (2 * n + 1) * k / (2 * _BLOCK))
    matrix[0] /= np.sqrt(2)
    return np.kron(matrix, matrix).astype(np.float32)


_DCT = _dct()


def jpeg(
    keys: Key[Array, " B"], images: Float32[Array, "B H W 3"], qualities: Float32[Array, " B"]
) -> Float32[Array, "B H W 3"]:
    """Compresses with a quality of 1 to 100 and decodes: MedMNIST-C's and ImageNet-C's JPEG.

    Rounds to whole numbers wherever libjpeg does (8-bit input, Y'CbCr, sub-sampled chroma,
    coefficients, decoded planes); only its integer arithmetic of DCT and colours is not copied.
    """
    del keys
    height, width = images.shape[1:3]
    # libjpeg completes blocks of chroma from pixels on the right, but from chroma below.
    padding = [(0, 0), (0, height % 2), (0, -width % _UNIT), (0, 0)]
    pixels = jnp.pad(jnp.round(images * 255), padding, mode="edge")
    luma, blue, red = (
        jnp.round(sum(pixels[..., i] * float(row[i]) for i in range(3)) + offset)
        for row, offset in zip(_TO_YCBCR, (0.0, 128.0, 128.0), strict=True)
    )
    scale = jnp.where(qualities < 50, jnp.floor(5000 / qualities), 200 - 2 * qualities)
    luma = _quantise(luma, _scaled(_LUMINANCE, scale))
    chroma = _scaled(_CHROMINANCE, scale)
    blue, red = (
        _double(_quantise(_halve(plane), chroma)[:, :, : (width + 1) // 2])[:, :height, :width]
        - 128
        for plane in (blue, red)
    )
    luma = luma[:, :height, :width]
    rgb = luma[..., None] + blue[..., None] * _TO_RGB[:, 1] + red[..., None] * _TO_RGB[:, 2]
    return jnp.clip(jnp.round(rgb), 0, 255) / 255


def _scaled(
    table: Float32[np.ndarray, "8 8"], scale: Float32[Array, " B"]
) -> Float32[Array, "B 1 64"]:
    """The quantisation table of each image, as libjpeg scales it."""
    return jnp.clip(jnp.floor((table.reshape(-1) * scale[:, None] + 50) / 100), 1, 255)[:, None]


def _quantise(
    plane: Float32[Array, "B H W"], table: Float32[Array, "B 1 64"]
) -> Float32[Array, "B H W"]:
    """Rounds the DCT coefficients of 8 × 8 blocks to multiples of the table's entries.

    Incomplete blocks repeat the edge.
    """
    padding = [(0, 0), (0, -plane.shape[1] % _BLOCK), (0, -plane.shape[2] % _BLOCK)]
    padded = jnp.pad(plane, padding, mode="edge")
    batch, height, width = padded.shape
    blocks = padded.reshape(batch, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
    blocks = blocks.swapaxes(2, 3)
    values = blocks.reshape(batch, -1, _BLOCK**2) - 128
    coefficients = jnp.matmul(values, _DCT.T, precision="highest")
    # libjpeg's are whole eighths, whose frequent halves of a step it rounds away from 0.
    steps = jnp.round(coefficients * 8) / (8 * table)
    coefficients = jnp.sign(steps) * jnp.floor(jnp.abs(steps) + (0.5 + _ROUNDING)) * table
    values = jnp.matmul(coefficients, _DCT, precision="highest") + 128
    values = jnp.clip(jnp.round(values), 0, 255).reshape(blocks.shape)
    values = values.swapaxes(2, 3).reshape(padded.shape)
    return values[:, : plane.shape[1], : plane.shape[2]]


def _halve(plane: Float32[Array, "B H W"]) -> Float32[Array, "B H/2 W/2"]:
    """Means of 2 × 2 pixels; halves round down and up in turn, as in libjpeg's h2v2_downsample."""
    rows = plane[:, ::2] + plane[:, 1::2]
    sums = rows[..., ::2] + rows[..., 1::2]
    bias = 1 + jnp.arange(sums.shape[-1]) % 2
    return jnp.floor((sums + bias) / 4)


def _double(plane: Float32[Array, "B H W"]) -> Float32[Array, "B 2*H 2*W"]:
    """Triangle filter, 3/4 and 1/4 along each axis: libjpeg's h2v2_fancy_upsample."""
    batch, height, width = plane.shape
    padded = jnp.pad(plane, [(0, 0), (1, 1), (0, 0)], mode="edge")
    rows = jnp.stack([3 * plane + padded[:, :-2], 3 * plane + padded[:, 2:]], axis=2)
    rows = rows.reshape(batch, 2 * height, width)
    padded = jnp.pad(rows, [(0, 0), (0, 0), (1, 1)], mode="edge")
    # Sixteenths; halves round down at even columns and up at odd ones.
    left = jnp.floor((3 * rows + padded[..., :-2] + 8) / 16)
    right = jnp.floor((3 * rows + padded[..., 2:] + 7) / 16)
    return jnp.stack([left, right], axis=3).reshape(batch, 2 * height, 2 * width)
