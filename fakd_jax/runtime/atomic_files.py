"""Atomic, durable file writes, locks, and early checks that a folder is writable."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from fakd_jax.errors import UserError

ADVICE = "fix that or choose another folder with --output or --workdir"
# Errors of file systems that cannot sync a folder, such as some network drives.
_CANNOT_SYNC = (errno.EINVAL, errno.ENOTSUP)
# Reasons for a failed write that libraries put into the text of errors of other types.
_REASONS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.ESTALE),
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR),
)
# Orbax's look at what it has just written, for example into a folder that was moved meanwhile.
_NOT_FOUND_AFTER_SAVING = re.compile(r"Save failed: (\d+/\d+ params are missing in checkpoint)")


def require_writable(folder: Path) -> None:
    """Creates a folder and writes to it, before time is spent on results that cannot be saved.

    Raises:
      UserError: no permission, a full disk, or a file where the folder is needed.
    """
    probe = folder / f".{secrets.token_hex(8)}.probe"
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()


@contextmanager
def writing(path: Path, *, advice: str = ADVICE) -> Iterator[None]:
    """Turns a failed write in the block into a one-line error.

    Raises:
      UserError: no permission, a full disk, or a file where a folder is needed.
    """
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        if (reason := failed_write(error)) is None:
            raise
        raise UserError(f"cannot write {path}: {reason}; {advice}") from error


@contextmanager
def locked(file: Path, *, refusal: str) -> Iterator[None]:
    """Holds a file's exclusive lock, which the system releases if the process dies.

    Args:
      file: created if missing, with its folder.
      refusal: the error if another process holds the lock.

    Raises:
      UserError: another process holds it, or folder or file cannot be written or locked; at the
        end, the file was moved or removed meanwhile.
    """
    require_writable(file.parent)
    with writing(file):
        handle = file.open("wb")
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(refusal) from error
        except OSError as error:
            raise UserError(f"cannot lock {file}: {error.strerror or error}; {ADVICE}") from error
        yield
        require_unmoved(file, os.fstat(handle.fileno()))


def require_unmoved(path: Path, known: os.stat_result) -> None:
    """Checks that a path still leads to the file or folder that it led to before.

    What is written to a folder that was moved away would be spread over two.

    Raises:
      UserError: it does not.
    """
    with suppress(OSError):
        if os.path.samestat(path.stat(), known):
            return
    raise UserError(
        f"{path} was moved or removed while this process was using it; put it back and run the "
        "same command again"
    )


def failed_write(error: Exception) -> str | None:
    """The system's reason for a failed write; None if an error has another cause.

    Libraries wrap it in other types: Orbax in a ValueError, TFDS in a RuntimeError.
    """
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if found := _NOT_FOUND_AFTER_SAVING.match(str(error)):
        return found[1]
    return next((words for words in map(os.strerror, _REASONS) if words in str(error)), None)


def remove(path: Path, *, advice: str = ADVICE) -> None:
    """Removes a file if it exists.

    Raises:
      UserError: no permission, or the path is a folder.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"cannot remove {path}: {error.strerror or error}; {advice}") from error


def write_whole(path: Path, content: str | bytes, *, advice: str = ADVICE) -> None:
    """Writes a file atomically, even with writers on several machines, and creates its folders.

    It has reached the disk when this returns. Text is encoded as UTF-8. `advice` is what the user
    can do if the write fails.

    Raises:
      UserError: no permission, a full disk, or a file where a folder is needed.
    """
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}.unfinished")
    with writing(path, advice=advice):
        make_folders(path.parent)
        try:
            with unfinished.open("wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
                sync_file(file)
            os.replace(unfinished, path)
            sync(path.parent)
        finally:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)


def sync_file(file: IO[Any]) -> None:
    """Has what was written to an open file reach the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync(path: Path) -> None:
    """Has a file's content, or a folder's list of entries, reach the disk.

    A file system that cannot sync a folder is left to do so by itself.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC or not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def sync_tree(folder: Path) -> None:
    """Has a folder with all files and folders in it reach the disk."""
    for path in (*folder.rglob("*"), folder):
        sync(path)


def make_folders(folder: Path) -> None:
    """Creates a folder and those above it; they have reached the disk when this returns."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in missing:
        sync(path.parent)
