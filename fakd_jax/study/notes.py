"""The limits of a study's results, as sentences below its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fakd_jax.metrics.comparison import SIGNIFICANCE
from fakd_jax.reporting.numbers import p_value, points
from fakd_jax.study.cells import Cell
from fakd_jax.study.statistics import t_factor


def notes_on(report: Mapping[str, Any]) -> list[str]:
    """Sentences on what a report lacks and on what its seeds can and cannot show."""
    study, differences, missing = report["study"], report["differences"], report["missing"]
    notes = []
    if missing:
        total = len(missing) + len(report["cells"])
        notes.append(f"{len(missing)} of {total} cells are missing")
    for row in missing:
        if row["reason"]:
            cell = Cell(row["split"], row["seed"], row["method"], row["fold"])
            notes.append(f"{cell} failed: {row['reason']}")
    seeds = max(len(row["seeds"]) for row in report["summary"])
    notes.append(_seeds(seeds))
    if seeds:
        notes.append(
            "the ECE is biased upwards, more so with few images; ece_if_calibrated in a cell's "
            "metrics.json is what is expected of a calibrated network with the same confidences"
        )
    if study["stress"]:
        notes.append(_stress(study["stress"]))
    if study["baseline"] not in study["methods"]:
        notes.append(
            f"no differences: the baseline {study['baseline']} is not among the methods "
            "(config.study.baseline)"
        )
    for method, reference in study["comparisons"]:
        if not {method, reference} <= {*study["methods"]}:
            notes.append(
                f"no difference of {method} from {reference}: not both are among the methods "
                "(config.study.methods)"
            )
    for split in study["splits"]:
        rows = [row for row in differences if row["split"] == split]
        for reference in dict.fromkeys(row["reference"] for row in rows):
            compared = [row for row in rows if row["reference"] == reference]
            notes += _differences(split, compared, reference)
            notes += _exact_tests(split, compared, reference)
    if any(row["seeds"] for row in differences):
        notes += _test_images(report["same_test_images"])
        notes.append(
            f"p values are not corrected for making {len(differences)} comparisons, and nothing "
            "here generalises to other hospitals"
        )
    return notes


def _seeds(seeds: int) -> str:
    if seeds == 0:
        return "no method has finished a seed yet"
    if seeds == 1:
        return (
            "one seed: no spread, interval or test over seeds; another seed may reverse the order "
            "of the methods"
        )
    degrees = "1 degree" if seeds == 2 else f"{seeds - 1} degrees"
    return (
        f"at most {seeds} seeds: the intervals are Student's with {degrees} of freedom "
        f"(mean ± {t_factor(seeds):.2f} sd / √{seeds})"
    )


def _stress(stress: Mapping[str, Any]) -> str:
    """Which shifts the metrics are about."""
    severities = ", ".join(map(str, stress["severities"]))
    return (
        f"shifts: means over {len(stress['families'])} families at severity {severities} "
        f"(config.study.stress); the worst is the worst family at severity "
        f"{stress['severities'][-1]}, which may be another one for every network"
    )


def _differences(split: str, rows: Sequence[Mapping[str, Any]], reference: str) -> list[str]:
    """Which methods the seeds distinguish from the reference in accuracy, and which not."""
    same, different = [], []
    for row in rows:
        accuracy = row["metrics"]["accuracy"]
        if accuracy is None or accuracy["ci95"] is None:
            continue
        low, high = accuracy["ci95"]
        if low <= 0 <= high:
            same.append(f"{row['method']} (± {50 * (high - low):.1f} points)")
        else:
            different.append(f"{row['method']} (p = {accuracy['p']:.2g})")
    notes = []
    if same:
        notes.append(
            f"{split}: in accuracy the seeds do not distinguish {', '.join(same)} from "
            f"{reference}; a difference within the half width in brackets may remain undetected"
        )
    if different:
        notes.append(
            f"{split}: in accuracy the seeds distinguish {', '.join(different)} from {reference}"
        )
    return notes


def _exact_tests(split: str, rows: Sequence[Mapping[str, Any]], reference: str) -> list[str]:
    """Which methods the exact test over all seeds distinguishes from the reference."""
    notes = []
    for key, metric, where in (
        ("sign_flip_p", "accuracy", ""),
        ("stress_sign_flip_p", "stress_accuracy", " under shifts"),
    ):
        found = [
            f"{row['method']} ({points(row['metrics'][metric]['mean'])} points, "
            f"{p_value(row[key], named=True)})"
            for row in rows
            if row.get(key) is not None and row[key] < SIGNIFICANCE
        ]
        if found:
            notes.append(
                f"{split}: in accuracy{where} the images distinguish {', '.join(found)} from "
                f"{reference} (exact test by groups, over all seeds)"
            )
    return notes


def _test_images(same: Mapping[str, bool]) -> list[str]:
    """What varies between seeds, by whether all seeds of a split share their test images."""
    notes = []
    if shared := [split for split, is_same in same.items() if is_same]:
        notes.append(
            f"{', '.join(shared)}: intervals over seeds are about other seeds on these test "
            "images; the exact tests are about these networks on other images: over all seeds, a "
            "group of images counts once, with the sum of its gains"
        )
    if drawn := [split for split, is_same in same.items() if not is_same]:
        notes.append(
            f"{', '.join(drawn)}: every seed draws its own test images from the same data; seeds "
            "are therefore not independent, and their intervals may be too narrow; in the exact "
            "test over all seeds, an image that several of them test counts once"
        )
    return notes
