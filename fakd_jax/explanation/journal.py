"""The list of the explanations in a folder: appended to, and continued after an interruption."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fakd_jax.errors import UserError
from fakd_jax.explanation.files import folder_names, json_bytes
from fakd_jax.runs.files import EXPLANATION_SETTINGS_FILE, EXPLANATIONS_FILE, LOCK_FILE
from fakd_jax.runtime.atomic_files import locked, write_whole, writing
from fakd_jax.runtime.hashing import sha256
from fakd_jax.runtime.json_text import differences, parse_json, require_shape

DIFFERENCES_SHOWN = 4


class Journal:
    """The explanations listed in a folder; from :func:`open_journal`.

    Args:
      folder: of the explanations.
      kept: the entries that still stand, in their order.
    """

    def __init__(self, folder: Path, kept: Mapping[str, Mapping[str, Any]]) -> None:
        self._path = folder / EXPLANATIONS_FILE
        # Not whole entries: there may be a hundred thousand.
        self._folders = {id: entry["folder"] for id, entry in kept.items()}

    def __contains__(self, id: str) -> bool:
        """Whether the image was listed when the list was opened."""
        return id in self._folders

    def folders(self, ids: Sequence[str]) -> list[str]:
        """The folder of each id: that of an earlier explanation, or a new one of its own."""
        taken = {folder.casefold() for folder in self._folders.values()}
        names = {
            id: f"{name}-{sha256(id)[:8]}" if name.casefold() in taken else name
            for id, name in zip(ids, folder_names(ids), strict=True)
        }
        return [self._folders.get(id) or names[id] for id in ids]

    def append(self, entry: Mapping[str, Any]) -> None:
        """Adds an entry.

        Raises:
          UserError: it cannot be written.
        """
        # Closing a file writes what a failed write left: that may fail again.
        with writing(self._path), self._path.open("ab") as file:
            file.write(_line(entry))


@contextmanager
def open_journal(
    folder: Path,
    settings: Mapping[str, Any],
    *,
    outdated: Callable[[Mapping[str, Any]], bool] = lambda entry: False,
    restart: bool = False,
) -> Iterator[Journal]:
    """Opens the list of a folder, creating both if needed, for one process at a time.

    `settings.json` holds what all explanations of the folder have in common. An entry stands if it
    is whole and its `explanation.json` exists; what follows an interruption is explained again.

    Args:
      folder: of the explanations.
      settings: JSON-able values.
      outdated: whether a whole entry no longer stands.
      restart: begin a new list, whatever is there.

    Raises:
      UserError: explanations by other settings, unless `restart`; another process at work there;
        or a folder that cannot be written.
    """
    path = folder / EXPLANATIONS_FILE
    refusal = f"another process is explaining into {folder}; wait for it, or give --output"
    with locked(folder / LOCK_FILE, refusal=refusal):
        kept = {} if restart else _kept(folder, settings, outdated)
        lines = b"".join(map(_line, kept.values()))
        if not path.is_file() or path.read_bytes() != lines:
            write_whole(path, lines)
        write_whole(folder / EXPLANATION_SETTINGS_FILE, json_bytes(settings))
        with writing(path):
            path.open("ab").close()
        yield Journal(folder, kept)


def read_entries(folder: Path) -> Iterator[dict[str, Any]]:
    """The whole entries of a folder's list, one by one; none if there is no list."""
    path = folder / EXPLANATIONS_FILE
    if not path.is_file():
        return
    with path.open("rb") as file:
        for line in file:
            try:
                entry = parse_json(line)
            except ValueError:  # cut off, or damaged
                continue
            if line.endswith(b"\n") and isinstance(entry, dict):
                yield entry


def read_settings(folder: Path) -> dict[str, Any]:
    """The settings of a folder's explanations; empty where they are not known.

    Raises:
      UserError: the file cannot be read.
    """
    path = folder / EXPLANATION_SETTINGS_FILE
    try:
        settings: dict[str, Any] = parse_json(path.read_bytes())
        require_shape(settings, {})
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {path}: {error}; give --restart or --output") from error
    return settings


def _kept(
    folder: Path, settings: Mapping[str, Any], outdated: Callable[[Mapping[str, Any]], bool]
) -> dict[str, dict[str, Any]]:
    """The entries that stand, by id.

    Raises:
      UserError: there are some, by other settings.
    """
    kept: dict[str, dict[str, Any]] = {}
    for entry in read_entries(folder):
        whole = {"id", "folder", "image_sha256", "explanation"} <= entry.keys()
        if whole and (folder / entry["explanation"]).is_file() and not outdated(entry):
            kept.setdefault(entry["id"], entry)
    if kept and (changes := differences(read_settings(folder), json.loads(json_bytes(settings)))):
        more = len(changes) - DIFFERENCES_SHOWN
        shown = "; ".join(changes[:DIFFERENCES_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        raise UserError(
            f"{folder} has {len(kept):,} explanations by other settings ({shown}): give "
            "another --output, or --restart to explain anew"
        )
    return kept


def _line(entry: Mapping[str, Any]) -> bytes:
    return f"{json.dumps(entry, ensure_ascii=False, allow_nan=False)}\n".encode()
