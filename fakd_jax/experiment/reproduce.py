"""Runs a finished run again in a workdir of its own, and compares the two."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from fakd_jax.configs import fakd
from fakd_jax.data.splits import Split
from fakd_jax.errors import UserError
from fakd_jax.experiment.record import CONTENT_KEYS, RunRecord
from fakd_jax.experiment.resume import (
    PLACE_KEYS,
    kept_dtype,
    read_config,
    require_same_config,
)
from fakd_jax.experiment.run import train_and_evaluate
from fakd_jax.experiment.settings import ExperimentConfig
from fakd_jax.reporting.tables import text_table
from fakd_jax.runs.comparison import Comparison, compare_runs
from fakd_jax.runs.files import (
    CONFIG_FILE,
    METRICS_FILE,
    REPRODUCTION_FILE,
    SPLIT_FILE,
    evaluation_folder,
)
from fakd_jax.runtime.atomic_files import write_whole
from fakd_jax.runtime.environment import environment_differences
from fakd_jax.training.metric_log import LOGGER


def stored_config(workdir: Path) -> ConfigDict:
    """The config of a run, with the precision that it was trained in.

    A key that `config.json` lacks is newer than the run, which had the default then.

    Raises:
      UserError: the workdir has no `config.json` of a run, or a damaged one.
    """
    stored = read_config(workdir)
    if stored is None or "distillation" not in stored:
        raise UserError(f"{workdir} is no run's workdir; give one that has a run's {CONFIG_FILE}")
    defaults = fakd.get_config().to_dict()
    stored = {k: v for k, v in stored.items() if k in defaults or k not in PLACE_KEYS}
    values = _updated(defaults, stored)
    values["dtype"] = kept_dtype(workdir) or values["dtype"]
    return ConfigDict(values)


def reproduce(config: ExperimentConfig, original: Path, workdir: Path) -> bool:
    """Runs a finished run again and compares split, losses, best weights and metrics.

    Data, a given teacher and pretrained weights must have the digests of the original's. The
    comparison is logged and written to `reproduction.json`.

    Args:
      config: the original's; only places and sources may differ.
      original: the workdir of the finished run.
      workdir: of the new run, which is resumed if it was begun before.

    Returns:
      Whether everything is the same to the last bit.

    Raises:
      UserError: the original is no finished run, has another config, or used other data, teacher
        or weights; or as :func:`fakd_jax.experiment.run.train_and_evaluate`.
      KeyboardInterrupt: interrupted, after saving.
    """
    require_finished(config, original)
    if workdir.resolve() == original.resolve():
        raise UserError(f"{workdir} is the run itself; choose another --workdir")
    allowed = PLACE_KEYS | CONTENT_KEYS
    require_same_config(config.to_dict(), original, allowed, dtype=kept_dtype(original))
    before = RunRecord(original)
    data = {"data.source": Split.load(original / SPLIT_FILE).fingerprint}
    train_and_evaluate(config, workdir, inputs=data | before.inputs)
    comparisons = compare_runs(original, workdir)
    differences = _environment_differences(before, RunRecord(workdir))
    same = all(comparison.is_same for comparison in comparisons)
    values = {
        "original": str(original),
        "same": same,
        "environment": differences,
        "comparisons": [dataclasses.asdict(comparison) for comparison in comparisons],
    }
    text = json.dumps(values, indent=2, allow_nan=False) + "\n"
    write_whole(workdir / REPRODUCTION_FILE, text)
    LOGGER.info("\n%s", describe(comparisons, differences))
    return same


def require_finished(config: ExperimentConfig, workdir: Path) -> None:
    """Checks that a run has evaluated the network that it trains last.

    Raises:
      UserError: it has not.
    """
    file = evaluation_folder(workdir, config.train) / METRICS_FILE
    if not file.is_file():
        raise UserError(
            f"{workdir} is not a finished run: it has no {file.relative_to(workdir)}; give the "
            "workdir of one, or finish it first by the command that began it"
        )


def describe(comparisons: Sequence[Comparison], differences: Sequence[str] | None) -> str:
    """The comparisons as a table, the weights' digests, and what may explain differences.

    Args:
      comparisons: of two runs.
      differences: between the environments of their last starts; None if one is unknown.
    """
    rows = [_row(comparison) for comparison in comparisons]
    lines = [text_table(("", "values", "different", "largest difference", "at"), rows)]
    for comparison in comparisons:
        if comparison.digests is not None:
            first, second = comparison.digests
            both = first if first == second else f"{first}, now {second}"
            lines.append(f"{comparison.name}: sha256 {both}")
    if all(comparison.is_same for comparison in comparisons):
        lines.append("reproduced: everything is the same to the last bit")
        return "\n".join(lines)
    lines.append("not reproduced")
    if differences is None:
        lines.append("the environment of the original is unknown: it has no environment.json")
    elif differences:
        lines.append(f"environment: {'; '.join(differences)}")
    else:
        lines.append("environment: the same versions, devices and flags")
    return "\n".join(lines)


def _updated(values: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A tree of settings with the changes made, group by group."""
    updated = dict(values)
    for key, value in changes.items():
        held = updated.get(key)
        if isinstance(held, dict) and isinstance(value, Mapping):
            value = _updated(held, value)
        updated[key] = value
    return updated


def _row(comparison: Comparison) -> tuple[str, ...]:
    largest = "" if comparison.largest is None else f"{comparison.largest:.3g}"
    counts = (f"{comparison.compared:,}", f"{comparison.different:,}")
    return (comparison.name, *counts, largest, comparison.where)


def _environment_differences(before: RunRecord, after: RunRecord) -> list[str] | None:
    if not (before.starts and after.starts):
        return None
    return environment_differences(_environment(before), _environment(after))


def _environment(record: RunRecord) -> dict[str, Any]:
    """The environment of the last start, without its time and place."""
    return {k: v for k, v in record.starts[-1].items() if k not in ("started", "data")}
