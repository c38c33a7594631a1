"""What a user names, as files: files, folders, globs, archives, and lists of paths.

The order is that of the arguments, then that of the list; within a folder, an archive or a glob,
files are sorted by the bytes of their paths.
"""

from __future__ import annotations

import glob
import hashlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from fakd_jax.data.layouts.names import is_junk
from fakd_jax.data.layouts.walking import paths_below
from fakd_jax.data.pixels.frames import is_image_file
from fakd_jax.errors import UserError
from fakd_jax.prediction.file_list import FoundFile, NewFileList
from fakd_jax.runtime.archives import NoRoomError, extract_archive, is_archive

STDIN = "-"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_CHUNK_BYTES = 2**20


@dataclass(frozen=True)
class PathList:
    """A list of paths, one per line, as a user gave it.

    Attributes:
      sha256: of its bytes.
      paths: its lines, one by one; empty ones are left out.
    """

    sha256: str
    paths: Iterable[str]


@contextmanager
def open_path_list(name: str | None) -> Iterator[PathList | None]:
    """Opens a file of paths, or standard input for "-"; None is no list.

    Raises:
      UserError: it cannot be read.
    """
    if name is None:
        yield None
        return
    with tempfile.TemporaryFile() as copy:  # standard input can be read only once
        digest = hashlib.sha256()
        try:
            with (
                nullcontext(sys.stdin.buffer) if name == STDIN else Path(name).open("rb") as source
            ):
                while content := source.read(_CHUNK_BYTES):
                    digest.update(content)
                    copy.write(content)
        except OSError as error:
            raise UserError(
                f"cannot read the list {name}: {error.strerror or error}; give a file with one "
                "path per line, or - for standard input"
            ) from error
        copy.seek(0)
        lines = (line.removeprefix(_BYTE_ORDER_MARK).rstrip(b"\r\n") for line in copy)
        yield PathList(digest.hexdigest(), (os.fsdecode(line) for line in lines if line))


class InputScanner:
    """Finds the files that a user names and adds them to a list.

    Args:
      files: the list.
      archives: folder in which archives are unpacked.

    Attributes:
      passed_over: number of files in folders, archives and globs that are not images by their
        names, or are hidden.
    """

    def __init__(self, files: NewFileList, archives: Path) -> None:
        self._files, self._archives = files, archives
        self._unpacked = 0
        self.passed_over = 0

    def add_argument(self, name: str) -> None:
        """Adds what an argument of the command names: a path, or a glob.

        Raises:
          UserError: nothing matches a glob, or the name is empty; else as :meth:`add_path`.
        """
        if not name:
            raise UserError("an input has an empty name; give a file, a folder or a glob")
        if not glob.has_magic(name) or os.path.lexists(name):
            self.add_path(name)
            return
        self._require_match(name)
        with _reading(name):
            matches = (Path(match) for match in glob.iglob(name, recursive=True))
            self._files.add_sorted(found for match in matches for found in self._matched(match))

    def add_path(self, name: str) -> None:
        """Adds a file, whatever it is, the images of a folder, or those of an archive.

        Raises:
          UserError: a folder cannot be read, or there is no room to unpack an archive.
        """
        path = Path(name)
        with _reading(name):
            if os.path.isdir(path):  # unlike Path's, no error where a name is too long
                self._files.add_sorted(self._images_below(path, str(path)))
            elif os.path.isfile(path) and not is_image_file(path) and _is_archive(path):
                self._add_archive(path)
            else:
                self._files.add(FoundFile(str(path), str(path)))

    def _require_match(self, pattern: str) -> None:
        if next(glob.iglob(pattern, recursive=True), None) is None:
            raise UserError(f"nothing matches {pattern}; check the pattern")

    def _matched(self, path: Path) -> Iterator[FoundFile]:
        if path.is_dir():
            yield from self._images_below(path, str(path))
        elif is_image_file(path):
            yield FoundFile(str(path), str(path))
        else:
            self.passed_over += 1

    def _images_below(self, folder: Path, shown: str) -> Iterator[FoundFile]:
        """The images below a folder that rows call `shown`, in the order of the file system."""
        for path in paths_below(folder):
            relative = path.relative_to(folder)
            if any(map(is_junk, relative.parts)) or not is_image_file(path):
                self.passed_over += 1
            else:
                yield FoundFile(os.path.join(shown, relative), str(path))

    def _add_archive(self, archive: Path) -> None:
        folder = self._archives / str(self._unpacked)
        self._unpacked += 1
        folder.mkdir(parents=True)
        try:
            extract_archive(archive, folder)
        except NoRoomError as error:
            raise UserError(
                f"no room to unpack {archive} beside the output; make room, or choose another "
                "--output"
            ) from error
        except UserError as error:
            problem = str(error).removeprefix(f"{archive} ").removeprefix(f"{archive}: ")
            self._files.add(FoundFile(str(archive), str(archive), problem))
            return
        images = self._images_below(folder, str(archive))
        if (first := next(images, None)) is None:
            self._files.add(FoundFile(str(archive), str(archive), "the archive has no image"))
        else:
            self._files.add_sorted(chain([first], images))


def _is_archive(path: Path) -> bool:
    try:
        return is_archive(path)
    except OSError:  # reading it as an image reports why
        return False


@contextmanager
def _reading(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot read {error.filename or name}: {error.strerror or error}; check its "
            "permissions"
        ) from error
