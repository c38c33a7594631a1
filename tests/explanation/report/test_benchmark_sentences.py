"""Verdicts in words: measures of like verdicts together, nothing said of what was not measured."""

from __future__ import annotations

from fakd_jax.explanation.report.benchmark_sentences import (
    enumeration,
    sanity_sentences,
    verdict_sentences,
)


def verdict(measure: str, control: str, told: str | None, n: int = 30) -> dict:
    return {"method": "lime", "measure": measure, "control": control, "verdict": told, "n": n}


def test_measures_of_like_verdicts_share_a_sentence() -> None:
    report = {
        "verdicts": [
            verdict("deletion", "random", "above"),
            verdict("deletion", "centre", "not told apart"),
            verdict("deletion", "edges", "above"),
            verdict("insertion", "random", "above"),
            verdict("insertion", "centre", "not told apart"),
            verdict("insertion", "edges", "above"),
            verdict("dependence", "random", None, n=0),
            verdict("dependence", "centre", "below"),
            verdict("dependence", "edges", "below"),
            verdict("dice", "random", None, n=0),
            verdict("dice", "centre", None, n=0),
            verdict("pointing", "edges", None, n=4),
            verdict("gap", "edges", "below") | {"method": "rise"},
        ]
    }
    assert verdict_sentences(report, "lime") == [
        "deletion, insertion: better than random and edges; not told apart from centre",
        "dependence on weights: worse than centre and edges; not comparable with random",
        "pointing game: not comparable with edges",
    ]


def test_the_sanity_check_names_who_passes_who_does_not_and_who_is_not_measured() -> None:
    rows = [
        ("lime", True, 0.9, [0.8, 1.0]),
        ("grad-cam", False, 0.6, [0.4, 0.8]),
        ("grad-cam++", False, 0.4, [0.3, 0.49]),
        ("rise", True, 0.8, None),
        ("occlusion", None, 0.7, None),
        ("random", False, None, None),
        ("edges", False, 0.0, None),
    ]
    report = {
        "controls": ["random", "edges"],
        "sanity": [
            {"method": method, "passes": passes, "dependence": dependence, "ci95": ci95}
            for method, passes, dependence, ci95 in rows
        ],
    }
    passed, unclear, failed, empty, unknown = sanity_sentences(report)
    assert passed.startswith("passed")
    assert passed.endswith(": lime, rise")
    assert unclear.startswith("not passed")
    assert unclear.endswith("may stay when the network has learnt nothing: grad-cam")
    assert failed.startswith("failed")
    assert failed.endswith(": grad-cam++, edges (a control)")
    assert (
        empty == "not passed, there is nothing that another seed would repeat: random (a control)"
    )
    assert unknown == "not measured on 10 images or more: occlusion"
    report["sanity"] = report["sanity"][:1]
    assert len(sanity_sentences(report)) == 1


def test_names_are_enumerated() -> None:
    assert enumeration(["a"]) == "a"
    assert enumeration(["a", "b"]) == "a and b"
