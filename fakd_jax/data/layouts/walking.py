"""Every file below a folder, found by name; none is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fakd_jax.data.layouts.names import is_junk, is_mask_folder

Stamp = tuple[str, int, int, int]


@dataclass(frozen=True)
class File:
    """A file below the folder of the data.

    Attributes:
      id: its path below that folder, with forward slashes; bytes that are not UTF-8 are escaped.
      path: the file.
      parts: of its path below that folder.
      problem: what is wrong with its name, if anything.
    """

    id: str
    path: Path
    parts: tuple[str, ...]
    problem: str = ""

    @property
    def is_hidden(self) -> bool:
        """Whether it, or a folder that it is in, is hidden or an archiver's own."""
        return any(map(is_junk, self.parts))

    @property
    def in_mask_folder(self) -> bool:
        """Whether a folder that it is in has the name of one for masks."""
        return any(map(is_mask_folder, self.parts[:-1]))


def files_below(root: Path) -> list[File]:
    """All files below a folder, sorted by id; links are followed, cycles are not."""
    return sorted((file_in(root, path) for path in paths_below(root)), key=lambda file: file.id)


def file_in(root: Path, path: Path) -> File:
    """A file with an id that is printable whatever its name."""
    relative = path.relative_to(root)
    name = relative.as_posix()
    id = printable(name)
    return File(id, path, relative.parts, "" if id == name else "its name is not UTF-8")


def printable(name: str) -> str:
    """A file's name with the bytes that are not UTF-8 escaped."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def subfolders(folder: Path) -> list[str]:
    """The names of the folders in a folder that are not hidden, sorted."""
    return sorted(
        entry.name for entry in os.scandir(folder) if entry.is_dir() and not is_junk(entry.name)
    )


def stamp(file: File) -> Stamp:
    """Changes whenever a file is written: ctime does even if mtime is set back."""
    try:
        status = file.path.stat()
    except (FileNotFoundError, NotADirectoryError):  # a dangling link, which will be reported
        return file.id, -1, -1, -1
    return file.id, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def paths_below(folder: Path, ancestors: frozenset[str] = frozenset()) -> Iterator[Path]:
    """All files below a folder, in the order of the file system, one after the other.

    Args:
      folder: links in it are followed, cycles are not.
      ancestors: the real paths of the folders that it was reached through.
    """
    here = os.path.realpath(folder)
    if here in ancestors:
        return
    for entry in os.scandir(folder):
        if entry.is_dir():
            yield from paths_below(Path(entry.path), ancestors | {here})
        else:
            yield Path(entry.path)
