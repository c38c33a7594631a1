"""All figures of a study as one JSON-able dict, `study.json`: cells, means, paired differences."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ml_collections import ConfigDict

from fakd_jax.errors import UserError
from fakd_jax.metrics.comparison import mcnemar_exact
from fakd_jax.study.cells import Cell, Grid, cell_config, cells_of, loss_terms
from fakd_jax.study.notes import notes_on
from fakd_jax.study.results import FIGURES, CellResult, Replicate, replicates, require_same_data
from fakd_jax.study.statistics import Estimate, estimate, paired_t_test
from fakd_jax.version import __version__


def summarise(
    config: ConfigDict,
    results: Sequence[CellResult],
    failed: Mapping[Cell, str] = MappingProxyType({}),
) -> dict[str, Any]:
    """Sums a study up, finished or not.

    Args:
      config: of the study.
      results: its finished cells.
      failed: the cells that cannot end, and why.

    Returns:
      `study` (what it runs over), `losses` (by method), `cells` (a row each, finished ones),
      `missing` (the others, with the `reason` of those that failed), `summary` (a row a split and
      method: figures over the seeds), `differences` (likewise, to the baseline, with McNemar's test
      a seed), `same_test_images` (by split, whether its seeds share them), `notes`,
      `package_version`. Shares are in [0, 1];
      what is undefined is None.

    Raises:
      UserError: cells ran on different data, or two that must be compared were tested on different
        images.
    """
    require_same_data(results)
    grid, cells = Grid.of(config), cells_of(config)
    finished = {result.cell for result in results}
    wholes = replicates(results, cells)
    report: dict[str, Any] = {
        "study": {
            "methods": list(grid.methods),
            "seeds": list(grid.seeds),
            "splits": list(grid.splits),
            "baseline": grid.baseline,
        },
        "losses": {method: _loss(config, method) for method in grid.methods},
        "cells": [_cell_row(result) for result in results],
        "missing": [
            dataclasses.asdict(cell) | {"reason": failed.get(cell)}
            for cell in cells
            if cell not in finished
        ],
        "summary": [
            _summary_row(split, method, _of(wholes, split, method))
            for split in grid.splits
            for method in grid.methods
        ],
        "differences": [
            _difference_row(
                split, method, _of(wholes, split, method), _of(wholes, split, grid.baseline)
            )
            for split in grid.splits
            for method in grid.methods
            if method != grid.baseline and grid.baseline in grid.methods
        ],
        "same_test_images": {split: _same_test_images(wholes, split) for split in grid.splits},
        "package_version": __version__,
    }
    return report | {"notes": notes_on(report)}


def _loss(config: ConfigDict, method: str) -> str:
    """The method's loss; the same for every split and seed."""
    return loss_terms(cell_config(config, Cell("official", 0, method), Path()))


def _of(wholes: Sequence[Replicate], split: str, method: str) -> dict[int, Replicate]:
    """The replicates of a split and method by their seeds."""
    return {whole.seed: whole for whole in wholes if (whole.split, whole.method) == (split, method)}


def _same_test_images(wholes: Sequence[Replicate], split: str) -> bool:
    """Whether all that has finished on a split was tested on the same images."""
    return len({frozenset(whole.right) for whole in wholes if whole.split == split}) <= 1


def _cell_row(result: CellResult) -> dict[str, Any]:
    metrics = result.metrics
    missed = metrics["missed_tumour"] or {}
    return {
        **dataclasses.asdict(result.cell),
        "n": metrics["n"],
        "accuracy": metrics["accuracy"],
        "accuracy_ci95": metrics["accuracy_ci95"],
        "balanced_accuracy": metrics["balanced_accuracy"],
        "missed_tumours": missed.get("count"),
        "tumours": missed.get("n"),
        "missed_tumour_rate": missed.get("rate"),
        "ece": metrics["ece"],
        "nll": metrics["nll"],
        "seconds": result.seconds,
        "weights_sha256": metrics["provenance"]["weights_sha256"],
        "data_fingerprint": metrics["provenance"]["data"]["fingerprint"],
        "split_origin": metrics["provenance"]["split_origin"],
        "device": metrics["provenance"]["hardware"]["device"],
    }


def _summary_row(split: str, method: str, by_seed: dict[int, Replicate]) -> dict[str, Any]:
    figures: dict[str, dict[str, Any] | None] = {}
    for name in FIGURES:
        values = _all_known([whole.figures[name] for whole in by_seed.values()])
        figures[name] = _told(estimate(values), least=0.0) if values else None
    return {"split": split, "method": method, "seeds": list(by_seed), "figures": figures}


def _difference_row(
    split: str, method: str, these: dict[int, Replicate], baselines: dict[int, Replicate]
) -> dict[str, Any]:
    """This method less the baseline, over the seeds that both have finished."""
    pairs = {seed: (these[seed], baselines[seed]) for seed in these if seed in baselines}
    figures: dict[str, dict[str, Any] | None] = {}
    for name in FIGURES:
        mine = _all_known([this.figures[name] for this, _ in pairs.values()])
        theirs = _all_known([other.figures[name] for _, other in pairs.values()])
        less = [value - baseline for value, baseline in zip(mine, theirs, strict=False)]
        test = {"p": paired_t_test(less)} if less else {}
        figures[name] = _told(estimate(less), least=-1.0) | test if less else None
    return {
        "split": split,
        "method": method,
        "seeds": list(pairs),
        "figures": figures,
        "mcnemar": [_mcnemar_row(this, baseline) for this, baseline in pairs.values()],
    }


def _all_known(values: Sequence[float | None]) -> list[float]:
    """The values; none of them if one is undefined."""
    known = [value for value in values if value is not None]
    return known if len(known) == len(values) else []


def _told(estimated: Estimate, *, least: float) -> dict[str, Any]:
    """An estimate of shares or of their differences, JSON-able.

    Its interval is cut where no share or difference can lie, which leaves its confidence as it is.
    """
    interval = estimated.ci95
    cut = [max(interval[0], least), min(interval[1], 1.0)] if interval else None
    return dataclasses.asdict(estimated) | {"ci95": cut}


def _mcnemar_row(this: Replicate, baseline: Replicate) -> dict[str, Any]:
    if this.right.keys() != baseline.right.keys():
        raise UserError(
            f"{this.method} and {baseline.method} of {this.split}, seed {this.seed}, were tested "
            "on different images and cannot be compared; choose another --workdir"
        )
    only_this = sum(right and not baseline.right[id] for id, right in this.right.items())
    only_baseline = sum(not right and baseline.right[id] for id, right in this.right.items())
    return {
        "seed": this.seed,
        "only_this_right": only_this,
        "only_baseline_right": only_baseline,
        "p": mcnemar_exact(only_this, only_baseline),
    }
