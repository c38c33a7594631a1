"""The last step of an evaluation: its files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fakd_jax.evaluation.collect import Collected, audit_command
from fakd_jax.evaluation.foreign import Assessment
from fakd_jax.evaluation.predictions_file import (
    contents_csv,
    copies_csv,
    foreign_csv,
    groups_csv,
    predictions_csv,
)
from fakd_jax.evaluation.report.explained import explain_mistakes
from fakd_jax.evaluation.report.mistakes import worst_mistakes
from fakd_jax.evaluation.report.page import write_report
from fakd_jax.evaluation.report.text import table2
from fakd_jax.evaluation.setup import Setup
from fakd_jax.runs.files import (
    COPIES_FILE,
    DUPLICATE_GROUPS_FILE,
    FOREIGN_IMAGES_FILE,
    IMAGES_FILE,
    METRICS_FILE,
    PREDICTIONS_FILE,
    TABLE_FILE,
    VALIDATION_PREDICTIONS_FILE,
)
from fakd_jax.runtime.atomic_files import remove, write_whole


def write_evaluation(
    folder: Path,
    setup: Setup,
    collected: Collected,
    metrics: Mapping[str, Any],
    assessment: Assessment | None,
    explained: int,
) -> str:
    """Writes all files of an evaluation, each replaced atomically, and returns `table2.txt`.

    Args:
      folder: of the evaluation.
      setup: the network and the images.
      collected: what the metrics are computed from.
      metrics: what `metrics.json` holds.
      assessment: which images are foreign or poor; None if that is not known.
      explained: how many mistakes to explain.

    Raises:
      UserError: a file cannot be written, or the workdir's records are damaged.
    """
    predictions, names, table = collected.predictions, collected.class_names, table2(metrics)
    write_whole(folder / METRICS_FILE, json.dumps(metrics, indent=2, allow_nan=False) + "\n")
    write_whole(folder / PREDICTIONS_FILE, predictions_csv(predictions, names))
    write_whole(folder / IMAGES_FILE, contents_csv(setup.dataset.contents(predictions.ids)))
    write_whole(folder / TABLE_FILE, table)
    validation_file = folder / VALIDATION_PREDICTIONS_FILE
    if collected.validation is None:
        remove(validation_file)  # of an earlier evaluation
    else:
        write_whole(validation_file, predictions_csv(collected.validation, names))
    groups_file = folder / DUPLICATE_GROUPS_FILE
    if collected.groups is None:
        remove(groups_file)
    else:
        write_whole(groups_file, groups_csv(predictions.ids, collected.groups))
    copies_file = folder / COPIES_FILE
    if setup.external is None or not setup.external.copies:
        remove(copies_file)
    else:
        write_whole(copies_file, copies_csv(setup.external.copies.found))
    foreign_file = folder / FOREIGN_IMAGES_FILE
    if assessment is None:  # a reference of an earlier evaluation still is that of its weights
        remove(foreign_file)
    else:
        assessment.reference.save(folder)
        write_whole(foreign_file, foreign_csv(predictions.ids, assessment))
    mistakes = worst_mistakes(
        setup.dataset,
        predictions.ids,
        predictions.labels,
        predictions.probabilities,
        duplicates=collected.duplicates.in_training if collected.duplicates else None,
        groups=collected.groups,
    )
    mistakes = explain_mistakes(setup.predictor, mistakes, explained)
    command = audit_command(setup.dataset.source, setup.cache_dir, setup.dataset.class_map)
    write_report(folder, metrics, mistakes, setup.workdir, audit_command=command)
    return table
