"""The stress test in an evaluation's folder, if it is of the same network and images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fakd_jax.errors import UserError
from fakd_jax.runs.files import STRESS_FILE, STRESS_FOLDER, STRESS_PAGE
from fakd_jax.runtime.json_text import parse_json

_ROWS = ("clean", "mean", "mean_1_to_3", "worst_family_at_3", "worst")
_METRICS = ("accuracy", "accuracy_ci95", "missed_tumour")


def find_stress(folder: Path, provenance: Mapping[str, Any]) -> dict[str, Any] | None:
    """`stress` of `metrics.json`: the summary of the stress test in `stress/`.

    Args:
      folder: of the evaluation.
      provenance: of the evaluation.

    Returns:
      `page` (relative to the folder), `families` (their number), `severities`, and `summary`: of
      the rows `clean`, `mean`, `mean_1_to_3`, `worst_family_at_3` and `worst` in `stress.json` the
      accuracy, the missed tumours and, of a single shift, `family` and `severity`. None if
      there is no test, or if it is of another network or of other images.

    Raises:
      UserError: the file is damaged.
    """
    file = folder / STRESS_FOLDER / STRESS_FILE
    if not file.is_file():
        return None
    try:
        report = parse_json(file.read_text(encoding="utf-8"))
        if _tested(report["provenance"]) != _tested(provenance):
            return None
        summary = {name: _row(report["summary"][name]) for name in _ROWS}
        families, severities = len(report["families"]), list(report["severities"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{file} is damaged ({error!r}); repair or delete it") from error
    return {
        "page": f"{STRESS_FOLDER}/{STRESS_PAGE}",
        "families": families,
        "severities": severities,
        "summary": summary,
    }


def _tested(provenance: Mapping[str, Any]) -> tuple[str, str, str]:
    """The network and the images."""
    weights, split = provenance["weights_sha256"], provenance["split"]
    return weights, split, provenance["data"]["fingerprint"]


def _row(row: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if row is None:
        return None
    keys = ("family", "severity") if row.get("severity") else ()
    condition = {key: row[key] for key in keys}
    return condition | {key: row[key] for key in _METRICS}
