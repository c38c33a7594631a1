"""A study as text, `study.txt`, and as rows, `study.csv`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fakd_jax.reporting.numbers import DASH, count, p_value, percent, points
from fakd_jax.reporting.tables import csv_text, text_table


def study_table(report: Mapping[str, Any]) -> str:
    """Lays out a study for a terminal: for each split its methods, then their differences.

    Differences from one reference are a table of their own.
    """
    blocks = []
    stressed = bool(report["study"]["stress"])
    for split in report["study"]["splits"]:
        blocks.append(_methods(split, report))
        by_reference: dict[str, list[Mapping[str, Any]]] = {}
        for row in report["differences"]:
            if row["split"] == split:
                by_reference.setdefault(row["reference"], []).append(row)
        for reference, rows in by_reference.items():
            if any(row["seeds"] for row in rows):
                blocks.append(_differences(reference, rows, stressed=stressed))
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
    stressed = bool(report["study"]["stress"])
    header = ["method", "loss", "seeds", "accuracy", "balanced", "missed tumours", "ECE"]
    if stressed:
        header += ["accuracy, shifts", "worst, shifts", "missed, shifts", "ECE, shifts"]
    body = []
    for row in report["summary"]:
        if row["split"] != split:
            continue
        metrics = row["metrics"]
        cells = [
            row["method"],
            report["losses"][row["method"]],
            count(len(row["seeds"]), len(report["study"]["seeds"])),
            _percent(metrics["accuracy"], interval=True),
            _percent(metrics["balanced_accuracy"]),
            _percent(metrics["missed_tumour_rate"], interval=True),
            _percent(metrics["ece"]),
        ]
        if stressed:
            cells += [
                _percent(metrics["stress_accuracy"], interval=True),
                _percent(metrics["stress_worst_accuracy"]),
                _percent(metrics["stress_missed_tumour_rate"]),
                _percent(metrics["stress_ece"]),
            ]
        body.append(cells)
    return f"{heading}\n\n{text_table(header, body)}"


def _differences(reference: str, rows: Sequence[Mapping[str, Any]], *, stressed: bool) -> str:
    heading = (
        f"minus {reference}, paired by seed: points, mean ± standard deviation [95 % interval], "
        "p of the paired t test; exact p by groups of images, over all seeds and by seed"
    )
    header = ["method", "accuracy", "p", "missed tumours", "p"]
    names = ["accuracy", "missed_tumour_rate"]
    if stressed:
        header += ["accuracy, shifts", "p", "exact p, shifts"]
        names += ["stress_accuracy"]
    header += ["exact p", "exact p, by seed"]
    body = []
    for row in rows:
        by_seed = ", ".join(
            f"{test['seed']}: {p_value(test['sign_flip_p'])}" for test in row["mcnemar"]
        )
        cells = [row["method"]]
        for name in names:
            metric = row["metrics"][name]
            cells += [_points(metric), p_value(metric and metric["p"])]
        if stressed:
            cells.append(p_value(row["stress_sign_flip_p"]))
        body.append([*cells, p_value(row["sign_flip_p"]), by_seed or DASH])
    return f"{heading}\n\n{text_table(header, body)}"


def _percent(metric: Mapping[str, Any] | None, *, interval: bool = False) -> str:
    if metric is None:
        return DASH
    return percent(metric["mean"], metric["ci95"] if interval else None, sd=metric["sd"])


def _points(metric: Mapping[str, Any] | None) -> str:
    return DASH if metric is None else points(metric["mean"], metric["ci95"], sd=metric["sd"])
