"""The folder for prepared data, and writing to it: completely or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fakd_jax.errors import UserError
from fakd_jax.runtime.atomic_files import failed_write

_UNFINISHED_PREFIX = ".unfinished-"
_ABANDONED_SECONDS = 24 * 3600
ADVICE = "make room, or choose another folder for prepared data with FAKD_JAX_CACHE=<folder>"


def data_cache_folder(chosen: Path | str | None = None) -> Path:
    """The folder for prepared data, created if it does not exist.

    Args:
      chosen: the folder; None or `""` takes `$FAKD_JAX_CACHE/data`, else
        `$XDG_CACHE_HOME/fakd_jax/data`, else `~/.cache/fakd_jax/data`.

    Raises:
      UserError: it cannot be created or written.
    """
    if chosen:
        folder = Path(chosen).expanduser().absolute()
    elif home := os.environ.get("FAKD_JAX_CACHE"):
        folder = Path(home).expanduser().absolute() / "data"
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = folder / "fakd_jax" / "data"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(folder, error.strerror or str(error)) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"cannot write to {folder}; {ADVICE}")
    return folder


def _not_writable(folder: Path, reason: str) -> UserError:
    return UserError(f"cannot write to {folder} ({reason}); {ADVICE}")


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Yields an empty folder inside `parent` and removes it at the end.

    Leftovers of killed processes are removed after a day.

    Raises:
      UserError: no room, or no permission.
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(parent)
        scratch = Path(tempfile.mkdtemp(prefix=_UNFINISHED_PREFIX, dir=parent))
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except (OSError, RuntimeError) as error:  # RuntimeError from TFDS
        reason = failed_write(error)
        if reason is None:
            raise
        raise _not_writable(parent, reason) from error


@contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """Yields an empty folder that becomes `folder` when the block ends without an error.

    Of two processes that do the same, the first to end provides the folder.

    Raises:
      UserError: no room, or no permission.
    """
    with scratch_folder(folder.parent) as unfinished:
        yield unfinished
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster
                raise


def _remove_abandoned(folder: Path) -> None:
    for path in folder.glob(f"{_UNFINISHED_PREFIX}*"):
        try:
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
        except FileNotFoundError:
            continue  # its own process has just renamed it
