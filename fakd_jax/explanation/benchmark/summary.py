"""The statistics of `benchmark.json`: means with intervals, verdicts, the sanity check."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from fakd_jax.explanation.benchmark.estimates import MIN_UNITS, Estimate, estimate_means
from fakd_jax.explanation.benchmark.metrics import BY_KEY, METRICS
from fakd_jax.explanation.benchmark.observations import Observations, observe
from fakd_jax.explanation.benchmark.verdicts import compare_with_controls
from fakd_jax.explanation.quality.randomisation import Randomisation, Sanity, sanity_of
from fakd_jax.explanation.result import COMPLETE, MIN_MAP_SIDE, Completeness, FeatureMap
from fakd_jax.metrics.resampling import RESAMPLES, SEED, group_numbers

ALL = "all images"
"""The class of the rows about all images; no class may have this name."""


def summarise(
    cells: Sequence[Mapping[str, Any]],
    methods: Sequence[str],
    controls: Sequence[str],
    *,
    groups: Mapping[str, int] | None = None,
    seed: int = SEED,
) -> dict[str, Any]:
    """Summarises the cells of a benchmark.

    Args:
      cells: see :func:`~fakd_jax.explanation.benchmark.observations.observe`; in any order.
      methods: in the order of the rows.
      controls: explainers that ignore the network; their rows come last.
      groups: duplicate group by id, if the data was audited; the bootstrap draws whole groups.
        Ids that it lacks have no duplicate.
      seed: of the bootstrap; equal arguments give equal bits.

    Returns:
      JSON-able: `metrics` (`key`, `name`, `better`), `methods` (controls last), `controls`, `rows`
      (one per method and explained class, or :data:`ALL`: `method`, `class`, `n` images, and by
      metric `mean`, `ci95`, `n`), `verdicts` (see
      :func:`~fakd_jax.explanation.benchmark.verdicts.compare_with_controls`), `sanity` (see
      :func:`~fakd_jax.explanation.quality.randomisation.sanity_of`; `dependence` in the rows is
      this ratio of means, not the mean of the cells' ratios), `bootstrap` (`resamples`, `seed`,
      `unit`, `units`) and `notes`.

    Raises:
      ValueError: a method that is a control, cells that contradict each other, or a class named
        :data:`ALL`.
    """
    if both := set(methods) & set(controls):
        raise ValueError(f"methods that are also controls: {sorted(both)}")
    everyone = [*methods, *controls]
    observed = observe(cells, everyone)
    units = group_numbers(observed.ids, groups or {})
    classes = sorted(set(observed.classes.tolist()))
    if ALL in classes:
        raise ValueError(f"a class is named {ALL!r}, like the rows about all images")
    members = {name: (observed.classes == name) | (name == ALL) for name in (ALL, *classes)}
    estimates = {
        name: estimate_means(
            {key: values[chosen] for key, values in observed.values.items()},
            units[chosen],
            seed=seed,
        )
        for name, chosen in members.items()
    }
    sanity = {
        (name, method): _sanity(observed, method, chosen, units, seed)
        for name, chosen in members.items()
        for method in everyone
    }
    verdicts = compare_with_controls(observed, methods, controls, units, seed=seed)
    return {
        "metrics": [
            {"key": metric.key, "name": metric.name, "better": metric.better} for metric in METRICS
        ],
        "methods": everyone,
        "controls": list(controls),
        "rows": [
            {
                "method": method,
                "class": name,
                "n": int(observed.explained[method][chosen].sum()),
                "metrics": _row_metrics(estimates[name], sanity[name, method], method),
            }
            for name, chosen in members.items()
            for method in everyone
        ],
        "verdicts": verdicts,
        "sanity": [{"method": method, **asdict(sanity[ALL, method])} for method in everyone],
        "bootstrap": {
            "resamples": RESAMPLES,
            "seed": seed,
            "unit": "image" if groups is None else "duplicate group",
            "units": len(np.unique(units)),
        },
        "notes": [
            *_notes(observed, estimates[ALL], verdicts, grouped=groups is not None),
            *_notes_of_methods(cells, everyone),
        ],
    }


def _row_metrics(
    estimates: Mapping[tuple[str, str], Estimate], sanity: Sanity, method: str
) -> dict[str, Any]:
    metrics = {metric.key: estimates[method, metric.key].record() for metric in METRICS}
    n = sanity.n if sanity.dependence is not None else 0
    metrics["dependence"] = {"mean": sanity.dependence, "ci95": sanity.ci95, "n": n}
    return metrics


def _sanity(
    observed: Observations,
    method: str,
    members: Bool[np.ndarray, " N"],
    units: Int[np.ndarray, " N"],
    seed: int,
) -> Sanity:
    """The sanity check of a method on some images."""
    images = {
        index: Randomisation(**fields)
        for index, fields in enumerate(observed.randomisations[method])
        if members[index] and fields is not None
    }
    return sanity_of(list(images.values()), units[list(images)], seed=seed)


def _notes_of_methods(cells: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> Iterator[str]:
    """Maps too small to point at anything, and integrals that do not add up."""
    for method in methods:
        own = [cell for cell in cells if cell["method"] == method]
        maps = [FeatureMap(**cell["feature_map"]) for cell in own if cell.get("feature_map")]
        if maps and maps[0].coarse:
            size = f"{maps[0].height} × {maps[0].width}"
            yield (
                f"{method} enlarges a map of {size} positions ({maps[0].layer}): less than "
                f"{MIN_MAP_SIDE} × {MIN_MAP_SIDE} cannot point at a lesion; choose an earlier "
                "--layer"
            )
        sums = [Completeness(**cell["completeness"]) for cell in own if cell.get("completeness")]
        if incomplete := sum(not one.complete for one in sums):
            yield (
                f"{method}: on {incomplete:,} of {len(sums):,} images the attributions miss the "
                f"difference of the logits by more than {COMPLETE:.0%}; take more --steps"
            )


def _notes(
    observed: Observations,
    estimates: Mapping[tuple[str, str], Estimate],
    verdicts: Sequence[Mapping[str, Any]],
    *,
    grouped: bool,
) -> list[str]:
    """The limits of the statistics, in plain sentences."""
    drawn = "the duplicate groups of " if grouped else ""
    notes = [
        f"intervals are bootstrapped over {drawn}{len(observed.ids):,} images, for this one "
        f"network; with fewer than {MIN_UNITS} they would be too narrow, so there is neither an "
        "interval nor a verdict"
    ]
    if not grouped:
        notes.append(
            "the data has not been audited for duplicates: if it has any, the intervals are too "
            "narrow"
        )
    localised = max(
        estimate.n
        for (_, key), estimate in estimates.items()
        if BY_KEY[key].group == "localisation"
    )
    if localised:
        notes.append(
            f"localisation is measured on the {localised:,} images that have a lesion mask and are "
            "predicted correctly"
        )
    if count := sum(row["verdict"] is not None for row in verdicts):
        notes.append(
            f"{count} comparisons with controls, not corrected for their number: without any true "
            f"difference, about one in twenty, here {count / 20:.0f}, would still be called better "
            "or worse, and more with few images"
        )
    return notes
