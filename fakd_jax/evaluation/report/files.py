"""Writes `report.html` and its pictures beside the other files of an evaluation."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from fakd_jax.errors import UserError
from fakd_jax.evaluation.report.confidence_plots import plot_reliability, plot_risk_coverage
from fakd_jax.evaluation.report.mistakes import read_mistakes, worst_mistakes
from fakd_jax.evaluation.report.page import Pictures, html_report
from fakd_jax.runs.files import CONFIG_FILE
from fakd_jax.runs.workdir import read_records
from fakd_jax.runtime.atomic_files import write_whole

if TYPE_CHECKING:
    from fakd_jax.data.dataset import ImageDataset

MISTAKES_SHOWN = 24


def write_report(
    folder: Path,
    metrics: Mapping[str, Any],
    dataset: ImageDataset,
    ids: Sequence[str],
    labels: Int[np.ndarray, " N"],
    probabilities: Float[np.ndarray, "N C"],
    workdir: Path | None,
    *,
    how_to_audit: str,
    duplicates: Mapping[str, str] | None = None,
) -> None:
    """Writes `reliability.png`, `risk_coverage.png` and `report.html`, each replaced atomically.

    Args:
      folder: of the report; `confusion_matrix.png` is there already and, where the workdir has a
        record of epochs, `curves.png`.
      metrics: what `metrics.json` holds.
      dataset: that has the images.
      ids: of the examples evaluated.
      labels: of each.
      probabilities: of each; rows sum to 1.
      workdir: of the run; None if there is none.
      how_to_audit: the command that audits the data.
      duplicates: the id of a duplicate among the training images, by the id of an example; None if the data
        has not been audited, or the training images are not known.

    Raises:
      UserError: a file cannot be written, or the workdir's records are damaged.
      KeyError: `metrics` lacks a key.
    """
    plot_reliability(metrics["calibration"], folder / "reliability.png")
    plot_risk_coverage(metrics["selective"], folder / "risk_coverage.png")
    has_curves = workdir is not None and bool(read_records(workdir))
    worst = worst_mistakes(ids, labels, probabilities, MISTAKES_SHOWN)
    text = html_report(
        metrics,
        pictures=Pictures(
            confusion_matrix=(folder / "confusion_matrix.png").read_bytes(),
            reliability=(folder / "reliability.png").read_bytes(),
            risk_coverage=(folder / "risk_coverage.png").read_bytes(),
            curves=(folder / "curves.png").read_bytes() if has_curves else None,
        ),
        mistakes=read_mistakes(worst, dataset, ids, labels, probabilities, duplicates),
        settings=_read_settings(workdir),
        how_to_audit=how_to_audit,
    )
    write_whole(folder / "report.html", text)


def _read_settings(workdir: Path | None) -> dict[str, Any] | None:
    """The training's configuration; None where there is no workdir, or none in it."""
    file = workdir / CONFIG_FILE if workdir else None
    if file is None or not file.is_file():
        return None
    try:
        settings: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{file} is damaged ({error}); mend it or delete it") from error
    return settings
