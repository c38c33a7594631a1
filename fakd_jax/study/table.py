"""A study as text, `study.txt`, and as rows, `study.csv`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fakd_jax.reporting.numbers import DASH, count, p_value, percent, points
from fakd_jax.reporting.tables import csv_text, text_table


def study_table(report: Mapping[str, Any]) -> str:
    """Lays out a study for a terminal: for each split its methods, then their differences."""
    blocks = []
    for split in report["study"]["splits"]:
        blocks.append(_methods(split, report))
        differences = [row for row in report["differences"] if row["split"] == split]
        if any(row["seeds"] for row in differences):
            blocks.append(_differences(report["study"]["baseline"], differences))
    blocks.append("\n".join(f"note: {note}" for note in report["notes"]))
    return "\n\n".join(blocks) + "\n"


def study_rows(report: Mapping[str, Any]) -> str:
    """The finished cells as CSV, one row each; an interval as two columns, `_low` and `_high`."""
    rows = []
    for cell in report["cells"]:
        row = dict(cell)
        low, high = row.pop("accuracy_ci95")
        rows.append(row | {"accuracy_low": low, "accuracy_high": high})
    return csv_text(list(rows[0]) if rows else [], (row.values() for row in rows))


def _methods(split: str, report: Mapping[str, Any]) -> str:
    heading = f"{split}: mean ± standard deviation over seeds [95 % interval of the mean]"
    header = ["method", "loss", "seeds", "accuracy", "balanced", "missed tumours", "ECE"]
    body = [
        [
            row["method"],
            report["losses"][row["method"]],
            count(len(row["seeds"]), len(report["study"]["seeds"])),
            _percent(row["metrics"]["accuracy"], interval=True),
            _percent(row["metrics"]["balanced_accuracy"]),
            _percent(row["metrics"]["missed_tumour_rate"], interval=True),
            _percent(row["metrics"]["ece"]),
        ]
        for row in report["summary"]
        if row["split"] == split
    ]
    return f"{heading}\n\n{text_table(header, body)}"


def _differences(baseline: str, rows: Sequence[Mapping[str, Any]]) -> str:
    heading = (
        f"minus {baseline}, paired by seed: points, mean ± standard deviation [95 % interval], "
        "p of the paired t test"
    )
    header = ["method", "accuracy", "p", "missed tumours", "p", "exact p, by seed"]
    body = []
    for row in rows:
        accuracy, missed = row["metrics"]["accuracy"], row["metrics"]["missed_tumour_rate"]
        by_seed = ", ".join(
            f"{test['seed']}: {p_value(test['sign_flip_p'])}" for test in row["mcnemar"]
        )
        body.append(
            [
                row["method"],
                _points(accuracy),
                p_value(accuracy and accuracy["p"]),
                _points(missed),
                p_value(missed and missed["p"]),
                by_seed or DASH,
            ]
        )
    return f"{heading}\n\n{text_table(header, body)}"


def _percent(metric: Mapping[str, Any] | None, *, interval: bool = False) -> str:
    if metric is None:
        return DASH
    return percent(metric["mean"], metric["ci95"] if interval else None, sd=metric["sd"])


def _points(metric: Mapping[str, Any] | None) -> str:
    return DASH if metric is None else points(metric["mean"], metric["ci95"], sd=metric["sd"])
