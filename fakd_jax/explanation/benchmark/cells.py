"""The cells of a benchmark on disk: one an image and method, kept whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fakd_jax.explanation.files import json_bytes
from fakd_jax.runtime.atomic_files import write_whole
from fakd_jax.runtime.hashing import sha256, sha256_of_json

CELLS = "cells"


def fingerprint(**facts: Any) -> str:
    """The identity of a cell: everything that its figures depend on, as JSON-able values."""
    return sha256_of_json(facts, sort_keys=True)[:32]


def load_cell(folder: Path, method: str, expected: str) -> dict[str, Any] | None:
    """The cell of a method, if it was measured under the very same conditions; else None.

    A cell whose file or picture is damaged counts as none: it is measured again and replaced.

    Args:
      folder: of the image.
      method: by name.
      expected: the cell's :func:`fingerprint`.
    """
    try:
        cell: dict[str, Any] = json.loads(_file(folder, method).read_text(encoding="utf-8"))
        picture = picture_file(folder, method).read_bytes()
        kept = (cell["fingerprint"], cell["picture_sha256"]) == (expected, sha256(picture))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return cell if kept else None


def save_cell(folder: Path, cell: Mapping[str, Any], picture: bytes) -> None:
    """Writes a cell and its picture; the cell vouches for the picture's bytes.

    Raises:
      UserError: the folder cannot be written.
    """
    write_whole(picture_file(folder, cell["method"]), picture)
    vouching = {**cell, "picture_sha256": sha256(picture)}
    write_whole(_file(folder, cell["method"]), json_bytes(vouching))


def picture_file(folder: Path, method: str) -> Path:
    """Where a method's picture of an image lies."""
    return folder / f"{method}.png"


def _file(folder: Path, method: str) -> Path:
    return folder / f"{method}.json"
