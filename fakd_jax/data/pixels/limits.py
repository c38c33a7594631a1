"""What no image may exceed, and how a file that fails is reported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fakd_jax.errors import UserError

MAX_PIXELS = 64_000_000
"""Larger images are refused before decoding: 8,000 × 8,000 is not a slice of an MRI."""

MIN_SIDE = 8
"""Images with a shorter side are refused: they show nothing of a head."""

MAX_FRAMES = 5_000
"""Files of more images are refused."""

MAX_FILE_BYTES = 256 * 2**20
"""Larger files are not read."""

MAX_VOXELS = 2**27
"""Larger volumes, or pages in a file, are refused before they are unpacked: 512 × 512 × 512."""


def require_size(size: tuple[int, int], name: str) -> None:
    """Checks the size of an image before it is decoded.

    Args:
      size: width and height.
      name: the image's name in errors.

    Raises:
      UserError: more than `MAX_PIXELS` pixels, or a side shorter than `MIN_SIDE`.
    """
    width, height = size
    if width * height > MAX_PIXELS:
        raise UserError(
            f"{name}: {width} × {height} is more than {MAX_PIXELS:,} pixels; scale it down"
        )
    if min(size) < MIN_SIDE:
        raise UserError(
            f"{name}: {width} × {height} pixels is too small; each side needs {MIN_SIDE} or more"
        )


def require_frames(number: int, name: str) -> None:
    """Checks the number of images in a file.

    Raises:
      UserError: there are more than `MAX_FRAMES`.
    """
    if number > MAX_FRAMES:
        raise UserError(f"{name}: it holds {number:,} images, more than {MAX_FRAMES:,}; split it")


@contextmanager
def without_details(name: str, format: str) -> Iterator[None]:
    """Reports whatever a medical file makes its reader raise, without what the file says.

    The words of such errors may quote the file's header, hence a patient's name.

    Args:
      name: the image's name in errors.
      format: of the file, such as DICOM.

    Raises:
      UserError: in place of any other exception.
    """
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError(f"{name}: there is no such image file") from error
    except Exception as error:  # a broken file makes readers raise nearly anything
        kind = type(error).__name__
        raise UserError(
            f"{name}: broken or incomplete {format} file ({kind}); replace or remove it"
        ) from error
