"""The brain-tumour slices of Cheng et al. on figshare: one MATLAB file (HDF5) per slice.

`cjdata` holds `label` (1 meningioma, 2 glioma, 3 pituitary tumour), `PID` (the patient), `image`
(16-bit) and `tumorMask`. Source: https://doi.org/10.6084/m9.figshare.1512427
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fakd_jax.data.layouts.pointers import POINTER, is_pointer
from fakd_jax.data.layouts.tables import Row
from fakd_jax.data.layouts.walking import File
from fakd_jax.errors import UserError, listed
from fakd_jax.runtime.extras import import_extra

SUFFIX = ".mat"
CLASS_NAMES = {1: "meningioma", 2: "glioma", 3: "pituitary"}
_ROOT = "cjdata"
_NEEDED = ("label", "PID", "image", "tumorMask")


def describe(files: Sequence[File]) -> str:
    """What the files are."""
    return f"{len(files):,} MATLAB files, read as figshare's brain tumours: patients, tumour masks"


def write_images(
    files: Sequence[File], folder: Path, log: Callable[[str], object]
) -> Iterator[Row]:
    """Writes every slice as a 16-bit PNG to `images/` in a folder, and its mask to `masks/`.

    Files without `cjdata`, such as the list of folds, are logged and passed over.

    Raises:
      UserError: h5py is not installed; files are damaged or lack something; or none has `cjdata`.
    """
    h5py = import_extra("h5py", "mat", "reading MATLAB's files")
    for name in ("images", "masks"):
        (folder / name).mkdir()
    rows: list[Row] = []
    others: list[str] = []
    problems: list[str] = []
    for file in files:
        name = f"{'-'.join(file.parts)[: -len(SUFFIX)]}.png"
        try:
            if is_pointer(file.path):
                raise ValueError(POINTER)
            with h5py.File(file.path) as opened:
                if _ROOT not in opened:
                    others.append(file.id)
                    continue
                rows.append(_write(opened[_ROOT], folder, name))
        except (OSError, KeyError, ValueError, TypeError) as error:
            problems.append(f"{file.id} ({' '.join(str(error).split())})")
    if problems:
        raise UserError(
            f"{len(problems):,} of {len(files):,} MATLAB files cannot be read as figshare's brain "
            f"tumours (HDF5 with {_ROOT}): {listed(problems)}; remove or download them again"
        )
    if not rows:
        raise UserError(f"no MATLAB file has {_ROOT}: {listed(others)}; give images or a table")
    if others:
        log(f"data: {len(others):,} MATLAB files without {_ROOT} ignored: {listed(others)}")
    yield from rows


def _write(data: Any, folder: Path, name: str) -> Row:
    """Writes one slice and its mask; MATLAB stores columns first."""
    from PIL import Image

    if missing := [key for key in _NEEDED if key not in data]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    image, mask = np.asarray(data["image"]).T, np.asarray(data["tumorMask"]).T
    number = np.asarray(data["label"]).item()
    if number not in CLASS_NAMES:
        raise ValueError(f"its label is {number}")
    levels = image.astype(np.uint16)
    if image.ndim != 2 or not np.array_equal(levels, image):
        raise ValueError("its image is not of 16-bit grey levels")
    patient = "".join(map(chr, np.asarray(data["PID"]).ravel().astype(int)))
    Image.fromarray(levels).save(folder / "images" / name)
    Image.fromarray(255 * (mask > 0).astype(np.uint8)).save(folder / "masks" / name)
    return Row(name, f"images/{name}", CLASS_NAMES[int(number)], "", patient, f"masks/{name}")
