"""Arrays in files without a name."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from fakd_jax.errors import UserError
from fakd_jax.runtime.scratch import scratch_array


def test_an_array_keeps_what_is_written_and_leaves_no_file(tmp_path: Path) -> None:
    array = scratch_array(tmp_path, (3, 4), "f2")
    np.testing.assert_array_equal(array, np.zeros((3, 4), np.float16))
    array[1] = range(4)
    assert array.sum() == 6
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_reported_before_anything_is_written(tmp_path, monkeypatch) -> None:
    def full(*args: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(UserError, match="no room for 2"):
        scratch_array(tmp_path, (2**20, 2**10), "f2")
