"""Hiding superpixels: what is put in their place, and images with some of them hidden."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float32, Int32, UInt8

from fakd_jax.explanation.network import (
    HiddenPredictFunction,
    MaskedPredictFunction,
    PredictFunction,
)


def mean_colours(
    image: UInt8[np.ndarray, "H W 3"], segments: Int32[np.ndarray, "H W"]
) -> UInt8[np.ndarray, "H W 3"]:
    """The image with every superpixel in its mean colour, cut to whole numbers as lime does.

    Args:
      image: uint8 ``[H, W, 3]``.
      segments: label map ``[H, W]``, numbered from 0 without gaps.
    """
    labels = segments.ravel()
    counts = np.bincount(labels)
    channels = [np.bincount(labels, weights=values.ravel()) for values in np.moveaxis(image, -1, 0)]
    colours = np.stack([sums / counts for sums in channels], axis=-1).astype(np.uint8)
    return colours[segments]


def hide(
    image: UInt8[np.ndarray, "H W 3"],
    replacement: UInt8[np.ndarray, "H W 3"],
    segments: Int32[np.ndarray, "H W"],
    shown: Bool[np.ndarray, "N S"],
) -> UInt8[np.ndarray, "N H W 3"]:
    """Copies of an image, each with its own choice of superpixels replaced.

    Args:
      image: uint8 ``[H, W, 3]``.
      replacement: what is seen where a superpixel is hidden, ``[H, W, 3]``.
      segments: label map ``[H, W]`` with values below S.
      shown: for each copy, which of the S superpixels are as they were.
    """
    return np.where(shown[:, segments][..., None], image, replacement)


def hiding_on_host(predict_proba: PredictFunction) -> HiddenPredictFunction:
    """Gives a network that can only predict images the second way to be asked.

    The images are made here, in host memory; :meth:`fakd_jax.Predictor.predict_hidden` makes
    them on the device.
    """

    def predict_hidden(
        image: UInt8[np.ndarray, "H W 3"],
        replacement: UInt8[np.ndarray, "H W 3"],
        segments: Int32[np.ndarray, "H W"],
        shown: Bool[np.ndarray, "N S"],
    ) -> np.ndarray:
        return predict_proba(hide(image, replacement, segments, shown))

    return predict_hidden


def masking_on_host(predict_proba: PredictFunction) -> MaskedPredictFunction:
    """Gives a network that can only predict images the third way to be asked."""

    def predict_masked(
        image: UInt8[np.ndarray, "H W 3"],
        replacement: UInt8[np.ndarray, "H W 3"],
        opacity: Float32[np.ndarray, "N H W"],
    ) -> np.ndarray:
        own, other = image.astype(np.float32), replacement.astype(np.float32)
        blended = other + opacity[..., None] * (own - other)
        return predict_proba(np.rint(blended).astype(np.uint8))

    return predict_masked
