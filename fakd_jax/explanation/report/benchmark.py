"""A benchmark as text, `benchmark.txt`, and as rows, `benchmark.csv`."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from fakd_jax.explanation.benchmark.estimates import MIN_UNITS
from fakd_jax.explanation.benchmark.metrics import BY_KEY, METRICS, Metric, measured
from fakd_jax.explanation.benchmark.summary import ALL
from fakd_jax.explanation.benchmark.verdicts import (
    SanityOutcome,
    Verdict,
    controls_by_verdict,
    sanity_outcome,
)
from fakd_jax.explanation.quality.randomisation import DEPENDENT
from fakd_jax.reporting.numbers import DASH, decimal
from fakd_jax.reporting.tables import csv_text, text_table

HEADINGS: Mapping[str, str] = {
    "stability": "Stability: do other seeds give the same explanation?",
    "faithfulness": "Faithfulness: does the network use the evidence?",
    "sanity": "Sanity: does the explanation depend on what the network has learnt?",
    "localisation": "Localisation: does the evidence lie in the lesion?",
    "background": "Background: does the evidence stay within the head?",
}
"""Headings by group of metrics, in the order of reading."""

VERDICTS: Mapping[Verdict | None, str] = {
    "better": "better than",
    "indistinguishable": "indistinguishable from",
    "worse": "worse than",
    None: "not comparable with",
}

OUTCOMES: Mapping[SanityOutcome, str] = {
    "passed": f"passed, the dependence on weights is at least {DEPENDENT:g}",
    "inconclusive": "not passed, half of the explanation or more may stay without training",
    "failed": "failed, half of the explanation or more stays without training",
    "irreproducible": "not passed, no two seeds give similar explanations",
    "not measured": f"not judged, measured on fewer than {MIN_UNITS} images",
}

ARROWS = {"higher": "↑", "lower": "↓"}
WIDTH = 120
INTERVAL_WIDTH = len("[0.12, 0.34]")


def benchmark_table(report: Mapping[str, Any]) -> str:
    """Formats a benchmark for a terminal: means by group of metrics, verdicts, sanity, notes.

    Args:
      report: from :func:`fakd_jax.explanation.benchmark.summary.summarise`.

    Returns:
      Lines of at most 120 columns; ends with a newline.
    """
    methods = [method for method in report["methods"] if method not in report["controls"]]
    blocks = [
        "Mean over the images [95 % interval]; ↑ higher is better, ↓ lower is better. Below the "
        "rule: controls.",
        *_means(report, ALL),
        "Paired differences to the controls: better or worse where the 95 % interval excludes 0",
        *(_paragraph(method, verdict_sentences(report, method)) for method in methods),
        _paragraph("Sanity check", sanity_sentences(report)),
    ]
    if missing := [metric.name for metric in METRICS if metric not in measured(report["rows"])]:
        blocks.append(_wrapped(f"Not measured: {', '.join(missing)}"))
    blocks.append("\n".join(_wrapped(f"note: {note}") for note in report["notes"]))
    return "\n\n".join(blocks) + "\n"


def class_tables(report: Mapping[str, Any]) -> str:
    """The means by explained class; ends with a newline."""
    classes = dict.fromkeys(row["class"] for row in report["rows"] if row["class"] != ALL)
    blocks = [
        "\n\n".join([f"Images explained for {name}", *_means(report, name)]) for name in classes
    ]
    return "\n\n\n".join(blocks) + "\n"


def benchmark_csv(report: Mapping[str, Any]) -> str:
    """The means as CSV, one row per method, class and metric."""
    return csv_text(
        ["method", "control", "class", "metric", "better", "mean", "low", "high", "n"],
        (
            [
                row["method"],
                row["method"] in report["controls"],
                row["class"],
                key,
                BY_KEY[key].better,
                value["mean"],
                *(value["ci95"] or (None, None)),
                value["n"],
            ]
            for row in report["rows"]
            for key, value in row["metrics"].items()
        ),
    )


def verdict_sentences(report: Mapping[str, Any], method: str) -> list[str]:
    """How a method compares with the controls, one sentence for all metrics with equal verdicts."""
    metrics: dict[str, list[str]] = {}
    for metric in METRICS:
        rows = [
            row
            for row in report["verdicts"]
            if row["method"] == method and row["metric"] == metric.key
        ]
        if any(row["n"] for row in rows):
            words = "; ".join(words for _, words in verdict_words(rows, method, metric.key))
            metrics.setdefault(words, []).append(metric.name)
    return [f"{', '.join(names)}: {words}" for words, names in metrics.items()]


def verdict_words(
    verdicts: Sequence[Mapping[str, Any]], method: str, metric: str
) -> list[tuple[Verdict | None, str]]:
    """Each verdict of a method by one metric, with the controls it applies to."""
    controls = controls_by_verdict(verdicts, method, metric)
    return [
        (verdict, f"{words} {_enumeration(controls[verdict])}")
        for verdict, words in VERDICTS.items()
        if verdict in controls
    ]


def sanity_sentences(report: Mapping[str, Any]) -> list[str]:
    """The methods by outcome of the sanity check."""
    methods: dict[SanityOutcome, list[str]] = {}
    for row in report["sanity"]:
        suffix = " (control)" if row["method"] in report["controls"] else ""
        methods.setdefault(sanity_outcome(row), []).append(row["method"] + suffix)
    return [
        f"{words}: {', '.join(methods[outcome])}"
        for outcome, words in OUTCOMES.items()
        if outcome in methods
    ]


def _means(report: Mapping[str, Any], name: str) -> list[str]:
    """One table per group of metrics, for the images explained for a class."""
    rows = [row for row in report["rows"] if row["class"] == name]
    blocks = []
    for group, heading in HEADINGS.items():
        if metrics := [metric for metric in measured(rows) if metric.group == group]:
            names = (f"{metric.name} {ARROWS[metric.better]}" for metric in metrics)
            sections: tuple[list[list[str]], list[list[str]]] = ([], [])
            for row in rows:
                sections[row["method"] in report["controls"]].append(_row(row, metrics))
            blocks.append(f"{heading}\n\n{text_table(['method', 'images', *names], *sections)}")
    return blocks


def _row(row: Mapping[str, Any], metrics: Sequence[Metric]) -> list[str]:
    values = [row["metrics"][metric.key] for metric in metrics]
    counts = sorted({value["n"] for value in values})
    images = f"{counts[0]}–{counts[-1]}" if len(counts) > 1 else str(counts[0])
    if not counts[-1]:  # as of a deterministic method, which has no stability between seeds
        images = DASH
    return [row["method"], images, *map(_estimate, values)]


def _estimate(value: Mapping[str, Any]) -> str:
    """Mean and interval, padded so that means are aligned whether or not they have intervals."""
    mean, _, interval = decimal(value["mean"], value["ci95"], digits=2).partition(" ")
    return f"{mean} {interval:<{INTERVAL_WIDTH}}"


def _paragraph(title: str, sentences: Sequence[str]) -> str:
    return "\n".join([title, *(_wrapped(sentence, "  ") for sentence in sentences)])


def _wrapped(sentence: str, indent: str = "") -> str:
    return textwrap.fill(
        sentence,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_on_hyphens=False,
    )


def _enumeration(names: Sequence[str]) -> str:
    """`a, b and c`."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
