"""The one preprocessing: bytes to RGB, RGB to a square, a square to the networks' input.

Training, evaluation, explanation and export all use it, and its settings are stored with every
checkpoint as :class:`Preprocessing`.
"""

from __future__ import annotations

import functools
import io
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Shaped, UInt8

from fakd_jax.data.intensity import RULES, find_landmarks, to_fixed_levels
from fakd_jax.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 64_000_000
"""Larger images are refused before decoding: 8,000 × 8,000 is not a slice of an MRI."""

MAX_SIDE = 8_000
"""Of the square that images are resized to."""

MIN_SIDE = 8
"""Images with a shorter side are refused: they show nothing of a head."""

_SIXTEEN_TO_EIGHT_BITS = 257  # 65,535 / 255


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes a network's input; the defaults are the paper's.

    Attributes:
      image_size: side of the square that images are resized to, in pixels.
      mean: subtracted from each channel after scaling to [0, 1].
      std: each channel is divided by it after that.
      interpolation: `bilinear`, antialiased as in PIL; there is no other.
      intensity: `none`, or `head_percentiles` of :mod:`fakd_jax.data.intensity`.
    """

    image_size: int = 224
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    interpolation: str = "bilinear"
    intensity: str = "none"

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
        """The settings as JSON-able values, for :meth:`from_dict`."""
        values = asdict(self)
        return values | {"mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Reads the output of :meth:`to_dict`.

        Raises:
          UserError: unknown or missing settings.
        """
        try:
            mean, std = tuple(values["mean"]), tuple(values["std"])
            return cls(**{**values, "mean": mean, "std": std})
        except (KeyError, TypeError) as error:
            raise UserError(
                f"preprocessing settings {dict(values)} are not of this version: {error}"
            ) from error


@functools.cache
def _pillow() -> ModuleType:
    """Pillow's Image module, its warnings turned into errors or silenced.

    The filters are set once: images are decoded in many threads, and `warnings.catch_warnings` is
    not thread-safe.
    """
    from PIL import Image

    warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    return Image


def decode_rgb(source: Path | bytes, name: str) -> UInt8[np.ndarray, "H W 3"]:
    """Decodes an image file to 8-bit RGB, writable.

    EXIF orientation is applied; transparency is composited on black, the background of MRI;
    16-bit grey levels are divided by 257, so that the full range maps onto the full range;
    palette, black-and-white, CMYK and the like are converted by Pillow. Of several frames the
    first is used.

    Args:
      source: the file, or its content.
      name: the image's name in errors.

    Raises:
      UserError: the file is missing, broken, not an image, or has more than `MAX_PIXELS` pixels or
        a side shorter than `MIN_SIDE`.
    """
    with opened_image(source, name) as image:
        return _to_rgb(image, name)


@contextmanager
def opened_image(source: Path | bytes, name: str) -> Iterator[Image.Image]:
    """Opens an image file; whatever is wrong with it, then or in decoding, is a `UserError`.

    Args:
      source: the file, or its content.
      name: the image's name in errors.

    Raises:
      UserError: as :func:`decode_rgb`.
    """
    Image = _pillow()
    try:
        with Image.open(source if isinstance(source, Path) else io.BytesIO(source)) as image:
            _check_size(image.size, name)
            yield image
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{name}: there is no such image file") from error
    except Image.UnidentifiedImageError as error:
        raise UserError(f"{name}: not an image file of a known format") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise UserError(f"{name}: more than {MAX_PIXELS:,} pixels; scale it down") from error
    except Exception as error:  # a broken file makes Pillow's decoders raise nearly anything
        reason = " ".join(str(error).split())
        raise UserError(f"{name}: broken image file ({reason}); replace or remove it") from error


def _check_size(size: tuple[int, int], name: str) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise UserError(
            f"{name}: {width} × {height} is more than {MAX_PIXELS:,} pixels; scale it down"
        )
    if min(size) < MIN_SIDE:
        raise UserError(
            f"{name}: {width} × {height} pixels is too small; each side needs {MIN_SIDE} or more"
        )


def _to_rgb(image: Image.Image, name: str) -> UInt8[np.ndarray, "H W 3"]:
    from PIL import ImageOps

    Image = _pillow()
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise UserError(f"{name}: floating-point pixels have no known range; save it as 8 bits")
    if image.mode == "I" or image.mode.startswith("I;16"):
        return np.repeat(_eight_bits(np.asarray(image), name)[..., None], 3, axis=-1)
    if "transparency" in image.info or image.mode in ("RGBA", "RGBa", "LA", "La", "PA"):
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image)
    return np.array(image.convert("RGB"))


def _eight_bits(pixels: Shaped[np.ndarray, "H W"], name: str) -> UInt8[np.ndarray, "H W"]:
    pixels = pixels.astype(np.int64)
    if pixels.min() < 0 or pixels.max() > 65_535:
        raise UserError(
            f"{name}: grey levels {pixels.min()} to {pixels.max()} do not fit 16 bits; "
            "save it as 8 or 16 bits"
        )
    half = _SIXTEEN_TO_EIGHT_BITS // 2
    return ((pixels + half) // _SIXTEEN_TO_EIGHT_BITS).astype(np.uint8)


def resize(image: UInt8[np.ndarray, "H W 3"], size: int) -> UInt8[np.ndarray, "S S 3"]:
    """Resizes to a square of side `size`, as torchvision's `Resize((size, size))` on PIL images.

    Bilinear with antialiasing; as in the paper, the aspect ratio is not kept. An image that has
    that size already is returned itself.
    """
    if image.shape[:2] == (size, size):
        return image
    Image = _pillow()
    resized = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)
    return np.array(resized)


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
