"""The results of cells: how they are marked, and read back from their workdirs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fakd_jax.errors import UserError
from fakd_jax.evaluation.predictions_file import read_duplicate_groups, read_predictions
from fakd_jax.runs.files import (
    CELL_FILE,
    DUPLICATE_GROUPS_FILE,
    FAILED_FILE,
    METRICS_FILE,
    PREDICTIONS_FILE,
    STRESS_FOLDER,
    evaluation_folder,
)
from fakd_jax.runs.workdir import read_records
from fakd_jax.runtime.atomic_files import write_whole
from fakd_jax.runtime.json_text import parse_json, require_shape
from fakd_jax.stress.images_file import StressedImage
from fakd_jax.study.cells import Cell, Study
from fakd_jax.study.stress import StressPlan, StressResult, read_stress

METRICS = ("accuracy", "balanced_accuracy", "missed_tumour_rate", "ece")
"""The metrics of a cell that are averaged over seeds; all lie in [0, 1].

Where the study measures under shifts, there are those of `STRESS_METRICS` too.
"""


@dataclasses.dataclass(frozen=True)
class CellResult:
    """A finished cell: its `metrics.json`, and by id which test images it classified correctly.

    `groups` has the duplicate group of each image that has duplicates among them, by id; `stress`
    is None unless the study measures under shifts.
    """

    cell: Cell
    evaluation: Mapping[str, Any]
    right: Mapping[str, bool]
    seconds: float
    groups: Mapping[str, str] = dataclasses.field(default_factory=dict)
    stress: StressResult | None = None

    @property
    def data_fingerprint(self) -> str:
        """Of the data that it was tested on."""
        return str(self.evaluation["provenance"]["data"]["fingerprint"])

    @property
    def metrics(self) -> dict[str, float | None]:
        """The cell's `METRICS`, then its `STRESS_METRICS` if it was measured under shifts.

        The missed tumours are None without a negative class.
        """
        missed = self.evaluation["missed_tumour"] or {"rate": None}
        return {
            "accuracy": self.evaluation["accuracy"],
            "balanced_accuracy": self.evaluation["balanced_accuracy"],
            "missed_tumour_rate": missed["rate"],
            "ece": self.evaluation["ece"],
            **(self.stress.metrics if self.stress else {}),
        }


@dataclasses.dataclass(frozen=True)
class Replicate:
    """A method under one seed, on all test images of a split.

    Attributes:
      cell: without a fold.
      metrics: as in :class:`CellResult`; for a k-fold split their means over the folds.
      right: likewise; a k-fold split tests every image in one fold.
      groups: likewise.
      stressed: how each image fared under shifts, by id; empty without a stress test.
    """

    cell: Cell
    metrics: Mapping[str, float | None]
    right: Mapping[str, bool]
    groups: Mapping[str, str]
    stressed: Mapping[str, StressedImage]


def is_evaluated(study: Study, cell: Cell) -> bool:
    """Whether a cell has been trained and evaluated: its network may teach others."""
    return (study.folder(cell) / CELL_FILE).is_file()


def is_finished(study: Study, cell: Cell) -> bool:
    """Whether nothing is left to do: a cell is evaluated and, where asked for, stressed.

    Raises:
      UserError: its mark is damaged.
    """
    if not is_evaluated(study, cell) or study.stress is None:
        return is_evaluated(study, cell)
    stressed = _read_mark(study, cell).get("stress") or {}
    return stressed.get("plan") == study.stress.record()


def unfinished(study: Study) -> list[Cell]:
    """The cells that have neither finished nor failed, in the order of running."""
    failed = failures(study)
    return [cell for cell in study.cells if cell not in failed and not is_finished(study, cell)]


def is_ready(study: Study, cell: Cell) -> bool:
    """Whether a cell can run: its teacher, if it needs one, has been trained."""
    teacher = study.teacher_of(cell)
    return teacher is None or is_evaluated(study, teacher)


def mark_evaluated(study: Study, cell: Cell, seconds: float) -> None:
    """Writes the mark of a cell, after its evaluation: its running time, and what was evaluated.

    The time is `seconds`, or the sum of the cell's records if that is more (it was resumed).
    """
    folder = study.folder(cell)
    recorded = sum(record["seconds"] for record in read_records(folder))
    evaluation = parse_json((_report(study, cell) / METRICS_FILE).read_text("utf-8"))
    content = dataclasses.asdict(cell) | {
        "seconds": max(seconds, recorded),
        "evaluated": _evaluated(evaluation["provenance"]),
    }
    _write_mark(study, cell, content)


def mark_stressed(study: Study, cell: Cell, plan: StressPlan, seconds: float) -> None:
    """Adds to the mark of a cell that its stress test is done, and how long that took.

    Raises:
      UserError: the mark is damaged.
    """
    stress = {"plan": plan.record(), "seconds": seconds}
    _write_mark(study, cell, _read_mark(study, cell) | {"stress": stress})


def mark_failed(study: Study, cell: Cell, reason: str) -> None:
    """Records why a cell cannot finish, so that a resumed study skips it."""
    write_whole(study.folder(cell) / FAILED_FILE, reason + "\n")


def failures(study: Study) -> dict[Cell, str]:
    """The cells that cannot finish, and why: their loss, or their teacher's, was not finite."""
    found: dict[Cell, str] = {}
    for cell in study.cells:
        file = study.folder(cell) / FAILED_FILE
        if is_evaluated(study, cell):
            continue
        if file.is_file():
            found[cell] = file.read_text(encoding="utf-8").strip()
        elif study.teacher_of(cell) in found:
            found[cell] = "its teacher failed"
    return found


def read_results(study: Study) -> list[CellResult]:
    """Reads the results of the finished cells.

    Raises:
      UserError: a cell's files are damaged or missing, or another evaluation replaced its own.
    """
    return [_read(study, cell) for cell in study.cells if is_finished(study, cell)]


def require_same_data(results: Sequence[CellResult], fingerprint: str | None = None) -> None:
    """Checks that all cells ran on the same data, that of `fingerprint` if given.

    Raises:
      UserError: they did not.
    """
    for result in results:
        expected = fingerprint or results[0].data_fingerprint
        if result.data_fingerprint != expected:
            others = "the next ones would" if fingerprint else f"the cell {results[0].cell}"
            raise UserError(
                f"the cell {result.cell} ran on other data ({result.data_fingerprint[:12]}) than "
                f"{others} ({expected[:12]}); restore the data or choose another --workdir"
            )


def replicates(results: Sequence[CellResult], cells: Sequence[Cell]) -> dict[Cell, Replicate]:
    """Joins the folds of the cells, where all are finished; by cells without a fold."""
    by_cell = {result.cell: result for result in results}
    folds: dict[Cell, list[Cell]] = {}
    for cell in cells:
        folds.setdefault(dataclasses.replace(cell, fold=None), []).append(cell)
    joined = {}
    for whole, parts in folds.items():
        if by_cell.keys() >= set(parts):
            found = [by_cell[part] for part in parts]
            names = found[0].metrics
            metrics = {name: _mean([result.metrics[name] for result in found]) for name in names}
            right = {id: known for result in found for id, known in result.right.items()}
            groups = {id: group for result in found for id, group in result.groups.items()}
            tests = [result.stress for result in found if result.stress]
            stressed = {id: image for test in tests for id, image in test.images.items()}
            joined[whole] = Replicate(whole, metrics, right, groups, stressed)
    return joined


def _report(study: Study, cell: Cell) -> Path:
    return evaluation_folder(study.folder(cell), study.settings[cell].train)


def _write_mark(study: Study, cell: Cell, content: Mapping[str, Any]) -> None:
    write_whole(study.folder(cell) / CELL_FILE, json.dumps(content, indent=2) + "\n")


def _read_mark(study: Study, cell: Cell) -> dict[str, Any]:
    file = study.folder(cell) / CELL_FILE
    try:
        content: dict[str, Any] = parse_json(file.read_text(encoding="utf-8"))
        require_shape(content, {"stress?": {"plan": {}, "seconds": float}})
    except (OSError, ValueError) as error:
        raise _damaged(cell, file, error) from error
    return content


def _evaluated(provenance: Mapping[str, Any]) -> dict[str, str]:
    """What a report measured: a later one may have replaced the cell's own."""
    return {
        "weights_sha256": provenance["weights_sha256"],
        "data_fingerprint": provenance["data"]["fingerprint"],
        "split": provenance["split"],
    }


def _read(study: Study, cell: Cell) -> CellResult:
    file, report = study.folder(cell) / CELL_FILE, _report(study, cell)
    mark = _read_mark(study, cell)
    try:
        evaluation = parse_json((report / METRICS_FILE).read_text(encoding="utf-8"))
        _require_own(report, evaluation["provenance"], mark)
        predictions = read_predictions(report / PREDICTIONS_FILE)
        right = {id: prediction.right for id, prediction in predictions.items()}
        groups_file = report / DUPLICATE_GROUPS_FILE  # of audited data
        groups = read_duplicate_groups(groups_file) if groups_file.is_file() else {}
        seconds: float = mark["seconds"]
        stress: StressResult | None = None
        if study.stress:
            stress = read_stress(report / STRESS_FOLDER, study.stress)
            _require_own(report / STRESS_FOLDER, stress.provenance, mark)
            if stress.images.keys() != right.keys():
                raise ValueError(f"{report / STRESS_FOLDER} is of other images than the evaluation")
            seconds += mark["stress"]["seconds"]
        return CellResult(cell, evaluation, right, seconds, groups, stress)
    except (OSError, ValueError, KeyError, TypeError, UserError) as error:
        raise _damaged(cell, file, error) from error


def _require_own(folder: Path, provenance: Mapping[str, Any], mark: Mapping[str, Any]) -> None:
    if _evaluated(provenance) != mark.get("evaluated"):
        raise ValueError(f"{folder} is not of the weights, data and images that it names")


def _damaged(cell: Cell, file: Path, error: Exception) -> UserError:
    return UserError(
        f"the results of the cell {cell} are damaged ({error}); delete {file} to have it "
        "evaluated again"
    )


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean; None if any value is: the mean of the others would be another metric."""
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None
