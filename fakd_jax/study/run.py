"""Runs a study, or what is left of it, and reports on all its cells."""

from __future__ import annotations

from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any, Protocol

from ml_collections import ConfigDict

from fakd_jax.errors import UserError
from fakd_jax.experiment.resume import (
    PLACE_KEYS,
    read_config,
    require_same_config,
    resume_dtype,
    write_config,
)
from fakd_jax.runs.files import FAILED_FILE
from fakd_jax.study.cells import Study, open_study
from fakd_jax.study.engines.local import LocalEngine
from fakd_jax.study.report import write_report
from fakd_jax.study.results import failures, is_finished, unfinished
from fakd_jax.study.table import study_table
from fakd_jax.training.metric_log import LOGGER


class Engine(Protocol):
    """What runs the cells of a study."""

    def compute_dtype(self, name: str) -> str:
        """The precision called `name`; "auto" is that of the devices that run the cells."""

    def run(self, study: Study) -> None:
        """Runs the unfinished cells and writes the report after each."""


STUDY_PLACE_KEYS = PLACE_KEYS | {"data.source"}  # its content is compared before every cell


def run_study(config: ConfigDict, workdir: Path, engine: Engine | None = None) -> dict[str, Any]:
    """Runs the unfinished cells of a study and reports on all of them.

    Seeds, splits, methods, comparisons and a stress test may be added at any time: what is finished
    stays. A cell whose loss is no longer finite is skipped, and so are the cells that need it as
    their teacher.

    Args:
      config: as in `configs/study.py`.
      workdir: has a workdir `<split>/seed<k>/<method>/` for each cell; `study.json`, `study.txt`,
        `study.csv` and `study.png` are rewritten after every cell.
      engine: runs the cells; None takes this process.

    Returns:
      The content of `study.json`.

    Raises:
      UserError: not a study's config, the workdir of another study, data that changed since its
        cells ran, or an error in a cell's run; at the end, if cells had to be skipped.
      KeyboardInterrupt: interrupted; call again to resume.
    """
    engine = engine or LocalEngine()
    study = open_study(config, workdir)
    may_differ = {f"base.{key}" for key in STUDY_PLACE_KEYS}
    _require_same_study(config, workdir, may_differ | {"base.dtype"})
    if config.base.dtype == "auto":  # resolved last: an engine may have to be started for it
        config = config.copy_and_resolve_references()
        config.base.dtype = _auto_dtype(study, engine)
        study = open_study(config, workdir)
    _require_same_study(config, workdir, may_differ)
    write_config(_shared(config), workdir)
    try:
        engine.run(study)
    except KeyboardInterrupt:
        count = f"{sum(is_finished(study, cell) for cell in study.cells)} of {len(study.cells)}"
        LOGGER.info("%s cells are finished; run the same command to resume", count)
        raise
    report = write_report(study)
    LOGGER.info("\n%s", study_table(report))
    LOGGER.info("report: %s (study.csv, study.json, study.png, study.txt)", workdir)
    if failed := failures(study):
        cell, reason = next(iter(failed.items()))
        raise UserError(
            f"{len(failed)} of {len(study.cells)} cells failed and are missing in the report, "
            f"first {cell}: {reason}; choose another --workdir and other settings, or delete "
            f"{study.folder(cell) / FAILED_FILE} to have it run again"
        )
    return report


def _require_same_study(config: ConfigDict, workdir: Path, may_differ: Set[str]) -> None:
    """Checks that a workdir is of this study, which may have further methods now.

    Raises:
      UserError: it is of another study, or one of its methods has other settings now.
    """
    shared = _shared(config)
    kept = read_config(workdir) or {}
    stored = kept.get("changes")
    if isinstance(stored, Mapping):  # else it is no study's
        changes = shared["changes"]
        shared["changes"] = {name: changes[name] for name in changes if name in stored}
        # With one teacher there, a method needed not say which it learns from; with two it must.
        trained = [name for name, keys in stored.items() if keys.get("train") == "teacher"]
        named = kept.get("teachers", {})
        teachers = {
            name: teacher
            for name, teacher in shared.pop("teachers", {}).items()
            if name in named or (name in stored and [teacher] != trained)
        }
        shared |= {"teachers": teachers} if teachers else {}
    require_same_config(shared, workdir, may_differ)


def _shared(config: ConfigDict) -> dict[str, Any]:
    """What must stay the same in a study's workdir: seeds, splits and methods may be added."""
    shared = {"base": config.base.to_dict(), "changes": config.changes.to_dict()}
    teachers = config.study.get("teachers", {})  # older configs lack it
    return shared | ({"teachers": teachers.to_dict()} if teachers else {})


def _auto_dtype(study: Study, engine: Engine) -> str:
    """The precision that "auto" means; the engine is asked only if cells are left to run."""
    kept: str | None = (read_config(study.workdir) or {}).get("base", {}).get("dtype")
    if unfinished(study):
        return resume_dtype("auto", kept, engine.compute_dtype("auto"))
    return kept or "auto"
