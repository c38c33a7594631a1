"""Sections of the HTML report that compare: images with duplicates and without, two networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fakd_jax.evaluation.report.text import DASH, percent
from fakd_jax.evaluation.report.wording import points, stacked
from fakd_jax.reporting.markup import (
    Html,
    Inline,
    Section,
    code,
    lines,
    paragraph,
    strong,
    table,
    warning,
)

SUBSET_TITLES = {
    "all": "all images",
    "duplicate in training": "with a duplicate in training",
    "no duplicate": "without a duplicate",
}
SIGNIFICANCE = 0.05


def copies_section(metrics: Mapping[str, Any], how_to_audit: str) -> Section:
    """All images, those with a duplicate in training and those without, or why that is not known.

    Args:
      metrics: what `metrics.json` holds.
      how_to_audit: the command that audits the data.
    """
    subsets = metrics["subsets"]
    if subsets is None:
        content = _not_audited(how_to_audit)
    elif subsets["rows"] is None:
        content = _split_not_known(subsets)
    else:
        content = _by_duplicate(subsets)
    return Section("Copies in the training images", content)


def comparison_section(metrics: Mapping[str, Any]) -> Section:
    """Another network's answers to the same images, and whether the difference can be chance."""
    comparison = metrics["comparison"]
    if comparison is None:
        content = (paragraph("No other checkpoint was given to compare this one with."),)
        return Section("Compared with another network", content)
    other = comparison["with"]
    keys = {"right": ("both_right", "only_this_right"), "wrong": ("only_other_right", "both_wrong")}
    counts = table(
        ["", "the other right", "the other wrong"],
        [
            [f"this one {outcome}", *(f"{comparison[key]:,}" for key in pair)]
            for outcome, pair in keys.items()
        ],
        align="lrr",
        caption=f"Answers to the same {comparison['n']:,} images",
    )
    p = comparison["mcnemar_p"]
    verdict = (
        "Chance alone gives such a difference rarely."
        if p < SIGNIFICANCE
        else "Chance alone can give such a difference: this does not show that one is better."
    )
    return Section(
        "Compared with another network",
        (
            paragraph(
                f"The other is {other['arch']} (config {other['config'] or 'not known'}, ",
                code(other["checkpoint"]),
                ", sha256 ",
                code(f"{other['weights_sha256'][:16]}…"),
                ").",
            ),
            counts,
            paragraph(
                "Difference in accuracy, this one less the other: "
                f"{points(comparison['difference'])} percentage points, "
                f"{_interval(comparison['difference_ci95'])} (paired bootstrap). On the images "
                f"that only one answers right, McNemar's exact test gives p = {p:.3g}. {verdict}"
            ),
        ),
    )


def _interval(interval: Sequence[float] | None) -> str:
    """The difference's interval in words; two networks right on the same images have none."""
    if interval is None:
        return "no interval: every resample agrees"
    return f"95 % interval {points(interval[0])} to {points(interval[1])}"


def _not_audited(how_to_audit: str) -> tuple[Html, ...]:
    return (
        warning(
            paragraph(
                strong("The data has not been audited."),
                " How many of these images have a copy among the training images is not known. "
                "Whatever was copied makes every figure on this page too good.",
            ),
            paragraph("To find out: ", code(how_to_audit), ", then evaluate again."),
        ),
    )


def _split_not_known(subsets: Mapping[str, Any]) -> tuple[Html, ...]:
    return (
        warning(
            paragraph(
                strong("The data has been audited, but the run's split is not known."),
                " Which of its images, if any, the network was trained on is not known, and so "
                "neither is how many of these images have a copy among those. Whatever was copied "
                "makes every figure on this page too good.",
            ),
            paragraph(
                "To find out, evaluate the checkpoint in the workdir of its run, on the data that "
                "the run was trained on."
            ),
        ),
        _by_audit(subsets),
    )


def _by_duplicate(subsets: Mapping[str, Any]) -> tuple[Html, ...]:
    rows = [
        [
            SUBSET_TITLES[row["name"]],
            f"{row['n']:,}",
            f"{row['groups']:,}",
            stacked(percent(row["accuracy"], row["accuracy_ci95"])),
            stacked(percent(row["accuracy"], row["accuracy_ci95_grouped"])),
            percent(row["balanced_accuracy"]),
            _missed(row["missed_tumour"]),
        ]
        for row in subsets["rows"]
    ]
    return (
        paragraph(
            "A duplicate is a copy, or nearly one, of an image among the training images. An answer to "
            "an image that has one may be memory; those without are free of leaks as far as the "
            "audit could find them. Copies of each other make a group."
        ),
        table(
            [
                "images",
                "n",
                "groups",
                lines("accuracy", "[Wilson]"),
                lines("accuracy", "[by groups]"),
                lines("balanced", "accuracy"),
                lines("missed", "tumours"),
            ],
            rows,
            align="lrrrrrr",
        ),
        _by_audit(subsets),
    )


def _by_audit(subsets: Mapping[str, Any]) -> Html:
    return paragraph("By the audit ", code(f"{subsets['audit'][:16]}…"), ".")


def _missed(missed: Mapping[str, Any] | None) -> Inline:
    if missed is None or not missed["n"]:
        return DASH
    return lines(f"{missed['count']:,} of {missed['n']:,}", percent(missed["rate"], missed["ci95"]))
