"""SHA-256 digests, in hexadecimal: the identities of files, settings, images and weights."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np


def sha256(*parts: str | bytes) -> str:
    """The digest of the parts joined together; text is encoded as UTF-8.

    >>> sha256("a", b"b") == sha256("ab")
    True
    """
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else part)
    return digest.hexdigest()


def sha256_of_file(path: Path) -> str:
    """The digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_json(value: Any, *, sort_keys: bool = False) -> str:
    """The digest of a value's JSON text."""
    return sha256(json.dumps(value, sort_keys=sort_keys))


def sha256_of_array(values: np.ndarray) -> str:
    """The digest of an array's shape and bytes."""
    return sha256(f"{values.shape} ", values.tobytes())


def sha256_of_typed_array(values: np.ndarray) -> str:
    """The digest of an array's dtype, shape and bytes, in C order."""
    digest = hashlib.sha256(f"{values.dtype.name} {values.shape} ".encode())
    digest.update(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def sha256_of_tree(tree: Any) -> str:
    """The digest of a pytree of arrays: of each leaf's path and bytes."""
    import jax

    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        digest.update(jax.tree_util.keystr(path).encode())
        digest.update(np.ascontiguousarray(leaf).tobytes())
    return digest.hexdigest()
