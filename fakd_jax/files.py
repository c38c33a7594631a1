"""Writing files whole."""

from __future__ import annotations

import os
from pathlib import Path

from fakd_jax.errors import UserError


def write_whole(path: Path, content: str | bytes) -> None:
    """Writes a file in one stroke: a reader sees the old one or the new one, never half of it.

    Folders are made as needed.

    Args:
      path: of the file; one that exists is replaced.
      content: text is encoded as UTF-8.

    Raises:
      UserError: no permission, no room, or a file where a folder is needed.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(unfinished, path)
    except OSError as error:
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; "
            "mend that or choose another folder with --output or --workdir"
        ) from error
