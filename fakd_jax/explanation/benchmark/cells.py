"""Cells on disk: the metrics and the attribution of one method on one image."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from fakd_jax.explanation.files import json_bytes
from fakd_jax.runtime.atomic_files import write_whole
from fakd_jax.runtime.hashing import sha256, sha256_of_json
from fakd_jax.runtime.json_text import parse_json

CELLS = "cells"


def fingerprint(**facts: Any) -> str:
    """The identity of a cell: a hash of everything that it depends on, as JSON-able values."""
    return sha256_of_json(facts, sort_keys=True)[:32]


def load_cell(
    folder: Path, method: str, expected: str
) -> tuple[dict[str, Any], Float32[np.ndarray, "H W"]] | None:
    """A cell and its attribution; None if there is none, or it is damaged or outdated.

    Args:
      folder: of the image.
      method: by name.
      expected: the cell's :func:`fingerprint`.
    """
    try:
        cell: dict[str, Any] = parse_json((folder / f"{method}.json").read_text(encoding="utf-8"))
        stored = (folder / f"{method}.npz").read_bytes()
        if (cell["fingerprint"], cell["attribution_sha256"]) != (expected, sha256(stored)):
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return cell, np.load(io.BytesIO(stored))["attribution"]


def save_cell(
    folder: Path, cell: Mapping[str, Any], attribution: Float[np.ndarray, "H W"]
) -> tuple[dict[str, Any], Float32[np.ndarray, "H W"]]:
    """Writes a cell, last the JSON file, and returns what :func:`load_cell` would.

    Raises:
      UserError: the folder cannot be written.
    """
    attribution = attribution.astype(np.float32)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, attribution=attribution)
    stored = buffer.getvalue()
    write_whole(folder / f"{cell['method']}.npz", stored)
    complete = {**cell, "attribution_sha256": sha256(stored)}
    write_whole(folder / f"{cell['method']}.json", json_bytes(complete))
    return complete, attribution
