"""Files that Pillow reads: JPEG, PNG, TIFF, BMP, GIF, WebP and, with its extra, HEIC."""

from __future__ import annotations

import functools
import io
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Shaped, UInt8, UInt16

from fakd_jax.data.pixels.frame import Frame
from fakd_jax.data.pixels.limits import MAX_PIXELS, MAX_VOXELS, require_frames, require_size
from fakd_jax.errors import UserError
from fakd_jax.runtime.extras import import_extra

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFile import ImageFile

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp"}
)
HEIC_SUFFIXES = frozenset({".heic", ".heif"})

_SEVERAL_IMAGES = ("TIFF", "MPO")  # formats whose files hold images, not the steps of an animation
_EXIF_ORIENTATION = 0x0112
_NEW_SUBFILE_TYPE, _BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 254, 258, 262, 339
_REDUCED_OR_MASK = 0b101  # bits of a TIFF page's subfile type
_UNSIGNED, _SIGNED = 1, 2
_WHITE_IS_ZERO = 0


@functools.cache
def pillow() -> ModuleType:
    """Pillow's Image module, its warnings turned into errors or silenced.

    The filters are set once: images are decoded in many threads, and `warnings.catch_warnings` is
    not thread-safe.
    """
    from PIL import Image

    warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    return Image


def decode_rgb(source: Path | bytes, name: str) -> UInt8[np.ndarray, "H W 3"]:
    """Decodes a picture of 8 bits per channel, such as records hold, to RGB; writable.

    EXIF orientation is applied; transparency is composited on black, the background of MRI;
    palette, black-and-white, CMYK and the like are converted by Pillow. Files of any kind are for
    :func:`fakd_jax.data.pixels.frames.read_picture`.

    Args:
      source: the file, or its content.
      name: the image's name in errors.

    Raises:
      UserError: the file is missing, broken, not an image, or has more than `MAX_PIXELS` pixels, a
        side shorter than `MIN_SIDE`, or grey levels of more than 8 bits.
    """
    with opened_image(source, name) as image:
        if _is_deep_grey(image):
            raise UserError(f"{name}: {image.mode} pixels have more than 8 bits; save it as 8 bits")
        return _to_rgb(image)


@contextmanager
def opened_image(source: Path | bytes, name: str) -> Iterator[Image.Image]:
    """Opens an image file; whatever is wrong with it, then or in decoding, is a `UserError`.

    Args:
      source: the file, or its content.
      name: the image's name in errors.

    Raises:
      UserError: as :func:`decode_rgb`.
    """
    with _reported(name), _open(source) as image:
        require_size(image.size, name)
        yield image


def _open(source: Path | bytes) -> ImageFile:
    image: ImageFile = pillow().open(source if isinstance(source, Path) else io.BytesIO(source))
    # Pillow maps the pixels of a named file into memory if they are stored as they are, and reads
    # those of a TIFF that lies on its side (orientation 5 to 8) with width and height exchanged.
    image.filename = ""
    return image


@contextmanager
def _reported(name: str) -> Iterator[None]:
    Image = pillow()
    try:
        yield
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


class RasterFile:
    """A file that Pillow reads; of a TIFF, every page that is an image of its own.

    Args:
      source: the file, or its content.
      name: its name in errors.

    Raises:
      UserError: as :func:`decode_rgb`; an animation; HEIC without the extra.
    """

    def __init__(self, source: Path | bytes, name: str) -> None:
        if isinstance(source, Path) and source.suffix.lower() in HEIC_SUFFIXES:
            _register_heic(name)
        self._source, self._name = source, name
        self._decoded: int | None = None
        with _reported(name):
            self._image = _open(source)
        try:
            with _reported(name):
                require_size(self._image.size, name)
                self._pages = _pages(self._image, name)
        except UserError:
            self.close()
            raise

    def __len__(self) -> int:
        return len(self._pages)

    def close(self) -> None:
        """Releases the file."""
        self._image.close()

    def read(self, index: int) -> Frame:
        """Decodes an image; see :class:`fakd_jax.data.pixels.frame.PixelFile`."""
        page = self._pages[index]
        with _reported(self._name):
            if page == self._decoded:  # Pillow forgets how a page is stored once it is decoded
                self._image.close()
                self._image = _open(self._source)
            self._decoded, image = page, self._image
            image.seek(page)
            require_size(image.size, self._name)
            if _has_deep_colours(image):
                with _open(self._source) as again:
                    again.seek(page)
                    return _deep_colours(image, again, self._name)
            if _is_deep_grey(image):
                return _deep_grey(image)
            mode, reason = image.mode, _reason_to_reencode(image)
            return Frame(_to_rgb(image), mode, reason)


def _register_heic(name: str) -> None:
    import_extra("pillow_heif", "heic", f"{name}: reading HEIC").register_heif_opener()


def _pages(image: ImageFile, name: str) -> list[int]:
    """The numbers of the pages that are images: not the thumbnails and masks of a TIFF."""
    number = getattr(image, "n_frames", 1)
    if number == 1 or image.format == "MPO":  # a photo, with previews of itself
        return [0]
    if image.format not in _SEVERAL_IMAGES:
        raise UserError(
            f"{name}: an animation of {number} frames; save those that are images as files"
        )
    require_frames(number, name)
    pages, pixels = [], 0
    for page in range(number):
        image.seek(page)
        if not _tags(image).get(_NEW_SUBFILE_TYPE, 0) & _REDUCED_OR_MASK:
            pages.append(page)
            pixels += image.width * image.height
    if pixels > MAX_VOXELS:
        raise UserError(f"{name}: its pages hold more than {MAX_VOXELS:,} pixels; split it")
    return pages or [0]


def _tags(image: Image.Image) -> Mapping[int, Any]:
    """The tags of a TIFF's page; none of another format."""
    tags: Mapping[int, Any] = getattr(image, "tag_v2", {})
    return tags


def _reason_to_reencode(image: Image.Image) -> str:
    """Why records cannot hold the file's bytes; "" if they can.

    They contain what every reader decodes to the same pixels: 8-bit grey or RGB, JPEG or PNG,
    upright and opaque.
    """
    if image.format not in ("JPEG", "PNG"):
        return f"format {image.format}"
    if image.mode not in ("RGB", "L"):
        return f"mode {image.mode}"
    if "transparency" in image.info:
        return "transparent colour"
    if image.getexif().get(_EXIF_ORIENTATION, 1) != 1:
        return "EXIF orientation"
    return ""


def _upright(image: Image.Image) -> Image.Image:
    from PIL import ImageOps

    return ImageOps.exif_transpose(image)


def _to_rgb(image: Image.Image) -> UInt8[np.ndarray, "H W 3"]:
    Image = pillow()
    image = _upright(image)
    if "transparency" in image.info or image.mode in ("RGBA", "RGBa", "LA", "La", "PA"):
        image = image.convert("RGBA")
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, image)
    return np.array(image.convert("RGB"))


def _is_deep_grey(image: Image.Image) -> bool:
    """Whether grey levels are not those from 0 to 255."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16") or _has_signed_bytes(image)


def _has_signed_bytes(image: Image.Image) -> bool:
    """Whether grey levels are from -128 to 127, which Pillow reads as unsigned."""
    tags = _tags(image)
    signed = tags.get(_SAMPLE_FORMAT) == (_SIGNED,) and tags.get(_BITS_PER_SAMPLE) == (8,)
    return signed and image.mode == "L"


def _deep_grey(image: Image.Image) -> Frame:
    tags = _tags(image)
    levels = np.array(_upright(image))
    if _has_signed_bytes(image):
        levels = levels.view(np.int8).astype(np.int16)
    unsigned = tags.get(_SAMPLE_FORMAT, (_UNSIGNED,)) == (_UNSIGNED,)
    if image.mode == "I" and tags.get(_BITS_PER_SAMPLE) == (32,) and unsigned:
        levels = levels.view(np.uint32)  # Pillow reads them as signed
    if not np.isfinite(levels).all():
        raise UserError("it holds grey levels that are not finite")
    # Pillow turns pictures of 8 bits around, but not deeper ones.
    inverted = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    return Frame(levels, image.mode, _deep_reason(image), inverted=inverted)


def _deep_reason(image: Image.Image) -> str:
    return _reason_to_reencode(image) or "16 bits per channel"


def _has_deep_colours(image: ImageFile) -> bool:
    """Whether a colour image has 16 bits per channel, of which Pillow keeps the higher 8."""
    if _is_deep_grey(image):
        return False
    bits = _tags(image).get(_BITS_PER_SAMPLE, ())
    return max(bits, default=8) > 8 or any(";16" in _raw_mode(tile.args) for tile in image.tile)


def _raw_mode(arguments: object) -> str:
    """How a decoder unpacks the pixels, from the arguments that Pillow gives it."""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


def _deep_colours(image: ImageFile, again: ImageFile, name: str) -> Frame:
    """Decodes 16 bits per channel: Pillow's higher bytes, and the lower ones from a second time.

    Pillow unpacks one byte of the two; of the other byte order, that is the lower one.

    Args:
      image: at the right page.
      again: the same, opened a second time.
      name: the image's name in errors.
    """
    raw = _raw_mode(again.tile[0].args) if again.tile else ""
    mode, reason = raw or image.mode, _deep_reason(image)
    if raw == "LA;16B":  # four bytes: grey and alpha, the higher one of each first
        again.tile = [tile._replace(args="RGBA") for tile in again.tile]
        grey, grey_low, alpha, alpha_low = np.moveaxis(_bytes_of(again), -1, 0)
        levels = _joined(grey, grey_low)
        return Frame(_over_black(levels, _joined(alpha, alpha_low)), mode, reason)
    bands, _, order = raw.partition(";16")
    if bands not in ("RGB", "RGBX", "RGBA") or order not in ("B", "L", "N"):
        raise UserError(
            f"{name}: {raw or image.mode} pixels of 16 bits per channel are not read; save it as "
            "16-bit grey or interleaved RGB"
        )
    little = order == "L" or (order == "N" and sys.byteorder == "little")
    other = f"{bands};16{'B' if little else 'L'}"
    again.tile = [tile._replace(args=_with_raw_mode(tile.args, other)) for tile in again.tile]
    levels = _joined(_bytes_of(image), _bytes_of(again))
    if bands == "RGBA":
        levels = _over_black(levels[..., :3], levels[..., 3:])
    return Frame(levels[..., :3], mode, reason)


def _with_raw_mode(arguments: object, raw: str) -> tuple[Any, ...] | str:
    return (raw, *arguments[1:]) if isinstance(arguments, tuple) else raw


def _bytes_of(image: Image.Image) -> UInt8[np.ndarray, "H W C"]:
    return np.array(_upright(image))


def _joined(
    high: UInt8[np.ndarray, "H W *C"], low: UInt8[np.ndarray, "H W *C"]
) -> UInt16[np.ndarray, "H W *C"]:
    return high.astype(np.uint16) << 8 | low


def _over_black(
    levels: Shaped[np.ndarray, "H W *C"], alpha: Shaped[np.ndarray, "H W *A"]
) -> UInt16[np.ndarray, "H W *C"]:
    return np.rint(levels * (alpha / 65_535)).astype(np.uint16)
