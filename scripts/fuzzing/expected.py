"""The one error that a bad input may raise."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fakd_jax.errors import UserError


@contextmanager
def only_user_errors() -> Iterator[None]:
    """Accepts a :class:`UserError`."""
    with suppress(UserError):
        yield


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder that is removed again, in memory where that is possible."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
