"""The files to predict, in order and each once, on disk: a million of them take no memory."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from fakd_jax.errors import UserError
from fakd_jax.runtime.atomic_files import ADVICE, sync, writing
from fakd_jax.runtime.hashing import sha256

_TABLES = """
PRAGMA synchronous = OFF;
PRAGMA journal_mode = OFF;
PRAGMA temp_store = FILE;
CREATE TABLE files (
  number INTEGER PRIMARY KEY, path BLOB, file BLOB, problem TEXT, place TEXT UNIQUE);
CREATE TEMP TABLE unsorted (path BLOB, file BLOB, problem TEXT, place TEXT);
BEGIN;
"""
_PLACE_DIGITS = 32


class FoundFile(NamedTuple):
    """A file to predict.

    Attributes:
      path: what its rows call it.
      file: where it lies.
      problem: why it is not to be opened; "" if it is.
    """

    path: str
    file: str
    problem: str = ""


class ListedFile(NamedTuple):
    """A file of a list, with its number from 1; the other attributes are those of `FoundFile`."""

    number: int
    path: str
    file: str
    problem: str


class NewFileList:
    """A list to add to; from :func:`new_file_list`. A file that it has already is passed over."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def add(self, file: FoundFile) -> None:
        """Adds a file at the end."""
        self._connection.execute(
            "INSERT OR IGNORE INTO files (path, file, problem, place) VALUES (?, ?, ?, ?)",
            _values(file),
        )

    def add_sorted(self, files: Iterable[FoundFile]) -> None:
        """Adds files at the end, sorted by the bytes of their paths."""
        self._connection.executemany(
            "INSERT INTO unsorted VALUES (?, ?, ?, ?)", map(_values, files)
        )
        self._connection.execute(
            "INSERT OR IGNORE INTO files (path, file, problem, place) "
            "SELECT path, file, problem, place FROM unsorted ORDER BY path"
        )
        self._connection.execute("DELETE FROM unsorted")


@contextmanager
def new_file_list(path: Path) -> Iterator[NewFileList]:
    """Writes a list, which is there as a whole when the block ends, or not at all.

    Raises:
      UserError: no permission, or a full disk.
    """
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    try:
        with closing(sqlite3.connect(unfinished, isolation_level=None)) as connection:
            connection.executescript(_TABLES)
            yield NewFileList(connection)
            connection.execute("COMMIT")
    except sqlite3.Error as error:
        raise UserError(f"cannot write {path}: {error}; {ADVICE}") from error
    with writing(path):
        sync(unfinished)
        os.replace(unfinished, path)


class FileList:
    """A list that :func:`new_file_list` wrote.

    Args:
      path: of the list.

    Raises:
      UserError: it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._opened() as connection:
            (self._length,) = connection.execute("SELECT COUNT(*) FROM files").fetchone()

    def __len__(self) -> int:
        return int(self._length)

    def after(self, number: int) -> Iterator[ListedFile]:
        """The files after the one with this number, one by one.

        Raises:
          UserError: the list is damaged.
        """
        query = "SELECT number, path, file, problem FROM files WHERE number > ? ORDER BY number"
        with self._opened() as connection:
            for next_number, path, file, problem in connection.execute(query, (number,)):
                yield ListedFile(next_number, os.fsdecode(path), os.fsdecode(file), problem)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path)) as connection:
                yield connection
        except sqlite3.Error as error:
            raise UserError(f"{self._path} is damaged ({error}); give --restart") from error


def _values(file: FoundFile) -> tuple[bytes, bytes, str, str]:
    """A row. Paths are bytes: they need not be UTF-8. Equal files have the same absolute path."""
    place = sha256(os.fsencode(os.path.abspath(file.path)))[:_PLACE_DIGITS]
    return os.fsencode(file.path), os.fsencode(file.file), file.problem, place
