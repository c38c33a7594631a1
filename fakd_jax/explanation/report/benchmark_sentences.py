"""What a benchmark tells, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from fakd_jax.explanation.benchmark.estimates import MIN_UNITS
from fakd_jax.explanation.benchmark.metrics import MEASURES
from fakd_jax.explanation.benchmark.verdicts import Verdict, controls_by_verdict
from fakd_jax.explanation.quality.randomisation import DEPENDENT

Outcome = Literal["passed", "not shown", "failed", "irreproducible", "not measured"]

WORDS: Mapping[Verdict | None, str] = {
    "above": "better than",
    "not told apart": "not told apart from",
    "below": "worse than",
    None: "not comparable with",
}


def verdict_sentences(report: Mapping[str, Any], method: str) -> list[str]:
    """How a method stands to the controls, measures of like verdicts in one sentence.

    Args:
      report: of :func:`fakd_jax.explanation.benchmark.summary.summarise`.
      method: one that is no control.

    Returns:
      Such as "deletion, insertion: better than random and centre; not told apart from edges".
      Measures that no image has for the method and a control are left out.
    """
    measures_of: dict[str, list[str]] = {}
    for measure in MEASURES:
        rows = [
            row
            for row in report["verdicts"]
            if row["method"] == method and row["measure"] == measure.key
        ]
        if any(row["n"] for row in rows):
            controls = controls_by_verdict(rows, method, measure.key)
            told = "; ".join(
                f"{words} {enumeration(controls[verdict])}"
                for verdict, words in WORDS.items()
                if verdict in controls
            )
            measures_of.setdefault(told, []).append(measure.name)
    return [f"{', '.join(names)}: {told}" for told, names in measures_of.items()]


def sanity_sentences(report: Mapping[str, Any]) -> list[str]:
    """Which methods pass the sanity check, which do not, and of which it is not known.

    Args:
      report: of :func:`fakd_jax.explanation.benchmark.summary.summarise`.
    """
    outcomes: dict[Outcome, list[str]] = {}
    for row in report["sanity"]:
        control = " (a control)" if row["method"] in report["controls"] else ""
        outcomes.setdefault(sanity_outcome(row), []).append(row["method"] + control)
    words: Mapping[Outcome, str] = {
        "passed": f"passed, dependence on weights is surely {DEPENDENT:g} or more",
        "not shown": "not passed, half of the explanation or more may stay when the network has "
        "learnt nothing",
        "failed": "failed, half of the explanation or more surely stays when the network has "
        "learnt nothing",
        "irreproducible": "not passed, there is nothing that another seed would repeat",
        "not measured": f"not measured on {MIN_UNITS} images or more",
    }
    return [
        f"{told}: {', '.join(outcomes[outcome])}"
        for outcome, told in words.items()
        if outcome in outcomes
    ]


def sanity_outcome(row: Mapping[str, Any]) -> Outcome:
    """What a row of `sanity` says of its method."""
    if row["passes"] is None:
        return "not measured"
    if row["passes"]:
        return "passed"
    if row["dependence"] is None:
        return "irreproducible"
    highest = row["ci95"][1] if row["ci95"] else row["dependence"]
    return "failed" if highest < DEPENDENT else "not shown"


def enumeration(names: Sequence[str]) -> str:
    """One name or more as a reader expects them.

    >>> enumeration(["random", "centre", "edges"])
    'random, centre and edges'
    """
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
