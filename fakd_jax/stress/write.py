"""The last step of a stress test: its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fakd_jax.metrics.comparison import BETTER, WORSE
from fakd_jax.reporting.figures import save_figure
from fakd_jax.reporting.numbers import decimal, p_value, percent, points
from fakd_jax.reporting.pages import render
from fakd_jax.reporting.tables import csv_text, text_table
from fakd_jax.runs.files import (
    STRESS_FIGURE_FILE,
    STRESS_FILE,
    STRESS_IMAGES_FILE,
    STRESS_PAGE,
    STRESS_ROWS_FILE,
)
from fakd_jax.runtime.atomic_files import write_whole
from fakd_jax.stress.examples import Example
from fakd_jax.stress.figure import plot_stress
from fakd_jax.stress.summary import MILD, WORST_AT

_SHARES = ("missed_tumour", "abstained", "kept")
_VALUES = ("accuracy", "balanced_accuracy", "confidence", "ece", "nll", "brier")
_INTERVALS = ("ci95", "ci95_grouped")


def write_stress(folder: Path, report: Mapping[str, Any], images: str, example: Example) -> str:
    """Writes all files of a stress test, each replaced atomically, and returns its summary.

    Args:
      folder: of the files.
      report: the content of `stress.json`, which is written last.
      images: the content of `stress_images.csv`.
      example: for the page.

    Raises:
      UserError: a file cannot be written.
    """
    save_figure(plot_stress(report), folder / STRESS_FIGURE_FILE)
    figure = (folder / STRESS_FIGURE_FILE).read_bytes()
    write_whole(folder / STRESS_ROWS_FILE, stress_csv(report))
    write_whole(folder / STRESS_IMAGES_FILE, images)
    write_whole(folder / STRESS_PAGE, stress_page(report, figure, example))
    write_whole(folder / STRESS_FILE, json.dumps(report, indent=2, allow_nan=False) + "\n")
    return summary_table(report)


def stress_page(report: Mapping[str, Any], figure: bytes, example: Example) -> str:
    """The page; equal arguments give equal bytes.

    Args:
      report: what `stress.json` holds.
      figure: a PNG.
      example: an image under every condition.
    """
    return render(
        "stress/report.html",
        report=report,
        figure=figure,
        example=example,
        rows=summary_rows(report),
        worst_of=worst_families(report),
        better=BETTER,
        worse=WORSE,
    )


def summary_rows(report: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """The rows of the summary's table, named; none without conditions or with those of another."""
    summary, severity = report["summary"], "at severity 3"
    rows = [
        ("images as they are", summary["clean"]),
        ("mean of all shifts", summary["mean"]),
        *((f"mean of {group}", row) for group, row in summary["by_group"].items()),
    ]
    if max(report["severities"]) > max(MILD):  # else it is the mean of all shifts
        rows.insert(2, ("mean of severities 1 to 3", summary["mean_1_to_3"]))
    worst, at_three = summary["worst"], summary["worst_family_at_3"]
    if at_three:
        rows.append((f"worst {severity}: {at_three['family']}", at_three))
    if worst and (worst["severity"] != WORST_AT or worst["family"] != at_three["family"]):
        rows.append((f"worst of all: {worst['family']}, severity {worst['severity']}", worst))
    return [(name, row) for name, row in rows if row]


def worst_families(report: Mapping[str, Any]) -> dict[int, float]:
    """The lowest accuracy of any family at each severity."""
    accuracies: dict[int, list[float]] = {}
    for row in report["conditions"]:
        accuracies.setdefault(row["severity"], []).append(row["accuracy"])
    return {severity: min(values) for severity, values in accuracies.items()}


def summary_table(report: Mapping[str, Any]) -> str:
    """The summary for a terminal."""
    header = ["", "accuracy", "balanced", "missed tumours", "ECE", "abstained"]
    rows = []
    for name, row in summary_rows(report):
        missed, abstained = row["missed_tumour"], row["abstained"]
        rows.append(
            [
                name,
                percent(row["accuracy"], row.get("accuracy_ci95_grouped") or row["accuracy_ci95"]),
                percent(row["balanced_accuracy"]),
                percent(missed["rate"] if missed else None),
                percent((row.get("calibrated") or row)["ece"]),
                percent(abstained["rate"] if abstained else None),
            ]
        )
    lines = [text_table(header, rows)]
    if comparison := report["comparison"]:
        mean, mce = comparison["mean"], comparison["mce"]
        lines.append(
            f"to the other network: {points(mean['difference'], mean['difference_ci95'])} points "
            f"on average, {p_value(mean['sign_flip_p'], named=True)}; "
            f"mCE {decimal(mce['value'], mce['ci95'], digits=3)}"
        )
    return "\n".join([*lines, *(f"note: {note}" for note in report["notes"])])


def stress_csv(report: Mapping[str, Any]) -> str:
    """One row per condition: the metrics with intervals, and the other network's where compared."""
    own = [_flat(row) for row in report["conditions"]]
    header = ["family", "group", "severity", "amount", "n", *own[0]]
    columns = [[row[key] for key in header[:5]] for row in report["conditions"]]
    rows = [[*first, *values.values()] for first, values in zip(columns, own, strict=True)]
    if report["other"]:
        others = [_flat(row) for row in report["other"]["conditions"]]
        differences = [_bounds(row) for row in report["comparison"]["conditions"]]
        header += [*(f"other_{key}" for key in others[0]), *differences[0]]
        for row, other, difference in zip(rows, others, differences, strict=True):
            row += [*other.values(), *difference.values()]
    return csv_text(header, rows)


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """The metrics of a condition by column."""
    flat: dict[str, Any] = {}
    for name in _VALUES:
        flat[name] = row[name]
        flat |= _ends(name, row.get(f"{name}_ci95_grouped") or row[f"{name}_ci95"])
    for name in _SHARES:
        share = row[name] or dict.fromkeys(("count", "n", "rate", *_INTERVALS))
        flat |= {f"{name}_{key}": share[key] for key in ("count", "n", "rate")}
        flat |= _ends(f"{name}_rate", share["ci95_grouped"] or share["ci95"])
    calibrated = row["calibrated"] or {}
    return flat | {f"calibrated_{name}": calibrated.get(name) for name in ("ece", "nll", "brier")}


def _bounds(difference: Mapping[str, Any]) -> dict[str, Any]:
    """A difference by column."""
    keys = ("difference", "sign_flip_p", "verdict", "only_this_right", "only_other_right")
    flat = {key: difference[key] for key in keys}
    return flat | _ends("difference", difference["difference_ci95"])


def _ends(name: str, interval: list[float] | None) -> dict[str, float | None]:
    low, high = interval or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}
