"""A study as text, `study.txt`, and as rows, `study.csv`."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from fakd_jax.reporting.numbers import DASH, percent
from fakd_jax.reporting.tables import text_table


def study_table(report: Mapping[str, Any]) -> str:
    """Lays out a study for a terminal: of each split the methods, then what they differ by.

    Args:
      report: of :func:`fakd_jax.study.summary.summarise`.

    Returns:
      Lines that end with a newline.
    """
    blocks = []
    for split in report["study"]["splits"]:
        blocks.append(_methods(split, report))
        differences = [row for row in report["differences"] if row["split"] == split]
        if any(row["seeds"] for row in differences):
            blocks.append(_differences(report["study"]["baseline"], differences))
    blocks.append("\n".join(f"note: {note}" for note in report["notes"]))
    return "\n\n".join(blocks) + "\n"


def study_rows(report: Mapping[str, Any]) -> str:
    """The finished cells as CSV, a row each; an interval as two columns, `_low` and `_high`."""
    text = io.StringIO()
    rows = [_flat(row) for row in report["cells"]]
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    low, high = row["accuracy_ci95"]
    ends = {"accuracy_low": low, "accuracy_high": high}
    return {name: value for name, value in row.items() if name != "accuracy_ci95"} | ends


def _methods(split: str, report: Mapping[str, Any]) -> str:
    heading = f"{split}: mean ± standard deviation over seeds [95 % interval of the mean]"
    header = ["method", "loss", "seeds", "accuracy", "balanced", "missed tumours", "ECE"]
    body = []
    for row in report["summary"]:
        if row["split"] == split:
            figures = row["figures"]
            body.append(
                [
                    row["method"],
                    report["losses"][row["method"]],
                    f"{len(row['seeds'])} of {len(report['study']['seeds'])}",
                    _told(figures["accuracy"], interval=True),
                    _told(figures["balanced_accuracy"]),
                    _told(figures["missed_tumour_rate"], interval=True),
                    _told(figures["ece"]),
                ]
            )
    return f"{heading}\n\n{text_table(header, body)}"


def _differences(baseline: str, rows: Sequence[Mapping[str, Any]]) -> str:
    heading = (
        f"less {baseline}, paired by seed: points, mean ± standard deviation [95 % interval], "
        "p of the paired t test"
    )
    header = ["method", "accuracy", "p", "missed tumours", "p", "McNemar's exact p, by seed"]
    body = []
    for row in rows:
        accuracy, missed = row["figures"]["accuracy"], row["figures"]["missed_tumour_rate"]
        by_seed = ", ".join(f"{test['seed']}: {_p(test['p'])}" for test in row["mcnemar"])
        body.append(
            [
                row["method"],
                _points(accuracy),
                _p(accuracy and accuracy["p"]),
                _points(missed),
                _p(missed and missed["p"]),
                by_seed or DASH,
            ]
        )
    return f"{heading}\n\n{text_table(header, body)}"


def _told(figure: Mapping[str, Any] | None, *, interval: bool = False) -> str:
    """`59.00 ± 1.20 % [50.21, 67.79]`; a dash without a value, no spread of one value."""
    if figure is None:
        return DASH
    spread = "" if figure["sd"] is None else f" ± {100 * figure['sd']:.2f}"
    value = percent(figure["mean"], figure["ci95"] if interval else None)
    return value.replace(" %", f"{spread} %", 1)


def _points(figure: Mapping[str, Any] | None) -> str:
    """`+1.20 ± 0.80 [-2.10, +4.50]`, in percentage points."""
    if figure is None:
        return DASH
    spread = "" if figure["sd"] is None else f" ± {100 * figure['sd']:.2f}"
    ends = figure["ci95"]
    interval = f" [{100 * ends[0]:+.2f}, {100 * ends[1]:+.2f}]" if ends else ""
    return f"{100 * figure['mean']:+.2f}{spread}{interval}"


def _p(value: float | None) -> str:
    if value is None:
        return DASH
    return f"{value:.3f}" if value >= 0.0005 else "<0.001"
