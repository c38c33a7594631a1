"""Sections of the HTML report on what the network answers: headline figures, class by class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fakd_jax.evaluation.report.text import DASH, percent
from fakd_jax.evaluation.report.wording import decimal, stacked
from fakd_jax.reporting.markup import (
    Html,
    Inline,
    Section,
    bullets,
    figure,
    paragraph,
    strong,
    table,
)


def headline_section(metrics: Mapping[str, Any]) -> Section:
    """Accuracy, balanced accuracy, missed tumours, false alarms and AUROC, with intervals."""
    right = sum(row[index] for index, row in enumerate(metrics["confusion_matrix"]))
    auroc = metrics["auroc"]
    rows: list[list[Inline]] = [
        [
            "accuracy",
            strong(percent(metrics["accuracy"], metrics["accuracy_ci95"])),
            f"{right:,} of {metrics['n']:,} images right",
        ],
        [
            "balanced accuracy",
            percent(metrics["balanced_accuracy"], metrics["balanced_accuracy_ci95"]),
            "the mean of the classes' sensitivities",
        ],
        ["missed tumours", *_share(metrics["missed_tumour"], "tumours were called {negative}")],
        ["false alarms", *_share(metrics["false_alarm"], "{negative} images were called a tumour")],
        [
            "AUROC, any tumour",
            decimal(auroc["tumour"], auroc["tumour_ci95"]),
            "how well the probability of no tumour tells tumours from the others: 0.5 is chance"
            if auroc["tumour"] is not None
            else "not defined without images with and without a tumour",
        ],
        [
            "AUROC, mean of classes",
            decimal(auroc["macro"], auroc["macro_ci95"]),
            "each class against all others"
            if auroc["macro"] is not None
            else "not defined: no class can be held against others",
        ],
    ]
    grouped = metrics["accuracy_ci95_grouped"]
    if grouped is not None:
        share = percent(metrics["accuracy"], grouped)
        rows.insert(1, ["accuracy, copies together", share, "copies of an image count as one draw"])
    return Section(
        "Headline figures",
        (
            table(["", "value [95 % interval]", "what it counts"], rows, align="lrl"),
            _about_intervals(metrics),
            *([bullets(metrics["notes"])] if metrics["notes"] else []),
        ),
    )


def classes_section(metrics: Mapping[str, Any], matrix_picture: bytes) -> Section:
    """The figures of every class, the averages, and the confusion matrix as a picture."""
    header = ["class", "images", "sensitivity", "specificity", "precision", "F1", "AUROC"]
    rows: list[list[Inline]] = [
        [
            name,
            f"{figures['support']:,}",
            *(
                stacked(percent(figures[key], figures[f"{key}_ci95"]))
                for key in ("recall", "specificity", "precision")
            ),
            percent(figures["f1"]),
            stacked(decimal(figures["auroc"], figures["auroc_ci95"])),
        ]
        for name, figures in metrics["per_class"].items()
    ]
    for average in ("macro", "weighted"):
        figures = metrics[average]
        rows.append(
            [
                f"{average} average",
                f"{metrics['n']:,}",
                percent(figures["recall"]),
                "",
                percent(figures["precision"]),
                percent(figures["f1"]),
                "",
            ]
        )
    return Section(
        "Class by class",
        (
            table(
                header,
                rows,
                align="lrrrrrr",
                caption="Sensitivity (recall) is the share of a class that was found, specificity "
                "the share of the others that was not taken for it, precision the share of its "
                "answers that are right. Below each its 95 % interval.",
            ),
            figure(
                matrix_picture,
                alt=_told(metrics["confusion_matrix"], metrics["class_names"]),
                caption="Rows are the truth, columns the answers.",
                width=560,
            ),
        ),
    )


def _share(figures: Mapping[str, Any] | None, what: str) -> tuple[str, str]:
    """Value and words of missed tumours or false alarms."""
    if figures is None:
        return DASH, "no class is named as free of tumour"
    if not figures["n"]:
        return DASH, "there is no such image"
    words = f"{figures['count']:,} of {figures['n']:,} {what}"
    by_class = [f"{count:,} {name}" for name, count in figures["by_class"].items() if count]
    return (
        percent(figures["rate"], figures["ci95"]),
        words.format(negative=figures["negative_class"])
        + (f": {', '.join(by_class)}" if by_class else ""),
    )


def _about_intervals(metrics: Mapping[str, Any]) -> Html:
    bootstrap = metrics["bootstrap"]
    not_grouped = (
        " How wide the accuracy's is with copies kept together is not known, because the data has "
        "not been audited."
        if metrics["subsets"] is None
        else ""
    )
    return paragraph(
        "Intervals of shares of images are Wilson's. The others come from "
        f"{bootstrap['resamples']:,} bootstrap resamples of {bootstrap['units']:,} "
        f"{bootstrap['unit']}s (seed {bootstrap['seed']}).{not_grouped}"
    )


def _told(matrix: Sequence[Sequence[int]], names: Sequence[str]) -> str:
    """A confusion matrix in words, for those who do not see it."""
    rows = (
        f"{name}: " + ", ".join(f"{count} {other}" for other, count in zip(names, row, strict=True))
        for name, row in zip(names, matrix, strict=True)
    )
    return f"Confusion matrix, each true class with its answers. {'; '.join(rows)}."
