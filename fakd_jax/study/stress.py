"""The cells of a study under shifts of their test images: `config.study.stress`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from ml_collections import ConfigDict

from fakd_jax.errors import UserError
from fakd_jax.experiment.settings import ExperimentConfig
from fakd_jax.runs.files import STRESS_FILE, STRESS_FOLDER, STRESS_IMAGES_FILE, evaluation_folder
from fakd_jax.runtime.json_text import parse_json
from fakd_jax.shifts.families import FAMILIES
from fakd_jax.stress.conditions import SEVERITIES, choose_families
from fakd_jax.stress.images_file import StressedImage, read_stressed_images
from fakd_jax.stress.run import stress_checkpoint
from fakd_jax.study.lists import require_distinct, require_names
from fakd_jax.training.metric_log import LOGGER

STRESS_METRICS = (
    "stress_accuracy",
    "stress_worst_accuracy",
    "stress_missed_tumour_rate",
    "stress_ece",
)
"""The metrics of a cell under shifts; all lie in [0, 1]."""


@dataclasses.dataclass(frozen=True)
class StressPlan:
    """The conditions under which every cell is measured.

    Attributes:
      severities: in ascending order, some of 1 to 5.
      families: of shifts, in the order of :data:`fakd_jax.shifts.families.FAMILIES`.
    """

    severities: tuple[int, ...]
    families: tuple[str, ...]

    def record(self) -> dict[str, Any]:
        """The plan as JSON-able values."""
        return {"severities": list(self.severities), "families": list(self.families)}


@dataclasses.dataclass(frozen=True)
class StressResult:
    """A cell's network under the shifts of the plan.

    Attributes:
      metrics: by the names in `STRESS_METRICS`. Accuracy, missed tumours and ECE (as predicted,
        without a temperature) are means over the conditions; the worst accuracy is that of the
        worst family at the highest severity.
      worst_family: its name.
      images: how each image fared, by id.
      provenance: of the network and its images.
    """

    metrics: Mapping[str, float | None]
    worst_family: str
    images: Mapping[str, StressedImage]
    provenance: Mapping[str, Any]


def stress_plan(config: ConfigDict) -> StressPlan | None:
    """The plan in a study's config; None if no severities are given.

    Raises:
      UserError: an unknown family or severity, one that is repeated, or families without
        severities.
    """
    stress = config.study.get("stress", {})  # older configs lack it
    severities, families = tuple(stress.get("severities", ())), stress.get("families", ())
    if not severities:
        if families:
            raise UserError(
                "config.study.stress.families has no effect without config.study.stress.severities;"
                " give some of 1, 2, 3, 4, 5"
            )
        return None
    if not all(type(severity) is int and severity in SEVERITIES for severity in severities):
        raise UserError(
            f"config.study.stress.severities={severities} must be some of 1, 2, 3, 4, 5"
        )
    names = tuple(families)
    require_distinct("stress.severities", severities)
    require_names("stress.families", names)
    require_distinct("stress.families", names)
    try:
        chosen = choose_families(FAMILIES, names)
    except UserError as error:
        raise UserError(f"config.study.stress.families: {error}") from error
    return StressPlan(tuple(sorted(severities)), tuple(chosen))


def stress_cell(settings: ExperimentConfig, workdir: Path, plan: StressPlan) -> None:
    """Measures the best checkpoint of a cell under shifts, or goes on where it was stopped.

    Args:
      settings: the cell's.
      workdir: the cell's.
      plan: the conditions.

    Raises:
      UserError: see :func:`fakd_jax.stress.run.stress_checkpoint`.
    """
    LOGGER.info("measuring the %s under shifts of the test images", settings.train)
    stress_checkpoint(
        workdir / settings.train,
        source=settings.data.source,
        output=stress_folder(workdir, settings),
        families=plan.families,
        severities=plan.severities,
        cache_dir=settings.data.cache_dir,
        batch_size=settings.eval_batch_size,
        log=LOGGER.debug,
    )


def stress_folder(workdir: Path, settings: ExperimentConfig) -> Path:
    """Where the stress test of a cell belongs: in the folder of its evaluation."""
    return evaluation_folder(workdir, settings.train) / STRESS_FOLDER


def read_stress(folder: Path, plan: StressPlan) -> StressResult:
    """Reads the stress test of a cell.

    Raises:
      OSError, KeyError, ValueError, UserError: its files are missing or damaged, or of other
        conditions.
    """
    report = parse_json((folder / STRESS_FILE).read_text(encoding="utf-8"))
    measured = {"severities": report["severities"], "families": list(report["families"])}
    if measured != plan.record():
        raise ValueError(f"{folder} is not of the severities and families of config.study.stress")
    shifted = [row for row in report["conditions"] if row["severity"]]
    strongest = [row for row in shifted if row["severity"] == plan.severities[-1]]
    worst = min(strongest, key=lambda row: row["accuracy"])
    mean = report["summary"]["mean"]
    missed = mean["missed_tumour"] or {"rate": None}  # None without a negative class
    metrics = {
        "stress_accuracy": mean["accuracy"],
        "stress_worst_accuracy": worst["accuracy"],
        "stress_missed_tumour_rate": missed["rate"],
        "stress_ece": fmean(row["ece"] for row in shifted),
    }
    images = read_stressed_images(folder / STRESS_IMAGES_FILE)
    return StressResult(metrics, worst["family"], images, report["provenance"])
