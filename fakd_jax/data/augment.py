"""Augmentation on the device: random flips, rotations and shifts of a uint8 batch inside jit.

Whatever moves an image moves the outline of its lesion as well.

The paper's flips and rotations alone map pixels exactly as torchvision's `RandomHorizontalFlip` and
`RandomRotation` do on PIL images.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int, Key, Num, PRNGKeyArray, UInt8

from fakd_jax.data.augment_background import randomise_background
from fakd_jax.data.augment_crops import crop_maps
from fakd_jax.data.augment_infill import infill_some
from fakd_jax.data.augment_shifts import Shifts, problem_with, shift_batch
from fakd_jax.errors import UserError
from fakd_jax.shifts.geometry import affine_maps

# Pillow's affine map from output to input, x = a·column + b·row + c, y = d·column + e·row + f: the
# entries a to f, each [B], floats or fixed-point integers.
_Affine = tuple[Num[Array, " B"], ...]
_INTERPOLATIONS = ("nearest", "bilinear")
# Folded into an image's key; families of shifts fold their number, from 0, into the same key.
_BACKGROUND, _CROP, _INFILL = 1000, 1001, 1002
_FIXED_POINT_BITS = 16  # Pillow's nearest rotation steps in 16.16 fixed point


@dataclass(frozen=True)
class Augmentation:
    """The random transformation of each image; the defaults are the paper's.

    Attributes:
      flip_probability: probability of a left-right flip.
      rotation_degrees: d; the angle is drawn from U(-d, d), counter-clockwise.
      rotation_interpolation: `nearest` (torchvision's default, hence the paper's) or `bilinear`;
        with shifts, crops or another background it is always bilinear.
      shifts: families of `fakd_jax.shifts` with their strongest severities, 0 to 5.
      shift_probability: of each family, per image; its severity is drawn from U(0, strongest).
      lesion_infill: probability, per image whose lesion is outlined, of
        :func:`fakd_jax.data.augment_infill.infill_some`; see :class:`Outlines` for the others.
      lesion_crop: likewise, of :func:`fakd_jax.data.augment_crops.crop_maps`.
      background: probability, per image, of
        :func:`fakd_jax.data.augment_background.randomise_background`.
      mixup_alpha: α of :func:`fakd_jax.data.mixup.mixup`; 0 mixes no images.
    """

    flip_probability: float = 0.5
    rotation_degrees: float = 15.0
    rotation_interpolation: str = "nearest"
    shifts: Shifts = ()
    shift_probability: float = 0.25
    lesion_infill: float = 0.0
    lesion_crop: float = 0.0
    background: float = 0.0
    mixup_alpha: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.flip_probability <= 1:
            raise UserError(f"flip_probability is {self.flip_probability}; give 0 to 1")
        if not 0 <= self.rotation_degrees <= 180:
            raise UserError(f"rotation_degrees is {self.rotation_degrees}; give 0 to 180")
        if self.rotation_interpolation not in _INTERPOLATIONS:
            raise UserError(
                f"unknown rotation_interpolation {self.rotation_interpolation!r}; "
                f"use one of {', '.join(_INTERPOLATIONS)}"
            )
        for name, strongest in self.shifts:
            if problem := problem_with(name, strongest):
                raise UserError(f"shifts: {name}={strongest} {problem}")
        for name in ("shift_probability", "lesion_infill", "lesion_crop", "background"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} is {getattr(self, name)}; give 0 to 1")
        if not 0 <= self.mixup_alpha < math.inf:
            raise UserError(f"mixup_alpha is {self.mixup_alpha}; give 0 or a positive number")

    @property
    def uses_lesions(self) -> bool:
        """Whether it depends on where the lesion is."""
        return self.needs_lesions or self.background > 0

    @property
    def needs_lesions(self) -> bool:
        """Whether it does nothing where no lesion is known."""
        return self.lesion_infill > 0 or self.lesion_crop > 0


class Outlines(NamedTuple):
    """Where the lesions of a batch are.

    Attributes:
      masks: 255 on the lesion; 0 where none is outlined.
      chances: of infill and crops, relative to an image whose lesion is outlined; 0 where it is not
        known where the lesion is.
    """

    masks: UInt8[Array, "B H W"]
    chances: Float32[Array, " B"]


class Augmented(NamedTuple):
    """A batch after augmentation.

    Attributes:
      images: black outside the rotated images.
      lesions: the masks, moved as the images are; None without outlines.
      refuted: whether the lesion was taken away, so that the label is no longer right; None without
        infill.
    """

    images: UInt8[Array, "B H W 3"]
    lesions: UInt8[Array, "B H W"] | None = None
    refuted: Bool[Array, " B"] | None = None


def augment_batch(
    key: PRNGKeyArray,
    images: UInt8[Array | np.ndarray, "B H W 3"],
    augmentation: Augmentation,
) -> UInt8[Array, "B H W 3"]:
    """Flips, rotates and shifts each image of a batch at random, as of :func:`augment_outlined`."""
    return augment_outlined(key, images, None, augmentation).images


def augment_outlined(
    key: PRNGKeyArray,
    images: UInt8[Array | np.ndarray, "B H W 3"],
    outlines: Outlines | None,
    augmentation: Augmentation,
) -> Augmented:
    """Flips, rotates and shifts each image of a batch at random.

    Before that come, where they are on, infill, another background and a crop around the lesion.

    Args:
      key: JAX random key; the same key gives the same batch.
      images: the batch.
      outlines: of their lesions; None if none is known, and then nothing is done that needs them.
      augmentation: probabilities and ranges; static under jit.
    """
    flip_key, angle_key = jax.random.split(key)
    batch, limit = images.shape[0], augmentation.rotation_degrees
    flips = jax.random.bernoulli(flip_key, float(augmentation.flip_probability), (batch,))
    angles = jax.random.uniform(angle_key, (batch,), minval=-limit, maxval=limit)
    shifts = tuple((name, strongest) for name, strongest in augmentation.shifts if strongest > 0)
    images = jnp.asarray(images)
    if not (shifts or augmentation.uses_lesions):
        masks = [] if outlines is None else [outlines.masks[..., None]]
        pictures = jnp.concatenate([images, *masks], axis=-1)
        interpolation = augmentation.rotation_interpolation
        pictures = flip_and_rotate(pictures, flips, angles, interpolation=interpolation)
        return Augmented(pictures[..., :3], pictures[..., 3] if masks else None)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(jax.random.fold_in(key, 2), jnp.arange(batch))

    def own(number: int) -> Key[Array, " B"]:
        return jax.vmap(jax.random.fold_in, (0, None))(keys, number)

    pictures = images.astype(jnp.float32) / 255
    maps = _flip_then_rotate(flips, angles)
    lesions, refuted = None, None
    if outlines is not None:
        lesions = outlines.masks[..., None].astype(jnp.float32) / 255
        if augmentation.lesion_infill:
            probabilities = augmentation.lesion_infill * outlines.chances
            pictures, refuted = infill_some(own(_INFILL), pictures, lesions, probabilities)
        if augmentation.lesion_crop:
            probabilities = augmentation.lesion_crop * outlines.chances
            crops = crop_maps(own(_CROP), lesions[..., 0], probabilities)
            maps = jnp.matmul(crops, maps, precision="highest")
    if augmentation.background:
        pictures = randomise_background(
            own(_BACKGROUND), pictures, lesions, augmentation.background
        )
    probability = augmentation.shift_probability
    pictures, lesions = shift_batch(keys, pictures, lesions, maps, shifts, probability)
    return Augmented(
        _as_uint8(pictures), None if lesions is None else _as_uint8(lesions[..., 0]), refuted
    )


def _as_uint8(values: Float[Array, "B ..."]) -> UInt8[Array, "B ..."]:
    return jnp.rint(255 * values).astype(jnp.uint8)


def _flip_then_rotate(
    flips: Bool[Array, " B"], angles: Float[Array, " B"]
) -> Float[Array, "B 3 3"]:
    """The map of :func:`flip_and_rotate`, for :func:`fakd_jax.shifts.geometry.warp`."""
    radians, mirror = angles * (math.pi / 180), jnp.where(flips, -1.0, 1.0)
    cos, sin = jnp.cos(radians), jnp.sin(radians)
    return affine_maps([[mirror * cos, -mirror * sin, None], [sin, cos, None]])


def flip_and_rotate(
    images: UInt8[Array | np.ndarray, "B H W C"],
    flips: Bool[Array | np.ndarray, " B"],
    angles: Float[Array | np.ndarray, " B"],
    *,
    interpolation: str = "nearest",
) -> UInt8[Array, "B H W C"]:
    """Flips left-right where `flips`, then rotates about the centre and fills with black.

    Every output pixel looks up its position in the input, which a flip only mirrors, so both cost
    one gather. The positions are those of PIL's `Image.rotate(angle, expand=False)`: `nearest` in
    its fixed-point steps (pixels differ only where float32 rounds a step differently), `bilinear`
    with its edge rule (no blending with the black outside).

    Args:
      images: H and W below 32,768.
      flips: per image.
      angles: degrees counter-clockwise.
      interpolation: `nearest` or `bilinear`.
    """
    if interpolation not in _INTERPOLATIONS:
        raise ValueError(f"interpolation {interpolation!r} is not one of {_INTERPOLATIONS}")
    images, flips = jnp.asarray(images), jnp.asarray(flips)
    radians = -jnp.asarray(angles, jnp.float32) * (math.pi / 180)
    rotate = _rotate_nearest if interpolation == "nearest" else _rotate_bilinear
    return rotate(images, flips, _rotation(radians, *images.shape[1:3]))


def _rotate_nearest(
    images: UInt8[Array, "B H W C"], flips: Bool[Array, " B"], rotation: _Affine
) -> UInt8[Array, "B H W C"]:
    """Pillow's `affine_fixed`: positions in 16.16 fixed point, reproduced in int32."""
    fixed_point = (jnp.floor(entry * 2**_FIXED_POINT_BITS + 0.5) for entry in rotation)
    positions = _positions(tuple(entry.astype(jnp.int32) for entry in fixed_point), images)
    x, y = (position >> _FIXED_POINT_BITS for position in positions)
    pixels = _look_up(images, flips, x, y)
    return jnp.where(_inside(x, y, images), pixels, jnp.uint8(0))


def _rotate_bilinear(
    images: UInt8[Array, "B H W C"], flips: Bool[Array, " B"], rotation: _Affine
) -> UInt8[Array, "B H W C"]:
    """Pillow's `bilinear_filter`: neighbours outside repeat the edge; fractions are truncated."""
    x, y = _positions(rotation, images)
    inside = _inside(x, y, images)
    x, y = x - 0.5, y - 0.5  # from positions to pixel centres
    left, top = jnp.floor(x).astype(jnp.int32), jnp.floor(y).astype(jnp.int32)
    right_share, bottom_share = (x - left)[..., None], (y - top)[..., None]

    def row(line: Int[Array, "B H W"]) -> Float[Array, "B H W C"]:
        first = _look_up(images, flips, left, line).astype(jnp.float32)
        second = _look_up(images, flips, left + 1, line).astype(jnp.float32)
        return first + (second - first) * right_share

    upper = row(top)
    blended = upper + (row(top + 1) - upper) * bottom_share
    return jnp.where(inside, blended, 0).astype(jnp.uint8)


def _rotation(radians: Float[Array, " B"], height: int, width: int) -> _Affine:
    """Maps output pixels to positions in the input, rotated about the image's centre."""
    cos, sin = jnp.cos(radians), jnp.sin(radians)
    # (c, f) is the position of the centre of the first output pixel.
    dx, dy = 0.5 - width / 2, 0.5 - height / 2
    c, f = width / 2 + cos * dx + sin * dy, height / 2 - sin * dx + cos * dy
    return cos, sin, c, -sin, cos, f


def _positions(
    affine: _Affine, images: UInt8[Array, "B H W C"]
) -> tuple[Num[Array, "B H W"], Num[Array, "B H W"]]:
    """The positions (x, y) of all output pixels, in the arithmetic of the map's entries."""
    columns = jnp.arange(images.shape[2])[None, None, :]
    rows = jnp.arange(images.shape[1])[None, :, None]
    a, b, c, d, e, f = (entry[:, None, None] for entry in affine)
    return c + a * columns + b * rows, f + d * columns + e * rows


def _inside(
    x: Num[Array, "B H W"], y: Num[Array, "B H W"], images: UInt8[Array, "B H W C"]
) -> Bool[Array, "B H W 1"]:
    height, width = images.shape[1:3]
    return ((x >= 0) & (x < width) & (y >= 0) & (y < height))[..., None]


def _look_up(
    images: UInt8[Array, "B H W C"],
    flips: Bool[Array, " B"],
    x: Int[Array, "B H W"],
    y: Int[Array, "B H W"],
) -> UInt8[Array, "B H W C"]:
    """Pixels (x, y) of the flipped images; positions outside take the nearest edge pixel."""
    batch, height, width, channels = images.shape
    x, y = jnp.clip(x, 0, width - 1), jnp.clip(y, 0, height - 1)
    x = jnp.where(flips[:, None, None], width - 1 - x, x)
    positions = (y * width + x).reshape(batch, -1, 1)
    flat = images.reshape(batch, -1, channels)
    return jnp.take_along_axis(flat, positions, axis=1).reshape(images.shape)
