"""The statistics of `benchmark.json`: means with intervals, verdicts, the sanity check."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from fakd_jax.explanation.benchmark.estimates import MIN_UNITS, Estimate, estimate_means
from fakd_jax.explanation.benchmark.metrics import BY_KEY, MEASURES
from fakd_jax.explanation.benchmark.observations import Observations, observe
from fakd_jax.explanation.benchmark.verdicts import compare_with_controls
from fakd_jax.explanation.quality.randomisation import Randomisation, Sanity, sanity_of
from fakd_jax.metrics.resampling import RESAMPLES, SEED, group_numbers

ALL = "all images"
"""The name of the rows that are about the images of all classes; no class may have it."""


def summarise(
    cells: Sequence[Mapping[str, Any]],
    methods: Sequence[str],
    controls: Sequence[str],
    *,
    groups: Mapping[str, int] | None = None,
    seed: int = SEED,
) -> dict[str, Any]:
    """Sums up what was measured of many methods on many images.

    Args:
      cells: one an image and method, in any order: `id`, `method`, `explained_class`, `measures`
        (by key of :data:`~fakd_jax.explanation.benchmark.metrics.MEASURES`, None where
        undefined) and `randomisation` (None where no network was reinitialised). Cells of methods
        that are not named are not looked at.
      methods: to be judged, in the order of the rows.
      controls: what needs no network to be drawn, to be held against; their rows come last.
      groups: id to duplicate group, where an audit knows them: copies of a slice are then drawn
        together. Ids absent from it have no copy.
      seed: of the bootstrap; equal arguments give equal bits.

    Returns:
      JSON-able: `measures` (`key`, `name`, `better`), `methods` (controls last), `controls`,
      `rows` (a method and explained class, or :data:`ALL`: `method`, `class`, `n` images, and by
      measure `mean`, `ci95`, `n`), `verdicts` (see
      :func:`~fakd_jax.explanation.benchmark.verdicts.compare_with_controls`), `sanity` (see
      :func:`~fakd_jax.explanation.quality.randomisation.sanity_of`; the rows' `dependence` is the
      same figure, no mean of the cells'), `bootstrap` (`resamples`, `seed`, `unit`, `units`) and
      `notes`.

    Raises:
      ValueError: a method that is a control, two cells of one image and method, or of one image
        for different classes, or a class of the name :data:`ALL`.
    """
    if both := set(methods) & set(controls):
        raise ValueError(f"methods that are controls too: {sorted(both)}")
    everyone = [*methods, *controls]
    observed = observe(cells, everyone)
    units = group_numbers(observed.ids, groups or {})
    classes = sorted(set(observed.classes.tolist()))
    if ALL in classes:
        raise ValueError(f"a class named {ALL!r} cannot be told from the images of all classes")
    estimates = {name: _estimates(observed, name, units, seed) for name in (ALL, *classes)}
    sanity = {
        (name, method): _sanity(observed, method, name, units, seed)
        for name in (ALL, *classes)
        for method in everyone
    }
    verdicts = compare_with_controls(observed, methods, controls, units, seed=seed)
    return {
        "measures": [
            {"key": measure.key, "name": measure.name, "better": measure.better}
            for measure in MEASURES
        ],
        "methods": everyone,
        "controls": list(controls),
        "rows": [
            _row(observed, method, name, of_class, sanity[name, method])
            for name, of_class in estimates.items()
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
        "notes": _notes(observed, estimates[ALL], verdicts, grouped=groups is not None),
    }


def _members(observed: Observations, name: str) -> Bool[np.ndarray, " N"]:
    """Which images were explained for a class."""
    return (observed.classes == name) | (name == ALL)


def _estimates(
    observed: Observations, name: str, units: Int[np.ndarray, " N"], seed: int
) -> dict[tuple[str, str], Estimate]:
    """The mean of every method and measure over the images explained for one class, or for any."""
    members = _members(observed, name)
    columns = {key: values[members] for key, values in observed.values.items()}
    return estimate_means(columns, units[members], seed=seed)


def _row(
    observed: Observations,
    method: str,
    name: str,
    estimates: Mapping[tuple[str, str], Estimate],
    sanity: Sanity,
) -> dict[str, Any]:
    figures = {measure.key: estimates[method, measure.key] for measure in MEASURES}
    return {
        "method": method,
        "class": name,
        "n": int(observed.explained[method][_members(observed, name)].sum()),
        "measures": {
            key: {
                "mean": figure.mean,
                "ci95": figure.ci95 and list(figure.ci95),
                "n": figure.n,
            }
            for key, figure in figures.items()
        }
        | {
            "dependence": {
                "mean": sanity.dependence,
                "ci95": sanity.ci95,
                "n": sanity.n if sanity.dependence is not None else 0,
            },
        },
    }


def _sanity(
    observed: Observations, method: str, name: str, units: Int[np.ndarray, " N"], seed: int
) -> Sanity:
    """The sanity check of a method on the images explained for one class, or for any."""
    chosen = [
        (Randomisation(**image), unit)
        for image, unit, member in zip(
            observed.randomisations[method], units, _members(observed, name), strict=True
        )
        if member and image is not None
    ]
    images, their_units = [image for image, _ in chosen], [unit for _, unit in chosen]
    return sanity_of(images, np.array(their_units, np.int64), seed=seed)


def _notes(
    observed: Observations,
    estimates: Mapping[tuple[str, str], Estimate],
    verdicts: Sequence[Mapping[str, Any]],
    *,
    grouped: bool,
) -> list[str]:
    """What the figures cannot settle, in plain sentences."""
    images, drawn = len(observed.ids), "groups of copies" if grouped else "single images"
    localised = max(
        figure.n for (_, key), figure in estimates.items() if BY_KEY[key].group == "localisation"
    )
    notes = [
        f"intervals are bootstrapped over {drawn} of {images:,}, for this one network; means of "
        f"fewer than {MIN_UNITS} have none, for it would be too narrow, and no verdict"
    ]
    if not grouped:
        notes.append(
            "the data has not been audited for copies: if images of it are alike, the intervals "
            "are too narrow"
        )
    if localised:
        notes.append(
            f"localisation is measured on the {localised:,} images that have a lesion's mask and "
            "that the network gets right"
        )
    if told := sum(row["verdict"] is not None for row in verdicts):
        notes.append(
            f"{told} comparisons with controls, none corrected for their number: were there no "
            f"differences at all, about one in twenty, here {told / 20:.0f}, would be told all "
            "the same, and more of few images"
        )
    return notes
