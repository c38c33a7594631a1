"""What a study's figures cannot settle, in plain sentences under the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fakd_jax.study.cells import Cell
from fakd_jax.study.statistics import t_factor


def notes_on(report: Mapping[str, Any]) -> list[str]:
    """Sentences on what is missing and on what the seeds can and cannot tell.

    Args:
      report: as of :func:`fakd_jax.study.summary.summarise`, but for the notes.
    """
    study, rows = report["study"], report["differences"]
    notes = [*_missing(report), _spread(max(len(row["seeds"]) for row in report["summary"]))]
    if study["baseline"] not in study["methods"]:
        notes.append(
            f"no differences: the baseline {study['baseline']} is not among the methods "
            "(config.study.baseline)"
        )
    for split in study["splits"]:
        notes += _differences([row for row in rows if row["split"] == split], study["baseline"])
    if any(row["seeds"] for row in rows):
        notes += _test_images(report["same_test_images"])
        notes.append(
            f"no p value is corrected for comparing {len(study['methods']) - 1} methods with the "
            "baseline, and no figure here speaks for other hospitals"
        )
    return notes


def _test_images(same: Mapping[str, bool]) -> list[str]:
    """What is random between seeds, by whether all seeds of a split share their test images."""
    notes = []
    if shared := [split for split, is_same in same.items() if is_same]:
        notes.append(
            f"{', '.join(shared)}: an interval over seeds is about these test images and other "
            "seeds, McNemar's test about two trained networks and other images like these; its p "
            "values stand seed by seed, for joining them would count the same images again"
        )
    if drawn := [split for split, is_same in same.items() if not is_same]:
        notes.append(
            f"{', '.join(drawn)}: every seed draws its own test images, but from the same data, so "
            "that seeds are not independent and their intervals may be too narrow"
        )
    return notes


def _missing(report: Mapping[str, Any]) -> list[str]:
    missing, finished = len(report["missing"]), len(report["cells"])
    if not missing:
        return []
    failed = [
        f"{Cell(row['split'], row['seed'], row['method'], row['fold'])} failed: {row['reason']}"
        for row in report["missing"]
        if row["reason"]
    ]
    return [f"{missing} of {missing + finished} cells are missing", *failed]


def _spread(seeds: int) -> str:
    if seeds == 0:
        return "no method has finished a seed yet"
    if seeds == 1:
        return (
            "one seed: no spread, no interval and no test over seeds; another seed may turn the "
            "order of the methods round"
        )
    degrees = "1 degree" if seeds == 2 else f"{seeds - 1} degrees"
    return (
        f"{seeds} seeds at most: the intervals are Student's with {degrees} of freedom "
        f"(mean ± {t_factor(seeds):.2f} sd / √{seeds})"
    )


def _differences(rows: Sequence[Mapping[str, Any]], baseline: str) -> list[str]:
    """Which methods the seeds tell from the baseline on a split, and which they do not."""
    notes = []
    open_, told = [], []
    for row in rows:
        accuracy = row["figures"]["accuracy"]
        if accuracy is None or accuracy["ci95"] is None:
            continue
        low, high = accuracy["ci95"]
        if low <= 0 <= high:
            open_.append(f"{row['method']} (± {50 * (high - low):.1f} points)")
        else:
            told.append(f"{row['method']} (p = {accuracy['p']:.2g})")
    if open_:
        notes.append(
            f"{rows[0]['split']}: in accuracy the seeds do not tell {', '.join(open_)} from "
            f"{baseline}; a difference within the half width in brackets could stay hidden"
        )
    if told:
        notes.append(
            f"{rows[0]['split']}: in accuracy the seeds tell {', '.join(told)} from {baseline}"
        )
    return notes
