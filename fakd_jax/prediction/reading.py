"""One file as images of the network's input size, or why it has none."""

from __future__ import annotations

import stat
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from fakd_jax.data.layouts.pointers import POINTER, is_pointer
from fakd_jax.data.pixels.frames import Pictures, open_pixels
from fakd_jax.data.pixels.limits import MAX_FILE_BYTES
from fakd_jax.data.pixels.window import PixelRules
from fakd_jax.data.resizing import resize
from fakd_jax.errors import UserError
from fakd_jax.prediction.file_list import ListedFile
from fakd_jax.runtime.mapping import LocalMapper

CHUNK_BYTES = 2**25
"""Of images that are read from a file at once: 222 of 224 pixels. A longer file is reopened."""

BYTES_AHEAD = 2**27
"""Of images that wait for the network."""


class ReadImage(NamedTuple):
    """An image of a file, or an error in its place.

    Attributes:
      file: the file.
      frame: number of the image in the file, from 0; None if the file itself cannot be read.
      pixels: uint8 ``[S, S, 3]``; None if it cannot be read.
      quality: what is wrong with the picture, "" if nothing is; None if it was not examined.
      error: why there are no pixels; "" if there are.
      is_last: whether no other image of the file follows.
    """

    file: ListedFile
    frame: int | None
    pixels: UInt8[np.ndarray, "S S 3"] | None
    quality: str | None
    error: str
    is_last: bool


@dataclass(frozen=True)
class Chunk:
    """Consecutive images of a file.

    Attributes:
      images: one or more.
      chose_window: whether the grey levels of the file itself decided on its window.
    """

    images: Sequence[ReadImage]
    chose_window: bool = False


@dataclass(frozen=True)
class Reader:
    """How files become images.

    Attributes:
      rules: of grey levels of more than 8 bits and of volumes.
      image_size: S, the side of the network's input.
      quality: from pictures of any size, uint8 ``[H, W, 3]``, to what is wrong with each; None
        examines none.
    """

    rules: PixelRules
    image_size: int
    quality: Callable[[Sequence[UInt8[np.ndarray, "H W 3"]]], list[str]] | None = None


def read_images(
    files: Iterator[ListedFile],
    reader: Reader,
    *,
    ahead: int,
    first_frame: int = 0,
    on_own_window: Callable[[], object] = lambda: None,
) -> Generator[ReadImage, None, None]:
    """Every image of the files, in order, read in threads while the caller computes.

    Args:
      files: one by one.
      reader: how they are read.
      ahead: number of files that are read ahead, as long as `BYTES_AHEAD` hold their images.
      first_frame: of the first file.
      on_own_window: called for each file whose own grey levels decided on its window.
    """
    starts = (
        (reader, file, first_frame if number == 0 else 0) for number, file in enumerate(files)
    )
    mapper = LocalMapper(ahead, max_bytes=BYTES_AHEAD, size_of=_size_of)
    for chunk in mapper.map(read_chunk, starts):
        while True:
            if chunk.chose_window:
                on_own_window()
            yield from chunk.images
            last = chunk.images[-1]
            if last.is_last:
                break
            chunk = read_chunk(reader, last.file, (last.frame or 0) + 1)


def read_chunk(reader: Reader, listed: ListedFile, start: int) -> Chunk:
    """The images of a file from number `start` on, as many as `CHUNK_BYTES` hold.

    A file that cannot be read has one error instead.
    """
    file = Path(listed.file)
    if problem := listed.problem or _problem_of(file):
        return Chunk([ReadImage(listed, None, None, None, problem, True)])
    most = max(1, CHUNK_BYTES // (3 * reader.image_size**2))
    try:
        with open_pixels(file, listed.path, reader.rules.slice_axis) as opened:
            pictures = Pictures(opened, listed.path, reader.rules.window)
            numbers = range(start, min(start + most, len(pictures)))
            images = [_read_image(reader, listed, pictures, number) for number in numbers]
            if not images:
                raise UserError("it holds fewer images than when its prediction began")
            return Chunk(images, pictures.chose_window)
    except UserError as error:
        return Chunk([ReadImage(listed, None, None, None, _reason(error, listed), True)])


def _size_of(chunk: Chunk) -> int:
    return sum(image.pixels.nbytes for image in chunk.images if image.pixels is not None)


def _read_image(reader: Reader, listed: ListedFile, pictures: Pictures, number: int) -> ReadImage:
    is_last = number == len(pictures) - 1
    try:
        picture = pictures.read(number)
    except UserError as error:
        return ReadImage(listed, number, None, None, _reason(error, listed), is_last)
    quality = reader.quality([picture])[0] if reader.quality else None
    return ReadImage(listed, number, resize(picture, reader.image_size), quality, "", is_last)


def _problem_of(file: Path) -> str:
    """Why a file is not opened; "" if it may be, or is missing."""
    try:
        status = file.stat()
        if stat.S_ISDIR(status.st_mode):
            return "a folder in place of a file"
        if not stat.S_ISREG(status.st_mode):
            return "not a regular file"
        if status.st_size > MAX_FILE_BYTES:
            return f"larger than {MAX_FILE_BYTES // 2**20} MiB"
        return POINTER if is_pointer(file) else ""
    except FileNotFoundError:
        return "there is no such file"
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        return f"cannot be read: {getattr(error, 'strerror', None) or error}"


def _reason(error: UserError, listed: ListedFile) -> str:
    return str(error).removeprefix(f"{listed.path}: ")
