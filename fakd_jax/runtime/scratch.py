"""Arrays that lie in a file without a name, for more data than fits in memory."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
from jaxtyping import Shaped

from fakd_jax.errors import UserError


def scratch_array(folder: Path, shape: tuple[int, ...], dtype: str) -> Shaped[np.ndarray, ...]:
    """An array of zeros whose pages the system writes to a file when it needs the memory.

    The file has no name and vanishes with the array, or with the process.

    Args:
      folder: where the file lies.
      shape: of the array, not empty.
      dtype: of the array.

    Raises:
      UserError: there is no room in the folder.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, size)  # else a full disk would kill the process
            return np.memmap(file, dtype, "r+", shape=shape)
    except OSError as error:
        raise UserError(
            f"no room for {size / 2**30:.1f} GiB of scratch data in {folder} ({error.strerror}); "
            "make room, or choose another folder for prepared data with FAKD_JAX_CACHE=<folder>"
        ) from error
