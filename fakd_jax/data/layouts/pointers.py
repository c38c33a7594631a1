"""Git LFS pointers: the small texts that lie where a repository was cloned without its files."""

from __future__ import annotations

from pathlib import Path

from fakd_jax.errors import UserError

POINTER = "a Git LFS pointer, not the file itself; fetch it with: git lfs pull"
_BEGINNING = b"version https://git-lfs.github.com/spec/"


def is_pointer(source: Path | bytes) -> bool:
    """Whether a file, or its content, is a pointer."""
    if isinstance(source, bytes):
        return source.startswith(_BEGINNING)
    with source.open("rb") as file:
        return file.read(len(_BEGINNING)) == _BEGINNING


def pointer_error(path: Path) -> UserError:
    """The error for a file that is a pointer."""
    return UserError(f"{path} is {POINTER}")
