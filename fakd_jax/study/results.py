"""What finished cells left, read back: their figures, and which test images each got right."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from fakd_jax.errors import UserError
from fakd_jax.runs.files import CELL_FILE, METRICS_FILE, PREDICTIONS_FILE, evaluation_folder
from fakd_jax.runs.workdir import read_records
from fakd_jax.runtime.atomic_files import write_whole
from fakd_jax.study.cells import Cell, cell_config

FIGURES = ("accuracy", "balanced_accuracy", "missed_tumour_rate", "ece")
"""The figures of a cell that are averaged over seeds; all are shares in [0, 1]."""


@dataclasses.dataclass(frozen=True)
class CellResult:
    """A finished cell.

    Attributes:
      cell: which.
      metrics: its `metrics.json`.
      right: of each test image, by id, whether its class was told rightly.
      seconds: that it took.
    """

    cell: Cell
    metrics: Mapping[str, Any]
    right: Mapping[str, bool]
    seconds: float

    @property
    def data_fingerprint(self) -> str:
        """Of the data that it was tested on."""
        fingerprint: str = self.metrics["provenance"]["data"]["fingerprint"]
        return fingerprint

    @property
    def figures(self) -> dict[str, float | None]:
        """The cell's `FIGURES`; the missed tumours are None where no class is without one."""
        missed = self.metrics["missed_tumour"]
        return {
            "accuracy": self.metrics["accuracy"],
            "balanced_accuracy": self.metrics["balanced_accuracy"],
            "missed_tumour_rate": missed["rate"] if missed else None,
            "ece": self.metrics["ece"],
        }


@dataclasses.dataclass(frozen=True)
class Replicate:
    """A method under one seed, on all test images of a split.

    Attributes:
      split: of the data.
      seed: of the run.
      method: its name.
      figures: by the names in `FIGURES`; of a k-fold split their means over the folds.
      right: as of :class:`CellResult`; in a k-fold split every image is tested in one fold.
    """

    split: str
    seed: int
    method: str
    figures: Mapping[str, float | None]
    right: Mapping[str, bool]


def is_finished(workdir: Path, cell: Cell) -> bool:
    """Whether a cell has been trained and evaluated to the end."""
    return (workdir / cell.folder / CELL_FILE).is_file()


def mark_finished(config: ConfigDict, workdir: Path, cell: Cell, seconds: float) -> None:
    """Notes that a cell is done and what was evaluated, as the last thing that happens to it.

    Args:
      config: of the study.
      workdir: of the study.
      cell: one of its cells.
      seconds: since the cell was begun or last resumed; what its records tell counts if it is
        more, as in a cell that was interrupted.
    """
    folder = workdir / cell.folder
    recorded = sum(record["seconds"] for record in read_records(folder))
    metrics = json.loads((_report(config, workdir, cell) / METRICS_FILE).read_text("utf-8"))
    content = dataclasses.asdict(cell) | {
        "seconds": max(seconds, recorded),
        "evaluated": _evaluated(metrics),
    }
    write_whole(folder / CELL_FILE, json.dumps(content, indent=2) + "\n")


def _report(config: ConfigDict, workdir: Path, cell: Cell) -> Path:
    """The folder of a cell's own evaluation."""
    return evaluation_folder(workdir / cell.folder, cell_config(config, cell, workdir).train)


def _evaluated(metrics: Mapping[str, Any]) -> dict[str, str]:
    """What an evaluation's figures are of: later ones may have been written over the cell's own."""
    provenance = metrics["provenance"]
    return {
        "weights_sha256": provenance["weights_sha256"],
        "data_fingerprint": provenance["data"]["fingerprint"],
        "split": provenance["split"],
    }


def collect(config: ConfigDict, workdir: Path, cells: Iterable[Cell]) -> list[CellResult]:
    """Reads the finished ones among the cells of a study.

    Raises:
      UserError: what a finished cell wrote is damaged or gone, or another evaluation was written
        over it.
    """
    return [_read(config, workdir, cell) for cell in cells if is_finished(workdir, cell)]


def _read(config: ConfigDict, workdir: Path, cell: Cell) -> CellResult:
    folder = workdir / cell.folder
    report = _report(config, workdir, cell)
    try:
        finished = json.loads((folder / CELL_FILE).read_text(encoding="utf-8"))
        metrics = json.loads((report / METRICS_FILE).read_text(encoding="utf-8"))
        if _evaluated(metrics) != finished.get("evaluated"):
            raise ValueError(
                f"{report} is not of the weights, data and images that {CELL_FILE} names"
            )
        with (report / PREDICTIONS_FILE).open(encoding="utf-8", newline="") as file:
            right = {row["id"]: row["label"] == row["prediction"] for row in csv.DictReader(file)}
        return CellResult(cell, metrics, right, finished["seconds"])
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"the results of the cell {cell} in {folder} are damaged ({error}); delete "
            f"{folder / CELL_FILE} to have it evaluated again"
        ) from error


def require_same_data(results: Sequence[CellResult], fingerprint: str | None = None) -> None:
    """Checks that all cells are of one version of the data.

    Args:
      results: the finished ones.
      fingerprint: of the data that the others will run on; None if that is not known.

    Raises:
      UserError: they are not.
    """
    for result in results:
        expected = fingerprint or results[0].data_fingerprint
        if result.data_fingerprint != expected:
            others = "the next ones would" if fingerprint else f"the cell {results[0].cell}"
            raise UserError(
                f"the cell {result.cell} ran on other data (fingerprint "
                f"{result.data_fingerprint[:12]}) than {others} ({expected[:12]}); a study "
                "compares cells of the same data: bring the former data back, or choose another "
                "--workdir"
            )


def replicates(results: Sequence[CellResult], cells: Sequence[Cell]) -> list[Replicate]:
    """Joins the folds of each split, seed and method; those with a fold missing are left out.

    Args:
      results: the finished cells.
      cells: all cells of the study, in their order.
    """
    by_cell = {result.cell: result for result in results}
    folds: dict[Cell, list[Cell]] = {}
    for cell in cells:
        folds.setdefault(dataclasses.replace(cell, fold=None), []).append(cell)
    return [
        _join(whole, [by_cell[part] for part in parts])
        for whole, parts in folds.items()
        if all(part in by_cell for part in parts)
    ]


def _join(whole: Cell, parts: Sequence[CellResult]) -> Replicate:
    figures = {name: _mean([part.figures[name] for part in parts]) for name in FIGURES}
    right = {id: known for part in parts for id, known in part.right.items()}
    return Replicate(whole.split, whole.seed, whole.method, figures, right)


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean; None if any part has no value, for a mean of the others would be another figure."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None
