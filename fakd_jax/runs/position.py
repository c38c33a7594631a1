"""Where in its data a training stood at a checkpoint, and which network was the best by then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fakd_jax.errors import DamagedError
from fakd_jax.runs.files import POSITION_FILE
from fakd_jax.runtime.json_text import parse_json, require_shape


def read_position(folder: Path) -> dict[str, Any]:
    """Reads where in its data a training stood at a checkpoint.

    Raises:
      DamagedError: the file cannot be read or has other content.
    """
    file = folder / POSITION_FILE
    try:
        position: dict[str, Any] = parse_json(file.read_text(encoding="utf-8"))
        require_shape(position, {"early_stopping?": {"best_step?": int}})
        return position
    except (OSError, ValueError) as error:
        raise DamagedError(f"{file} is damaged ({error})") from error


def best_step(position: dict[str, Any]) -> int:
    """The step of the best network so far; 0 before the end of the first epoch."""
    step: int = position.get("early_stopping", {}).get("best_step", 0)
    return step
