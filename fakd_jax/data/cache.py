"""The folder in which prepared data is kept, and how it is written: entirely or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fakd_jax.errors import UserError

_UNFINISHED_PREFIX = ".unfinished-"
_ABANDONED_SECONDS = 24 * 3600


def data_cache_folder(chosen: Path | str | None = None) -> Path:
    """The folder for prepared data, created where it does not exist.

    Args:
      chosen: the folder itself; None takes `$FAKD_JAX_CACHE/data`, else
        `$XDG_CACHE_HOME/fakd_jax/data`, else `~/.cache/fakd_jax/data`.

    Raises:
      UserError: it can't be created or written.
    """
    if chosen is not None:
        folder = Path(chosen).expanduser().absolute()
    elif home := os.environ.get("FAKD_JAX_CACHE"):
        folder = Path(home).expanduser().absolute() / "data"
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = folder / "fakd_jax" / "data"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _not_writable(folder, error) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"cannot write to {folder}; {_ADVICE}")
    return folder


_ADVICE = "choose another folder for prepared data with FAKD_JAX_CACHE=<folder>"


def _not_writable(folder: Path, error: OSError) -> UserError:
    return UserError(f"cannot write to {folder} ({error.strerror or error}); {_ADVICE}")


@contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """Yields an empty folder that becomes `folder` when the block ends without an error.

    A second process doing the same does no harm: whichever ends first provides the folder,
    and the other's work is dropped. What a killed process left is removed a day later.

    Raises:
      UserError: no room, or no permission.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder.parent)
        unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED_PREFIX, dir=folder.parent))
    except OSError as error:
        raise _not_writable(folder.parent, error) from error
    try:
        yield unfinished
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    except OSError as error:
        raise _not_writable(folder, error) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def write_file_whole(path: Path, text: str) -> None:
    """Writes a text file so that no reader ever sees half of it.

    Raises:
      UserError: no room, or no permission.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(prefix=_UNFINISHED_PREFIX, dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(unfinished, path)
    except OSError as error:
        raise _not_writable(path.parent, error) from error


def _remove_abandoned(folder: Path) -> None:
    for path in folder.glob(f"{_UNFINISHED_PREFIX}*"):
        try:
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
        except FileNotFoundError:
            continue  # its own process has just finished it
