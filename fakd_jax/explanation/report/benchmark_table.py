"""A benchmark as text, `benchmark.txt`, and as rows, `benchmark.csv`."""

from __future__ import annotations

import csv
import io
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from fakd_jax.explanation.benchmark.metrics import BY_KEY, GROUPS, MEASURES, Measure, measured
from fakd_jax.explanation.benchmark.summary import ALL
from fakd_jax.explanation.report.benchmark_sentences import sanity_sentences, verdict_sentences
from fakd_jax.reporting.tables import text_table

DASH = "–"
ARROWS = {"higher": "↑", "lower": "↓"}
WIDTH = 120
INTERVAL_WIDTH = len("[0.12, 0.34]")


def benchmark_table(report: Mapping[str, Any]) -> str:
    """Lays out a benchmark for a terminal: means by group of measures, verdicts, sanity, notes.

    Args:
      report: of :func:`fakd_jax.explanation.benchmark.summary.summarise`.

    Returns:
      Lines of 120 columns at most, unless a method has a longer name than ours; ends with a
      newline.
    """
    blocks = [
        "Mean over the images [95 % interval]; ↑ higher is better, ↓ lower is better. Below the "
        "rule: controls.",
        *_means(report, ALL),
        _verdicts(report),
        _paragraph("Sanity check", sanity_sentences(report)),
        *_unmeasured(report),
        "\n".join(_wrapped(f"note: {note}", "") for note in report["notes"]),
    ]
    return "\n\n".join(blocks) + "\n"


def class_tables(report: Mapping[str, Any]) -> str:
    """The means once more, by the class that was explained.

    Args:
      report: of :func:`fakd_jax.explanation.benchmark.summary.summarise`.

    Returns:
      Lines that end with a newline.
    """
    classes = list(dict.fromkeys(row["class"] for row in report["rows"] if row["class"] != ALL))
    blocks = [
        "\n\n".join([f"Images explained for {name}", *_means(report, name)]) for name in classes
    ]
    return "\n\n\n".join(blocks) + "\n"


def benchmark_rows(report: Mapping[str, Any]) -> str:
    """The means as CSV, a row a method, class and measure; what is undefined is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["method", "control", "class", "measure", "better", "mean", "low", "high", "n"])
    for row in report["rows"]:
        for key, figure in row["measures"].items():
            low, high = figure["ci95"] or (None, None)
            writer.writerow(
                [
                    row["method"],
                    row["method"] in report["controls"],
                    row["class"],
                    key,
                    BY_KEY[key].better,
                    figure["mean"],
                    low,
                    high,
                    figure["n"],
                ]
            )
    return text.getvalue()


def _means(report: Mapping[str, Any], name: str) -> list[str]:
    """A block a group of measures, a row a method, of the images explained for a class."""
    rows = [row for row in report["rows"] if row["class"] == name]
    controls = report["controls"]
    blocks = []
    for group, heading in GROUPS.items():
        measures = [measure for measure in measured(rows) if measure.group == group]
        if measures:
            header = [
                "method",
                "images",
                *(f"{measure.name} {ARROWS[measure.better]}" for measure in measures),
            ]
            judged = [_line(row, measures) for row in rows if row["method"] not in controls]
            held = [_line(row, measures) for row in rows if row["method"] in controls]
            blocks.append(f"{heading}\n\n{text_table(header, judged, held)}")
    return blocks


def _line(row: Mapping[str, Any], measures: Sequence[Measure]) -> list[str]:
    figures = [row["measures"][measure.key] for measure in measures]
    counts = sorted({figure["n"] for figure in figures})
    images = f"{counts[0]}–{counts[-1]}" if len(counts) > 1 else str(counts[0])
    return [row["method"], images, *(_told(figure) for figure in figures)]


def _told(figure: Mapping[str, Any]) -> str:
    """`0.81 [0.75, 0.87]`; the mean at the same place without an interval, a dash without both."""
    ends = figure["ci95"]
    interval = f"[{ends[0]:.2f}, {ends[1]:.2f}]" if ends else ""
    mean = DASH if figure["mean"] is None else f"{figure['mean']:.2f}"
    return f"{mean} {interval:<{INTERVAL_WIDTH}}"


def _verdicts(report: Mapping[str, Any]) -> str:
    heading = (
        "Held against the controls, image by image: better or worse where the 95 % interval of "
        "the mean difference leaves out 0"
    )
    judged = [method for method in report["methods"] if method not in report["controls"]]
    blocks = [_paragraph(method, verdict_sentences(report, method)) for method in judged]
    return "\n\n".join([heading, *blocks])


def _paragraph(title: str, sentences: Sequence[str]) -> str:
    return "\n".join([title, *(_wrapped(sentence, "  ") for sentence in sentences)])


def _wrapped(sentence: str, indent: str) -> str:
    return textwrap.fill(
        sentence,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_on_hyphens=False,
    )


def _unmeasured(report: Mapping[str, Any]) -> list[str]:
    there = measured(report["rows"])
    missing = [measure.name for measure in MEASURES if measure not in there]
    return [_wrapped(f"Not measured: {', '.join(missing)}", "")] if missing else []
