"""Verifies what lies in a folder: the digests of checkpoints, and that records can be read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fakd_jax.data.splits import Split
from fakd_jax.errors import UserError
from fakd_jax.models.checkpoint import DIGESTS_KEY, METADATA_FILE, MODEL_FOLDER, read_checkpoint
from fakd_jax.runs.files import POSITION_FILE, RECORDS_FILE, SPLIT_FILE
from fakd_jax.runs.position import best_step, read_position
from fakd_jax.runs.workdir import read_records
from fakd_jax.runtime.json_text import parse_json
from fakd_jax.runtime.sha256sums import SUMS_FILE


@dataclass(frozen=True)
class Finding:
    """What was found out about a checkpoint or a file.

    Attributes:
      name: its path in the folder.
      damage: what is wrong with it; "" if nothing is.
      verifiable: False for a checkpoint of an earlier version, which has no digests.
      intensity: a checkpoint's rule of intensity standardisation; "" if it has none.
    """

    name: str
    damage: str = ""
    verifiable: bool = True
    intensity: str = ""


def check_folder(folder: Path) -> Iterator[Finding]:
    """Verifies every checkpoint below a folder, and reads every JSON file outside of them.

    Of checkpoints everything is read, and compared with the digests of files and arrays. Hidden
    folders, which a killed process leaves, are passed over.

    Args:
      folder: a workdir, a study, a checkpoint, or any folder with some of them in it.

    Raises:
      UserError: there is no such folder, or nothing to check in it.
    """
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}; give a workdir, a study or a checkpoint")
    empty = True
    for path, folders, files in os.walk(folder):
        here = Path(path)
        if _is_checkpoint(here):
            folders.clear()
            empty = False
            yield _check_checkpoint(here, folder)
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(name for name in files if name.endswith((".json", ".jsonl"))):
            empty = False
            yield _check_file(here / name, folder)
    if empty:
        raise UserError(f"nothing to check in {folder}: it has no checkpoint and no JSON file")


def _is_checkpoint(folder: Path) -> bool:
    """Whether the folder is one; a damaged one may lack any of its files."""
    if folder.name.isdecimal() and folder.parent.name in ("best", "last"):
        return True
    names = {path.name for path in folder.iterdir()}
    return METADATA_FILE in names or {SUMS_FILE, MODEL_FOLDER} <= names


def _check_checkpoint(folder: Path, root: Path) -> Finding:
    name = str(folder.relative_to(root))
    try:
        _, metadata = read_checkpoint(folder)
        _require_best(folder)
    except (OSError, ValueError, UserError) as error:
        return Finding(name, str(error))
    return Finding(name, verifiable=DIGESTS_KEY in metadata, intensity=_intensity(metadata))


def _intensity(metadata: Mapping[str, Any]) -> str:
    preprocessing = metadata.get("preprocessing")
    rule = preprocessing.get("intensity") if isinstance(preprocessing, Mapping) else None
    return "" if rule in (None, "none") else str(rule)


def _require_best(folder: Path) -> None:
    """Checks that the best network which a state to resume knows has not been removed.

    Raises:
      UserError: it has been, or the state does not say which it is.
    """
    if not (folder / POSITION_FILE).is_file():
        return
    step = best_step(read_position(folder))
    best = folder.parent.parent / "best" / str(step)
    if step and not best.is_dir():
        raise UserError(f"it needs the best checkpoint {best}, which is missing")


def _check_file(file: Path, root: Path) -> Finding:
    name = str(file.relative_to(root))
    try:
        if file.name == SPLIT_FILE:
            Split.load(file)
        elif file.name == RECORDS_FILE:
            read_records(file.parent)
        elif file.suffix == ".json":
            parse_json(file.read_text(encoding="utf-8"))
        else:
            for line in file.read_text(encoding="utf-8").splitlines():
                parse_json(line)
    except (OSError, ValueError, UserError) as error:
        return Finding(name, str(error))
    return Finding(name)
