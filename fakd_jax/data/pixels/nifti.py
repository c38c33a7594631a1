"""NIfTI volumes as slices, turned by the affine so that the patient lies as in DICOM.

A slice does not depend on the order in which a file stores its voxels: RAS and LPS files of one
head give the same pictures. An oblique volume is cut along the axes that are nearest.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped

from fakd_jax.data.pixels.frame import Frame
from fakd_jax.data.pixels.limits import MAX_VOXELS, require_frames, require_size, without_details
from fakd_jax.errors import UserError
from fakd_jax.runtime.extras import import_extra

SUFFIXES = (".nii", ".nii.gz")

# Axes of a volume [left, posterior, superior] that are a slice's number, rows and columns. Rows of
# coronal and sagittal slices go down, against the third axis.
_SLICES = {"axial": (2, 1, 0), "coronal": (1, 2, 0), "sagittal": (0, 2, 1)}


class NiftiFile:
    """The slices of a volume.

    The patient's right is on the left of axial and coronal slices, and the face on the left of
    sagittal ones, anterior or superior at the top. Slices are numbered from inferior, anterior or
    right.

    Args:
      path: the file.
      name: its name in errors.
      slice_axis: one of `fakd_jax.data.pixels.window.SLICE_AXES`.

    Raises:
      UserError: the extra is missing, or the file is broken, too large, or not three-dimensional.
    """

    def __init__(self, path: Path, name: str, slice_axis: str) -> None:
        nibabel = import_extra("nibabel", "nifti", "reading NIfTI")
        self._name, self._slice_axis = name, slice_axis
        with without_details(name, "NIfTI"):
            image = nibabel.load(path)
            shape = tuple(map(int, image.shape))
            if len(shape) > 3 and set(shape[3:]) != {1}:
                volumes = " × ".join(map(str, shape[3:]))
                raise UserError(
                    f"{name}: it has {volumes} volumes; save the one that shows the lesions "
                    "(nibabel.four_to_three, or fslsplit) and give that"
                )
            if len(shape) < 3:
                raise UserError(f"{name}: a NIfTI file of {len(shape)} dimensions; give a volume")
            if np.prod(shape, dtype=np.float64) > MAX_VOXELS:
                size = " × ".join(map(str, shape[:3]))
                raise UserError(f"{name}: {size} is more than {MAX_VOXELS:,} voxels; crop it")
            orientations = nibabel.orientations
            here = orientations.io_orientation(image.affine)
            if np.isnan(here).any():
                raise UserError(f"{name}: its affine does not say how the patient lies; mend it")
            there = orientations.axcodes2ornt(("L", "P", "S"))
            self._turn = functools.partial(
                orientations.apply_orientation, ornt=orientations.ornt_transform(here, there)
            )
            self._image = image
            sides = np.empty(3, int)
            sides[here[:, 0].astype(int)] = shape[:3]
            number, rows, columns = _SLICES[slice_axis]
            self._number = int(sides[number])
            require_size((int(sides[columns]), int(sides[rows])), name)
            require_frames(self._number, name)

    def __len__(self) -> int:
        return self._number

    def close(self) -> None:
        """Nothing stays open: nibabel opens the file at each read."""

    def read(self, index: int) -> Frame:
        """Cuts a slice; see :class:`fakd_jax.data.pixels.frame.PixelFile`."""
        with without_details(self._name, "NIfTI"):
            number, rows, columns = _SLICES[self._slice_axis]
            volume = np.moveaxis(self._volume, (number, rows, columns), (0, 1, 2))
            picture = np.ascontiguousarray(volume[index] if rows == 1 else volume[index, ::-1])
            mode = f"NIfTI {self._image.get_data_dtype().name}"
            if picture.dtype == np.uint8:
                grey = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=-1)
                return Frame(grey, mode, "format NIfTI", is_slice=True)
            return Frame(picture, mode, "format NIfTI", counts_bits=False, is_slice=True)

    @functools.cached_property
    def _volume(self) -> Shaped[np.ndarray, "L P S *C"]:
        """The values, scaled as the file says; what is not a number counts as the lowest."""
        proxy = self._image.dataobj
        scaled = (proxy.slope, proxy.inter) != (1.0, 0.0)
        read = functools.partial(self._image.get_fdata, caching="unchanged", dtype=np.float32)
        values: Any = read() if scaled else np.asanyarray(proxy)
        if values.dtype.names:  # RGB
            values = np.stack([values[channel] for channel in "RGB"], axis=-1)
        if values.dtype.kind not in "iuf":
            raise UserError(f"{self._name}: {values.dtype} values are not grey levels")
        values = values.reshape(*self._image.shape[:3], *values.shape[self._image.ndim :])
        if values.dtype.kind == "f":
            finite = np.isfinite(values)
            if not finite.any():
                raise UserError(f"{self._name}: none of its values is a number; replace it")
            if not finite.all():
                values = np.where(finite, values, values[finite].min())
        turned: np.ndarray = self._turn(values)
        return turned
