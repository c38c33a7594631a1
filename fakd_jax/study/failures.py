"""Cells of a study that cannot end: their loss ceased to be finite, or their teacher's did."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

from fakd_jax.runs.files import FAILED_FILE
from fakd_jax.runtime.atomic_files import write_whole
from fakd_jax.study.cells import Cell, cell_config, teacher_method
from fakd_jax.study.results import is_finished


def mark_failed(workdir: Path, cell: Cell, reason: str) -> None:
    """Notes why a cell cannot end, so that a study that goes on leaves it out.

    Args:
      workdir: of the study.
      cell: one of its cells.
      reason: what its run said.
    """
    write_whole(workdir / cell.folder / FAILED_FILE, reason + "\n")


def failures(config: ConfigDict, workdir: Path, cells: Sequence[Cell]) -> dict[Cell, str]:
    """The cells that cannot end, and why.

    Args:
      config: of the study.
      workdir: of the study.
      cells: in their order, teachers before their students.
    """
    found: dict[Cell, str] = {}
    for cell in cells:
        file = workdir / cell.folder / FAILED_FILE
        teacher = cell.of_method(teacher_method(config))
        if is_finished(workdir, cell):
            continue
        if file.is_file():
            found[cell] = file.read_text(encoding="utf-8").strip()
        elif teacher in found and cell_config(config, cell, workdir).needs_teacher:
            found[cell] = "its teacher failed"
    return found
