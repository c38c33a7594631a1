"""Sections of the gallery on all images together: measures, controls, the sanity check."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from fakd_jax.explanation.benchmark.summary import ALL
from fakd_jax.explanation.report.benchmark_sentences import sanity_outcome
from fakd_jax.explanation.report.gallery.wording import DASH, estimate
from fakd_jax.reporting.markup import (
    Html,
    Inline,
    Section,
    details,
    figure,
    lines,
    paragraph,
    strong,
    subheading,
    table,
)

SHOWN = (
    *("jaccard", "gap", "local_fidelity", "dependence"),
    *("pointing", "mass_in_mask", "background"),
)
"""Of all measures those that the page tabulates, one or two a question; the rest is on file."""

_HEADING_WIDTH = 12
_VERDICTS: Mapping[str, tuple[str, Callable[[str], Inline]]] = {
    "above": ("better than", str),
    "not told apart": ("not told apart from", str),
    "below": ("WORSE than", strong),
}

_DEPENDS: Mapping[str, Inline] = {
    "passed": "yes",
    "failed": strong("NO: much the same untrained"),
    "not shown": "not shown: half of it or more may stay untrained",
    "irreproducible": strong("NO: another seed repeats nothing"),
}


def summary_section(summary: Mapping[str, Any], picture: bytes | None) -> Section:
    """The benchmark: a row a method, what stands above the controls, what depends on the network.

    Args:
      summary: what `benchmark.json` holds.
      picture: the benchmark drawn, a PNG.
    """
    overall = {row["method"]: row for row in summary["rows"] if row["class"] == ALL}
    measured = [
        measure
        for key in SHOWN
        for measure in summary["measures"]
        if measure["key"] == key and any(row["measures"][key]["n"] for row in overall.values())
    ]
    drawn = (
        ()
        if picture is None
        else (figure(picture, alt="The benchmark: methods by measures, with intervals", width=900),)
    )
    return Section(
        "All images together",
        (
            _measures_table(summary, overall, measured),
            *drawn,
            *_against_controls(summary, measured),
            *_sanity(summary),
        ),
    )


def _measures_table(
    summary: Mapping[str, Any],
    overall: Mapping[str, Mapping[str, Any]],
    measured: Sequence[Mapping[str, Any]],
) -> Html:
    header: list[Inline] = ["method", "images", *(_heading(measure) for measure in measured)]
    rows: list[list[Inline]] = []
    for method in summary["methods"]:
        row = overall[method]
        values = (row["measures"][measure["key"]] for measure in measured)
        rows.append(
            [
                _named(method, summary["controls"]),
                f"{row['n']:,}",
                *(estimate(value["mean"], value["ci95"]) for value in values),
            ]
        )
    return table(
        header,
        rows,
        align="l" + "r" * (len(header) - 1),
        caption="Means over the images, below them their 95 % intervals. ↑ the higher the better, "
        "↓ the lower the better.",
    )


def _heading(measure: Mapping[str, Any]) -> Html:
    """A measure's name in short lines, so that all columns find room, and which way is better."""
    arrow = {"higher": "↑", "lower": "↓"}[measure["better"]]
    return lines(*textwrap.wrap(f"{measure['name']}\u00a0{arrow}", _HEADING_WIDTH))


def _named(method: str, controls: Collection[str]) -> str:
    return f"{method} (control)" if method in controls else method


def _against_controls(
    summary: Mapping[str, Any], measured: Sequence[Mapping[str, Any]]
) -> list[Html]:
    """What each method gains over the controls: in words, and folded below in figures."""
    keys = {measure["key"] for measure in measured}
    known = [
        row for row in summary["verdicts"] if row["measure"] in keys and row["verdict"] is not None
    ]
    if not known:
        return []
    judged = {row["measure"] for row in known}
    columns = [measure for measure in measured if measure["key"] in judged]
    rows: list[list[Inline]] = [
        [method, *(_in_words(known, method, measure["key"]) for measure in columns)]
        for method in summary["methods"]
        if any(row["method"] == method for row in known)
    ]
    names = {measure["key"]: measure["name"] for measure in columns}
    return [
        subheading("Held against controls"),
        paragraph(
            "Controls do not look at the network. A method that is no better than they are has "
            "shown nothing of the network, however plausible its pictures."
        ),
        table(["method", *names.values()], rows),
        details(
            "The differences, with their 95 % intervals",
            table(
                ["method", "control", "measure", "difference (+ is better)", "images"],
                [
                    [
                        row["method"],
                        row["control"],
                        names[row["measure"]],
                        estimate(row["difference"], row["ci95"], signed=True),
                        f"{row['n']:,}",
                    ]
                    for row in known
                ],
                align="lllrr",
            ),
        ),
    ]


def _in_words(verdicts: Sequence[Mapping[str, Any]], method: str, measure: str) -> Inline:
    """Which controls a method is better than by a measure, which not, and which beat it."""
    against = {
        verdict: [
            row["control"]
            for row in verdicts
            if (row["method"], row["measure"], row["verdict"]) == (method, measure, verdict)
        ]
        for verdict in _VERDICTS
    }
    told: list[Inline] = [
        emphasis(f"{words} {', '.join(controls)}")
        for verdict, (words, emphasis) in _VERDICTS.items()
        if (controls := against[verdict])
    ]
    return lines(*told) if told else DASH


def _sanity(summary: Mapping[str, Any]) -> list[Html]:
    """Whether the methods' pictures change when all that the network has learnt is taken away."""
    told = [row for row in summary["sanity"] if row["passes"] is not None]
    if not told:
        return []
    return [
        subheading("Do the pictures depend on what the network learnt?"),
        table(
            ["method", "dependence", "depends on it", "images"],
            [
                [
                    _named(row["method"], summary["controls"]),
                    estimate(row["dependence"], row["ci95"]),
                    _DEPENDS[sanity_outcome(row)],
                    f"{row['n']:,}",
                ]
                for row in told
            ],
            align="lrlr",
            caption="Dependence is 1 where a network with weights drawn anew gives quite another "
            "picture, 0 where it gives the same.",
        ),
    ]
