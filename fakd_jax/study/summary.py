"""All results of a study, `study.json`: cells, means over seeds, paired differences, notes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from fakd_jax.study.cells import Cell, Study
from fakd_jax.study.differences import difference_rows
from fakd_jax.study.notes import notes_on
from fakd_jax.study.results import METRICS, CellResult, Replicate, replicates, require_same_data
from fakd_jax.study.statistics import estimate_row
from fakd_jax.study.stress import STRESS_METRICS
from fakd_jax.version import __version__


def summarise(
    study: Study,
    results: Sequence[CellResult],
    failed: Mapping[Cell, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Summarises a study, finished or not; `failed` gives the reasons of cells that cannot finish.

    Returns:
      `study` (methods, seeds, splits, baseline, comparisons, teachers, stress), `losses` (by
      method), `cells` (one row per finished cell), `missing` (the others, with a `reason` if they
      failed), `summary` (per split and method: metrics over the seeds), `differences` (see
      :func:`fakd_jax.study.differences.difference_rows`), `same_test_images` (by split, whether its
      seeds share them), `notes`, `package_version`. Undefined values are None.

    Raises:
      UserError: cells ran on different data, or two cells to be compared were tested on different
        images.
    """
    require_same_data(results)
    finished = {result.cell for result in results}
    joined = replicates(results, study.cells)
    metrics = (*METRICS, *(STRESS_METRICS if study.stress else ()))
    wholes = {
        (split, method): {
            seed: joined[cell]
            for seed in study.seeds
            if (cell := Cell(split, seed, method)) in joined
        }
        for split in study.splits
        for method in study.methods
    }

    def same_images(split: str) -> bool:
        tested = {frozenset(whole.right) for cell, whole in joined.items() if cell.split == split}
        return len(tested) <= 1

    report: dict[str, Any] = {
        "study": {
            "methods": list(study.methods),
            "seeds": list(study.seeds),
            "splits": list(study.splits),
            "baseline": study.baseline,
            "comparisons": [list(pair) for pair in study.comparisons],
            "teachers": dict(study.teachers),
            "stress": study.stress.record() if study.stress else None,
        },
        "losses": {method: study.loss(method) for method in study.methods},
        "cells": [_cell_row(result) for result in results],
        "missing": [
            dataclasses.asdict(cell) | {"reason": failed.get(cell)}
            for cell in study.cells
            if cell not in finished
        ],
        "summary": [
            {"split": split, "method": method, **_means(by_seed, metrics)}
            for (split, method), by_seed in wholes.items()
        ],
        "differences": difference_rows(study, wholes, metrics),
        "same_test_images": {split: same_images(split) for split in study.splits},
        "package_version": __version__,
    }
    return report | {"notes": notes_on(report)}


def _cell_row(result: CellResult) -> dict[str, Any]:
    evaluation, provenance = result.evaluation, result.evaluation["provenance"]
    missed = evaluation["missed_tumour"] or {}
    return {
        **dataclasses.asdict(result.cell),
        "n": evaluation["n"],
        "accuracy": evaluation["accuracy"],
        "accuracy_ci95": evaluation["accuracy_ci95"],
        "balanced_accuracy": evaluation["balanced_accuracy"],
        "missed_tumours": missed.get("count"),
        "tumours": missed.get("n"),
        "missed_tumour_rate": missed.get("rate"),
        "ece": evaluation["ece"],
        "nll": evaluation["nll"],
        "seconds": result.seconds,
        "weights_sha256": provenance["weights_sha256"],
        "data_fingerprint": result.data_fingerprint,
        "split_origin": provenance["split_origin"],
        "device": provenance["hardware"]["device"],
        **_stress_columns(result),
    }


def _stress_columns(result: CellResult) -> dict[str, Any]:
    """The metrics under shifts, if the study measures them, and which family is the worst."""
    stress = result.stress
    return {**stress.metrics, "stress_worst_family": stress.worst_family} if stress else {}


def _means(by_seed: Mapping[int, Replicate], names: Sequence[str]) -> dict[str, Any]:
    """`seeds`, and `metrics` over them."""
    metrics: dict[str, Any] = {}
    for name in names:
        row = estimate_row([whole.metrics[name] for whole in by_seed.values()], lowest=0.0)
        metrics[name] = row and {key: row[key] for key in row if key != "p"}
    return {"seeds": list(by_seed), "metrics": metrics}
