"""Where the files of an evaluation lie."""

from __future__ import annotations

from pathlib import Path

METRICS_FILE = "metrics.json"
PREDICTIONS_FILE = "predictions.csv"
VALIDATION_PREDICTIONS_FILE = "val_predictions.csv"
TABLE_FILE = "table2.txt"


def default_output(checkpoint: Path, workdir: Path | None) -> Path:
    """The workdir's `evaluation/`, where a teacher must not overwrite its student's report."""
    if workdir is None:
        return Path("evaluation")
    of_teacher = checkpoint.is_relative_to(workdir / "teacher")
    return workdir / "evaluation" / "teacher" if of_teacher else workdir / "evaluation"


def name_of(checkpoint: Path, workdir: Path | None) -> str:
    """What a report calls a checkpoint: its path in the workdir, which may be moved."""
    return str(checkpoint.relative_to(workdir) if workdir else checkpoint)
