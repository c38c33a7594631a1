"""All results of a study, `study.json`: cells, means over seeds, paired differences, notes."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from fakd_jax.errors import UserError
from fakd_jax.metrics.comparison import mcnemar_exact, sign_flip_test
from fakd_jax.study.cells import Cell, Study
from fakd_jax.study.notes import notes_on
from fakd_jax.study.results import METRICS, CellResult, Replicate, replicates, require_same_data
from fakd_jax.study.statistics import estimate
from fakd_jax.version import __version__


def summarise(
    study: Study,
    results: Sequence[CellResult],
    failed: Mapping[Cell, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Summarises a study, finished or not; `failed` gives the reasons of cells that cannot finish.

    Returns:
      `study` (methods, seeds, splits, baseline), `losses` (by method), `cells` (one row per
      finished cell), `missing` (the others, with a `reason` if they failed), `summary` (per split
      and method: metrics over the seeds), `differences` (likewise, from the baseline, with one
      test per seed: McNemar's `p` and, with duplicates kept together, `sign_flip_p`),
      `same_test_images` (by split, whether its seeds share them), `notes`, `package_version`.
      Undefined values are None.

    Raises:
      UserError: cells ran on different data, or two cells to be compared were tested on different
        images.
    """
    require_same_data(results)
    finished = {result.cell for result in results}
    wholes = replicates(results, study.cells)
    rows = [(split, method) for split in study.splits for method in study.methods]

    def by_seed(split: str, method: str) -> dict[int, Replicate]:
        cells = {seed: Cell(split, seed, method) for seed in study.seeds}
        return {seed: wholes[cell] for seed, cell in cells.items() if cell in wholes}

    def same_images(split: str) -> bool:
        tested = {frozenset(whole.right) for cell, whole in wholes.items() if cell.split == split}
        return len(tested) <= 1

    report: dict[str, Any] = {
        "study": {
            "methods": list(study.methods),
            "seeds": list(study.seeds),
            "splits": list(study.splits),
            "baseline": study.baseline,
        },
        "losses": {method: study.loss(method) for method in study.methods},
        "cells": [_cell_row(result) for result in results],
        "missing": [
            dataclasses.asdict(cell) | {"reason": failed.get(cell)}
            for cell in study.cells
            if cell not in finished
        ],
        "summary": [
            {"split": split, "method": method, **_means(by_seed(split, method))}
            for split, method in rows
        ],
        "differences": [
            {
                "split": split,
                "method": method,
                **_differences(by_seed(split, method), by_seed(split, study.baseline)),
            }
            for split, method in rows
            if method != study.baseline and study.baseline in study.methods
        ],
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
    }


def _means(by_seed: Mapping[int, Replicate]) -> dict[str, Any]:
    """`seeds`, and `metrics` over them."""
    metrics: dict[str, Any] = {}
    for name in METRICS:
        row = _estimate_row([whole.metrics[name] for whole in by_seed.values()], lowest=0.0)
        metrics[name] = row and {key: row[key] for key in row if key != "p"}
    return {"seeds": list(by_seed), "metrics": metrics}


def _differences(
    these: Mapping[int, Replicate], baselines: Mapping[int, Replicate]
) -> dict[str, Any]:
    """This method minus the baseline, over the seeds that both have finished."""
    pairs = {seed: (these[seed], baselines[seed]) for seed in these if seed in baselines}
    return {
        "seeds": list(pairs),
        "metrics": {
            name: _estimate_row(
                [_minus(a.metrics[name], b.metrics[name]) for a, b in pairs.values()], lowest=-1.0
            )
            for name in METRICS
        },
        "mcnemar": [_mcnemar_row(this, baseline) for this, baseline in pairs.values()],
    }


def _minus(value: float | None, baseline: float | None) -> float | None:
    return None if value is None or baseline is None else value - baseline


def _estimate_row(values: Sequence[float | None], *, lowest: float) -> dict[str, Any] | None:
    """An estimate, JSON-able; None without values, or if one of them is undefined.

    Its interval is cut to [lowest, 1], outside which no value can lie; its coverage stays.
    """
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    row = dataclasses.asdict(estimate(known))
    if row["ci95"]:
        row["ci95"] = np.clip(row["ci95"], lowest, 1.0).tolist()
    return row


def _mcnemar_row(this: Replicate, baseline: Replicate) -> dict[str, Any]:
    if this.right.keys() != baseline.right.keys():
        raise UserError(
            f"{this.cell} and {baseline.cell} were tested on different images and cannot be "
            "compared; choose another --workdir"
        )
    gains = {id: int(this.right[id]) - int(right) for id, right in baseline.right.items()}
    by_unit: Counter[str | tuple[str]] = Counter()
    for id, gain in gains.items():
        by_unit[baseline.groups.get(id, (id,))] += gain
    only_this, only_baseline = (list(gains.values()).count(sign) for sign in (1, -1))
    return {
        "seed": this.cell.seed,
        "only_this_right": only_this,
        "only_baseline_right": only_baseline,
        "p": mcnemar_exact(only_this, only_baseline),
        "sign_flip_p": sign_flip_test(np.array(list(by_unit.values()))),
    }
