"""Writes the report of an evaluation: `report.html` and the pictures in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fakd_jax.errors import UserError
from fakd_jax.evaluation.report.detection_plots import plot_precision_recall, plot_roc
from fakd_jax.evaluation.report.mistakes import Mistake
from fakd_jax.evaluation.report.plots import (
    plot_confusion_matrix,
    plot_curves,
    plot_reliability,
    plot_risk_coverage,
)
from fakd_jax.evaluation.report.text import chosen_threshold, verdict_sentence
from fakd_jax.metrics.classification import NOT_ASKED_FOR, WHY_NO_THRESHOLD
from fakd_jax.reporting.figures import save_figure
from fakd_jax.reporting.pages import render
from fakd_jax.reporting.related import link_pages
from fakd_jax.runs.files import (
    CONFIG_FILE,
    CONFUSION_MATRIX_FILE,
    CURVES_FILE,
    PRECISION_RECALL_FILE,
    RELIABILITY_FILE,
    REPORT_FILE,
    RISK_COVERAGE_FILE,
    ROC_FILE,
)
from fakd_jax.runs.workdir import read_records
from fakd_jax.runtime.atomic_files import write_whole
from fakd_jax.runtime.json_text import parse_json


def write_report(
    folder: Path,
    metrics: Mapping[str, Any],
    mistakes: Sequence[Mistake],
    workdir: Path | None,
    *,
    audit_command: str,
) -> None:
    """Draws the pictures and writes `report.html`, each file replaced atomically.

    Pictures: `confusion_matrix.png`, `reliability.png`, `risk_coverage.png`; where there are images
    with and without a tumour, `roc.png` and `precision_recall.png`; where the workdir records
    epochs, `curves.png`.

    Args:
      folder: of the report.
      metrics: what `metrics.json` holds.
      mistakes: the wrong predictions to show, in order.
      workdir: of the run; None if there is none.
      audit_command: audits the data; shown where that has not been done.

    Raises:
      UserError: a file cannot be written, or the workdir's records are damaged.
    """
    figures = {
        CONFUSION_MATRIX_FILE: plot_confusion_matrix(metrics),
        RELIABILITY_FILE: plot_reliability(metrics["calibration"]),
        RISK_COVERAGE_FILE: plot_risk_coverage(metrics["selective"]),
    }
    if metrics["tumour"] is not None:
        figures[ROC_FILE] = plot_roc(metrics["tumour"])
        figures[PRECISION_RECALL_FILE] = plot_precision_recall(metrics["tumour"])
    if workdir is not None and (records := read_records(workdir)):
        figures[CURVES_FILE] = plot_curves(records)
    pictures = {}
    for name, figure in figures.items():
        save_figure(figure, folder / name)
        pictures[Path(name).stem] = (folder / name).read_bytes()
    page = html_report(metrics, pictures, mistakes, _read_settings(workdir), audit_command)
    write_whole(folder / REPORT_FILE, page)
    link_pages(folder / REPORT_FILE)


def html_report(
    metrics: Mapping[str, Any],
    pictures: Mapping[str, bytes],
    mistakes: Sequence[Mistake],
    settings: Mapping[str, Any] | None,
    audit_command: str,
) -> str:
    """Lays out an evaluation; equal arguments give equal bytes.

    Args:
      metrics: see :func:`write_report`; what is None there is reported as not known, and why.
      pictures: PNG files' contents by name; `roc`, `precision_recall` and `curves` may be missing.
      mistakes: see there.
      settings: the training's configuration (`config.json` of its workdir); None if not known.
      audit_command: see there.

    Raises:
      KeyError, jinja2.UndefinedError: `metrics` or `settings` lack a key.
    """
    matrix, bins = metrics["confusion_matrix"], metrics["calibration"]["bins"]
    return render(
        "evaluation/report.html",
        metrics=metrics,
        pictures=pictures,
        mistakes=mistakes,
        settings=settings,
        audit_command=audit_command,
        wrong=metrics["n"] - sum(row[index] for index, row in enumerate(matrix)),
        mean_confidence=sum(row["n"] * row["confidence"] for row in bins if row["n"])
        / metrics["n"],
        not_asked_for=NOT_ASKED_FOR in metrics["notes"],
        why_no_threshold=WHY_NO_THRESHOLD,
        verdict=metrics["comparison"] and verdict_sentence(metrics["comparison"]),
        chosen_threshold=chosen_threshold,
        flat=flat,
    )


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as dotted names and values, in their order.

    >>> list(flat({"seed": 0, "data": {"split": "official"}}))
    [('seed', 0), ('data.split', 'official')]
    """
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _read_settings(workdir: Path | None) -> dict[str, Any] | None:
    """The training's configuration; None without a workdir, or where it has none."""
    file = workdir / CONFIG_FILE if workdir else None
    if file is None or not file.is_file():
        return None
    try:
        settings: dict[str, Any] = parse_json(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file} is damaged ({error}); repair or delete it") from error
    return settings
