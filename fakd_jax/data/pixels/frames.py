"""The interface of decoding: how many images a file holds, and each of them as a picture.

>>> split_frame("study/volume.nii.gz#80")
('study/volume.nii.gz', 80)
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fakd_jax.data.pixels import dicom, nifti, raster
from fakd_jax.data.pixels.frame import Frame, PixelFile
from fakd_jax.data.pixels.limits import require_size
from fakd_jax.data.pixels.window import DEFAULT_RULES, LEVELS, PixelRules, Window, choose_window
from fakd_jax.errors import UserError

SEPARATOR = "#"
_DICOM_INDEX = "DICOMDIR"  # lists the files beside it


def is_image_file(path: Path) -> bool:
    """Whether a file has the suffix of an image, or none or a number and begins as DICOM does."""
    name = path.name.lower()
    if name.endswith(nifti.SUFFIXES):
        return True
    if not path.suffix or path.suffix[1:].isdecimal():
        return path.name.upper() != _DICOM_INDEX and dicom.has_magic(path)
    return path.suffix.lower() in raster.SUFFIXES | raster.HEIC_SUFFIXES | dicom.SUFFIXES


@contextmanager
def open_pixels(path: Path, name: str, slice_axis: str = "axial") -> Iterator[PixelFile]:
    """Opens a file of any kind; errors of the caller's own in the block are left alone.

    Args:
      path: the file.
      name: its name in errors.
      slice_axis: of volumes.

    Raises:
      UserError: it is missing, broken, of no known kind, too large or too small, or needs an extra.
    """
    file = _opened(path, name, slice_axis)
    try:
        yield file
    finally:
        file.close()


def _opened(path: Path, name: str, slice_axis: str) -> PixelFile:
    if path.name.lower().endswith(nifti.SUFFIXES):
        return nifti.NiftiFile(path, name, slice_axis)
    if path.suffix.lower() in dicom.SUFFIXES or dicom.has_magic(path):
        return dicom.DicomFile(path, name)
    return raster.RasterFile(path, name)


def frames_in(path: Path, slice_axis: str = "axial") -> int:
    """The number of images in a file.

    Raises:
      UserError: as :func:`open_pixels`.
    """
    with open_pixels(path, str(path), slice_axis) as file:
        return len(file)


def read_frame(
    path: Path, index: int, rules: PixelRules = DEFAULT_RULES
) -> UInt8[np.ndarray, "H W 3"]:
    """Decodes one image of a file to RGB of 8 bits.

    Args:
      path: the file.
      index: of the image, from 0.
      rules: of grey levels of more than 8 bits and of volumes; a window that is None is chosen
        by the file alone.

    Raises:
      UserError: as :func:`open_pixels`; or the file has no such image.
    """
    with open_pixels(path, str(path), rules.slice_axis) as file:
        if not 0 <= index < len(file):
            raise UserError(f"{path} holds {len(file)} images; there is no number {index}")
        return Pictures(file, str(path), rules.window).read(index)


class Pictures:
    """The images of an open file as RGB of 8 bits; the window is found once for all.

    Args:
      file: the file.
      name: its name in errors.
      window: of grey levels of more than 8 bits; None leaves it to this file alone.

    Attributes:
      chose_window: whether an image needed a window and none was given.
    """

    def __init__(self, file: PixelFile, name: str, window: Window | None) -> None:
        self._file, self._name, self._given = file, name, window
        self.chose_window = False

    def __len__(self) -> int:
        return len(self._file)

    def read(self, index: int) -> UInt8[np.ndarray, "H W 3"]:
        """Decodes an image.

        Raises:
          UserError: it is broken, too large or too small; or another one is, and the window
            depends on it.
        """
        frame = read_checked(self._file, index, self._name)
        if not frame.needs(self._given):
            return frame.picture(None)
        self.chose_window = self._given is None
        return frame.picture(self._window)

    @functools.cached_property
    def _window(self) -> Window | None:
        """As grey levels of the file."""
        file = self._file
        window = self._given or choose_window(file.read(index).range for index in range(len(file)))
        return window_of_file(file, window)


def window_of_file(file: PixelFile, window: Window) -> Window | None:
    """A window as grey levels of a file; None if it has no image that needs one."""
    if window.rule == LEVELS:
        return window
    frames = (file.read(index) for index in range(len(file)))
    levels = [frame.levels for frame in frames if frame.needs(window)]
    return window.of_levels(levels) if levels else None


def read_checked(file: PixelFile, index: int, name: str) -> Frame:
    """Decodes one image of a file and checks its size as it was decoded.

    Raises:
      UserError: as :meth:`PixelFile.read`.
    """
    frame = file.read(index)
    height, width = frame.levels.shape[:2]
    require_size((width, height), name)
    return frame


def read_picture(name: str, rules: PixelRules = DEFAULT_RULES) -> UInt8[np.ndarray, "H W 3"]:
    """Decodes the image that a user names: a file, or one image of a file as `path#index`.

    Args:
      name: of a file, or with the number of one of its images.
      rules: as of :func:`read_frame`.

    Raises:
      UserError: as :func:`read_frame`; or the file has several images and none is named.
    """
    path, index = split_frame(name)
    if index is None:
        number = frames_in(Path(path), rules.slice_axis)
        if number != 1:
            raise UserError(
                f"{path}: it holds {number} images; name one of them, such as "
                f"{frame_id(path, number // 2)}"
            )
    return read_frame(Path(path), index or 0, rules)


def frame_id(id: str, index: int) -> str:
    """The id of one image of a file that has several.

    >>> frame_id("Training/glioma/a.tif", 3)
    'Training/glioma/a.tif#3'
    """
    return f"{id}{SEPARATOR}{index}"


def file_id(id: str) -> str:
    """The id of the file that an image is in: its own, unless the file has several.

    >>> file_id("Training/glioma/a.tif#3"), file_id("Training/glioma/a.png")
    ('Training/glioma/a.tif', 'Training/glioma/a.png')
    """
    file, separator, index = id.rpartition(SEPARATOR)
    return file if separator and index.isdecimal() else id


def split_frame(name: str) -> tuple[str, int | None]:
    """A name as :func:`frame_id` makes it in its parts; None for a name of a file alone."""
    path = file_id(name)
    if path == name or Path(name).exists():
        return name, None
    return path, int(name[len(path) + 1 :])
