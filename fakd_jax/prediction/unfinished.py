"""An output that is not finished: appended to, killed, gone on with, and renamed in the end.

Beside the output lies a hidden folder with the list of files, the rows so far and a position. Rows
are appended and synced to disk before the position that counts them is; what a killed process has
appended beyond its last position is cut off. So no row is lost, and none is there twice.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fakd_jax.errors import UserError, listed
from fakd_jax.prediction.rows import Tally
from fakd_jax.runtime.atomic_files import (
    locked,
    require_writable,
    sync,
    sync_file,
    write_whole,
    writing,
)
from fakd_jax.runtime.json_text import differences, parse_json, require_shape

COMMIT_SECONDS = 2.0
ROWS_FILE = "rows"
FILES_FILE = "files.sqlite"
ARCHIVES_FOLDER = "archives"
_POSITION_FILE = "position.json"
_SETTINGS_FILE = "settings.json"
_LOCK_FILE = "lock"
_DIFFERENCES_SHOWN = 4
_ADVICE = "make room or choose another --output; the same command then goes on"
_POSITION_SHAPE = {"file": int, "frame": int, "size": int, "tally": {str: int}}


@dataclass(frozen=True)
class Position:
    """How far a prediction has come.

    Attributes:
      file: number of the last file whose rows are all written.
      frame: number of images of the next file whose rows are written.
      size: of the file of rows, in bytes.
      tally: counts of the rows.
    """

    file: int = 0
    frame: int = 0
    size: int = 0
    tally: Tally = field(default_factory=Tally)


@dataclass(frozen=True)
class _State:
    """What is on disk, and what waits for it. Replaced as a whole: an interrupt may come anywhere.

    Attributes:
      written: the position on disk.
      waiting: the bytes of further rows.
      position: after these.
    """

    written: Position
    waiting: tuple[bytes, ...]
    position: Position


def hidden_folder(output: Path) -> Path:
    """Where an output is until it is finished."""
    return output.with_name(f".{output.name}.unfinished")


class UnfinishedOutput:
    """The rows of an output so far; from :func:`open_unfinished`.

    Args:
      output: the finished file.
      start: the position to go on from.

    Attributes:
      folder: where it lies until it is finished.
      start: see above.
    """

    def __init__(self, output: Path, start: Position) -> None:
        self.folder, self.start = hidden_folder(output), start
        self._output = output
        self._state = _State(start, (), start)
        self._committed = time.monotonic()

    @property
    def position(self) -> Position:
        """After all rows appended."""
        return self._state.position

    def append(self, rows: bytes, file: int, frame: int, tally: Tally) -> None:
        """Adds rows, which reach the disk after some seconds at the latest.

        Args:
          rows: as they are to be written.
          file: see :class:`Position`, likewise the others.
          frame: as above.
          tally: as above.

        Raises:
          UserError: the disk is full.
        """
        state = self._state
        position = Position(file, frame, state.position.size + len(rows), tally)
        self._state = _State(state.written, (*state.waiting, rows), position)
        if time.monotonic() - self._committed > COMMIT_SECONDS:
            self.commit()

    def commit(self) -> None:
        """Has all rows reach the disk; safe to repeat if it is interrupted.

        Raises:
          UserError: the disk is full.
        """
        state = self._state
        if state.written != state.position:
            rows = self.folder / ROWS_FILE
            with writing(rows, advice=_ADVICE), rows.open("r+b") as file:
                file.seek(state.written.size)
                file.write(b"".join(state.waiting))
                file.truncate()
                sync_file(file)
            _write_position(self.folder, state.position)
            self._state = _State(state.position, (), state.position)
        self._committed = time.monotonic()

    def publish(self, finish: Callable[[Path, Path], None]) -> None:
        """Commits, and puts the output in its place.

        Args:
          finish: from the file of rows to the output, whose name is not the final one yet.

        Raises:
          UserError: the disk is full.
        """
        self.commit()
        finished = self.folder / f"finished{self._output.suffix}"
        with writing(self._output, advice=_ADVICE):
            finished.unlink(missing_ok=True)  # of an attempt that failed
            finish(self.folder / ROWS_FILE, finished)
            sync(finished)
            os.replace(finished, self._output)
            sync(self._output.parent)
            (self.folder / ROWS_FILE).unlink(missing_ok=True)


@contextmanager
def open_unfinished(
    output: Path,
    settings: Mapping[str, Any],
    *,
    header: bytes,
    begin: Callable[[Path], None],
    restart: bool,
) -> Iterator[UnfinishedOutput]:
    """Goes on with an unfinished output, or begins one; for one process at a time.

    When the block ends, rows that wait are written, whatever ended it. Once the output is published
    the hidden folder is removed.

    Args:
      output: the finished file.
      settings: JSON-able values, which an output that is gone on with must have.
      header: what the file of rows begins with.
      begin: puts the list of files into a new folder.
      restart: begin anew, whatever is there.

    Raises:
      UserError: an unfinished output with other settings, unless `restart`, or a damaged one;
        another process at work on it; a folder that cannot be written.
    """
    folder = hidden_folder(output)
    require_writable(output.parent)
    refusal = f"another process is writing {output}; wait for it, or give another --output"
    is_over = False
    try:
        with locked(folder / _LOCK_FILE, refusal=refusal):
            try:
                if restart or not _is_begun(folder):
                    _begin(folder, settings, header, begin)
                start = _position(folder, output, settings)
                with writing(folder / ROWS_FILE):
                    os.truncate(folder / ROWS_FILE, start.size)
                unfinished = UnfinishedOutput(output, start)
                try:
                    yield unfinished
                finally:
                    unfinished.commit()
            finally:
                if is_over := not _is_begun(folder):  # published, or never begun
                    _clear(folder)
    finally:
        if is_over:
            _remove_empty(folder)


def _is_begun(folder: Path) -> bool:
    """Whether a folder is complete: the settings are written last, and the rows go first."""
    return (folder / _SETTINGS_FILE).is_file() and (folder / ROWS_FILE).is_file()


def _begin(
    folder: Path, settings: Mapping[str, Any], header: bytes, begin: Callable[[Path], None]
) -> None:
    _clear(folder)
    begin(folder)
    write_whole(folder / ROWS_FILE, header, advice=_ADVICE)
    _write_position(folder, Position(size=len(header)))
    write_whole(folder / _SETTINGS_FILE, json.dumps(settings, indent=2), advice=_ADVICE)


def _position(folder: Path, output: Path, settings: Mapping[str, Any]) -> Position:
    """The position to go on from, if the settings are the same."""
    try:
        known = parse_json((folder / _SETTINGS_FILE).read_bytes())
        stored = parse_json((folder / _POSITION_FILE).read_bytes())
        require_shape(known, {})
        require_shape(stored, _POSITION_SHAPE)
        position = replace(Position(**stored), tally=Tally(**stored["tally"]))
        if (folder / ROWS_FILE).stat().st_size < position.size:
            raise ValueError("rows are missing")
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"the unfinished {output} in {folder} is damaged ({error}); give --restart"
        ) from error
    if changes := differences(known, json.loads(json.dumps(settings))):
        raise UserError(
            f"{output} is unfinished, with {position.tally.rows:,} rows by other settings "
            f"({listed(changes, most=_DIFFERENCES_SHOWN, separator='; ')}): give another --output, "
            "or --restart to begin anew"
        )
    return position


def _write_position(folder: Path, position: Position) -> None:
    values = {**vars(position), "tally": position.tally.to_dict()}
    write_whole(folder / _POSITION_FILE, json.dumps(values), advice=_ADVICE)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # another process may have taken the lock
        (folder / _LOCK_FILE).unlink()
        folder.rmdir()


def _clear(folder: Path) -> None:
    """Removes everything but the lock."""
    with writing(folder):
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != _LOCK_FILE:
                path.unlink()
