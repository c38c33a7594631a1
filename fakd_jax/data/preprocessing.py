"""The one preprocessing: RGB to a square, a square to the networks' input.

Training, evaluation, explanation and export all use it, and its settings are stored with every
checkpoint as :class:`Preprocessing`. Files become RGB in :mod:`fakd_jax.data.pixels`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, UInt8

from fakd_jax.data.intensity import RULES, find_landmarks, to_fixed_levels
from fakd_jax.data.pixels.window import DEFAULT_RULES, PixelRules
from fakd_jax.data.resizing import resize as resize  # part of the one preprocessing
from fakd_jax.errors import UserError

MAX_SIDE = 8_000
"""Of the square that images are resized to."""


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes a network's input; the defaults are the paper's.

    Attributes:
      image_size: side of the square that images are resized to, in pixels.
      mean: subtracted from each channel after scaling to [0, 1].
      std: each channel is divided by it after that.
      interpolation: `bilinear`, antialiased as in PIL; there is no other.
      intensity: `none`, or `head_percentiles` of :mod:`fakd_jax.data.intensity`.
      pixels: how files that are not pictures of 8 bits became such.
    """

    image_size: int = 224
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    interpolation: str = "bilinear"
    intensity: str = "none"
    pixels: PixelRules = DEFAULT_RULES

    def __post_init__(self) -> None:
        if not 1 <= self.image_size <= MAX_SIDE:
            raise UserError(f"image_size is {self.image_size}; give 1 to {MAX_SIDE:,} pixels")
        finite = all(map(math.isfinite, (*self.mean, *self.std)))
        if len(self.mean) != 3 or len(self.std) != 3 or not finite or min(self.std) <= 0:
            raise UserError(
                f"mean {self.mean} and std {self.std} must be three numbers each, std positive"
            )
        if self.interpolation != "bilinear":
            raise UserError(f"unknown interpolation {self.interpolation!r}; use 'bilinear'")
        if self.intensity not in RULES:
            raise UserError(f"unknown intensity {self.intensity!r}; use one of {', '.join(RULES)}")

    def inputs(
        self,
        images: UInt8[Array | np.ndarray, "B S S 3"],
        like: UInt8[Array | np.ndarray, "S S 3"] | None = None,
    ) -> Float32[Array, "B S S 3"]:
        """The networks' inputs: grey levels standardised by the rule, then :func:`normalise`.

        Args:
          images: at the networks' input size.
          like: the image that they are perturbed versions of, whose landmarks are used; None for
            each image's own. Then a segment that is hidden changes nothing elsewhere, and a
            bright one does not take its share of the contrast with it.

        Raises:
          TypeError: `images` are not uint8.
        """
        if self.intensity == "none":
            return jnp.asarray(normalise(images, self.mean, self.std))
        _require_uint8(images)
        return self.inputs_of_grey_levels(jnp.asarray(images).astype(jnp.float32), like)

    def inputs_of_grey_levels(
        self,
        grey_levels: Float32[Array, "B S S 3"],
        like: UInt8[Array | np.ndarray, "S S 3"] | None = None,
    ) -> Float32[Array, "B S S 3"]:
        """:meth:`inputs` for derivatives and for points between two images.

        Landmarks are constants to a derivative: they depend on few pixels, and in steps.

        Args:
          grey_levels: 0 to 255, not necessarily integers; rounded to find landmarks in them.
          like: as in :meth:`inputs`.
        """
        if self.intensity != "none":
            shown = jax.lax.stop_gradient(jnp.rint(grey_levels)).astype(jnp.uint8)
            landmarks = find_landmarks(shown if like is None else jnp.asarray(like)[None])
            grey_levels = to_fixed_levels(grey_levels, landmarks)
        return jnp.asarray(standardise(grey_levels, self.mean, self.std))

    def agrees_with(self, other: Preprocessing) -> bool:
        """Whether two networks may get the same inputs.

        They may if one knows no images of more than 8 bits and hence no window for them.
        """
        if None in (self.pixels.window, other.pixels.window):
            same_window = replace(other.pixels, window=self.pixels.window)
            other = replace(other, pixels=same_window)
        return self == other

    def renormalised(
        self, inputs: Float32[Array, "B S S 3"], other: Preprocessing
    ) -> Float32[Array, "B S S 3"]:
        """The inputs of a network of other normalisation, from those of this one.

        Args:
          inputs: as of :meth:`inputs`, perhaps mixed with each other: both are affine.
          other: differs in `mean` and `std` alone.
        """
        std = np.array(other.std)
        scale = np.array(self.std) / std
        offset = (np.array(self.mean) - np.array(other.mean)) / std
        return inputs * scale.astype(np.float32) + offset.astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """The settings as JSON-able values, for :meth:`from_dict`; without default pixel rules."""
        values = asdict(self) | {"mean": list(self.mean), "std": list(self.std)}
        if self.pixels == DEFAULT_RULES:
            del values["pixels"]
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Reads the output of :meth:`to_dict`.

        Raises:
          UserError: unknown or missing settings.
        """
        try:
            mean, std = tuple(values["mean"]), tuple(values["std"])
            stored = values.get("pixels")
            pixels = DEFAULT_RULES if stored is None else PixelRules.from_dict(stored)
            return cls(**{**values, "mean": mean, "std": std, "pixels": pixels})
        except (KeyError, TypeError) as error:
            raise UserError(
                f"preprocessing settings {dict(values)} are not of this version: {error}"
            ) from error


def normalise(
    images: UInt8[Array | np.ndarray, "*B H W 3"], mean: Sequence[float], std: Sequence[float]
) -> Float32[Array | np.ndarray, "*B H W 3"]:
    """`(images / 255 - mean) / std`: torchvision's `ToTensor` and `Normalize`, channels last.

    Args:
      images: uint8 `[..., H, W, 3]`, 0 to 255; a NumPy or a JAX array.
      mean: of each channel, on the scale of 0 to 1.
      std: likewise.

    Returns:
      float32 of the same shape; NumPy for NumPy, JAX for JAX.

    Raises:
      TypeError: `images` are not uint8: floats would be scaled twice.
    """
    _require_uint8(images)
    return standardise(images.astype(np.float32), mean, std)


def _require_uint8(images: Array | np.ndarray) -> None:
    if images.dtype != np.uint8:
        raise TypeError(f"images must be uint8, 0 to 255; these are {images.dtype}")


def standardise(
    grey_levels: Float32[Array | np.ndarray, "*B H W 3"],
    mean: Sequence[float],
    std: Sequence[float],
) -> Float32[Array | np.ndarray, "*B H W 3"]:
    """The affine map of :func:`normalise`, for derivatives and for points between two images.

    Args:
      grey_levels: float32 `[..., H, W, 3]`, 0 to 255, not necessarily integers; a NumPy or a JAX
        array.
      mean: of each channel, on the scale of 0 to 1.
      std: likewise.

    Returns:
      float32 of the same shape; NumPy for NumPy, JAX for JAX.
    """
    xnp: Any = np if isinstance(grey_levels, np.ndarray) else jnp
    scaled = grey_levels / xnp.float32(255)
    return (scaled - xnp.asarray(mean, xnp.float32)) / xnp.asarray(std, xnp.float32)
