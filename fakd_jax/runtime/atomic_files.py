"""Writing files whole, and finding out early whether a folder can be written."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

from fakd_jax.errors import UserError

ADVICE = "mend that or choose another folder with --output or --workdir"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def require_writable(folder: Path) -> None:
    """Makes a folder and tries it, before minutes are spent on what could not be kept.

    Raises:
      UserError: no permission, no room, or a file where the folder is needed.
    """
    trial = folder / f".{os.getpid()}.trial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial.write_bytes(b"")
        trial.unlink()
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error.strerror or error}; {ADVICE}") from error


def failed_write(error: Exception) -> str | None:
    """Why the system could not write, where an error tells of that; None for any other error.

    Libraries that write for us tell of a full disk in errors of other kinds, with the system's
    words in them: Orbax in a ValueError, TFDS in a RuntimeError.

    Args:
      error: raised by what writes.
    """
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return next((words for words in map(os.strerror, _NO_ROOM) if words in str(error)), None)


def remove(path: Path, *, advice: str = ADVICE) -> None:
    """Removes a file, if it is there.

    Raises:
      UserError: no permission, or a folder where the file is meant.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot remove {path}: {error.strerror or error}; {advice}") from error


def write_whole(
    path: Path,
    content: str | bytes,
    *,
    advice: str = ADVICE,
) -> None:
    """Writes a file in one stroke: a reader sees the old one or the new one, never half of it.

    Folders are made as needed. Processes that write the same file at once do no harm: it is
    the last one's, whole.

    Args:
      path: of the file; one that exists is replaced.
      content: text is encoded as UTF-8.
      advice: what the user can do if it fails.

    Raises:
      UserError: no permission, no room, or a file where a folder is needed.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(unfinished, path)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise UserError(f"cannot write {path}: {error.strerror or error}; {advice}") from error
