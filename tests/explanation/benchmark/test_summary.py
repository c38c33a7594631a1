"""Summaries: rows by method and class, verdicts, sanity, duplicate groups and notes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from fakd_jax.explanation.benchmark.metrics import BY_KEY
from fakd_jax.explanation.benchmark.summary import ALL, summarise
from tests.explanation.benchmark.benchmark_cells import (
    CLASSES,
    CONTROLS,
    METHODS,
    cell,
    cells_of,
    typical_cells,
)


@pytest.fixture(scope="module")
def typical() -> dict[str, Any]:
    return summarise(typical_cells(), METHODS, CONTROLS)


def row_of(report: dict[str, Any], method: str, name: str = ALL) -> dict[str, Any]:
    (row,) = (row for row in report["rows"] if (row["method"], row["class"]) == (method, name))
    return row


def test_means_by_hand_by_class_and_over_all() -> None:
    cells = [
        cell("a", "lime", "glioma", gap=0.2, dice=0.6),
        cell("b", "lime", "glioma", gap=0.4),
        cell("c", "lime", "notumor", gap=0.9),
        cell("a", "edges", "glioma", gap=-0.5),
    ]
    report = summarise(cells, ["lime"], ["edges"])
    undefined = {"mean": None, "ci95": None, "n": 0}
    for name, n, gap in ((ALL, 3, 0.5), ("glioma", 2, 0.3), ("notumor", 1, 0.9)):
        row = row_of(report, "lime", name)
        assert row["n"] == n
        assert row["metrics"]["gap"] == {"mean": pytest.approx(gap), "ci95": None, "n": n}
        assert row["metrics"]["deletion"] == undefined
    assert row_of(report, "lime")["metrics"]["dice"] == {"mean": 0.6, "ci95": None, "n": 1}
    assert row_of(report, "edges", "notumor")["n"] == 0
    assert row_of(report, "edges", "notumor")["metrics"]["gap"] == undefined


def test_coarse_maps_and_incomplete_sums_are_noted() -> None:
    def notes(**facts: Any) -> str:
        cells = [cell(id, "grad-cam", gap=0.1) | facts for id in "ab"]
        return " ".join(summarise(cells, ["grad-cam"], [])["notes"])

    assert "2 × 7" in notes(feature_map={"layer": "l", "height": 2, "width": 7})
    assert "5 × 7" not in notes(feature_map={"layer": "l", "height": 5, "width": 7})
    assert "2 of 2" in notes(completeness={"attributed": 1.2, "difference": 1.0})
    assert "steps" not in notes(completeness={"attributed": 1.0, "difference": 1.0})


def test_every_method_and_class_has_a_row_controls_last(typical: dict[str, Any]) -> None:
    everyone = [*METHODS, *CONTROLS]
    assert typical["methods"] == everyone
    assert typical["controls"] == list(CONTROLS)
    assert [(row["class"], row["method"]) for row in typical["rows"]] == [
        (name, method) for name in (ALL, *CLASSES) for method in everyone
    ]
    assert all(list(row["metrics"]) == list(BY_KEY) for row in typical["rows"])
    assert [row["method"] for row in typical["sanity"]] == everyone


def test_verdicts_and_the_sanity_check(typical: dict[str, Any]) -> None:
    verdicts = {
        (row["method"], row["metric"], row["control"]): row["verdict"]
        for row in typical["verdicts"]
    }
    assert len(verdicts) == len(METHODS) * 7 * len(CONTROLS)
    assert {verdicts["lime", key, "edges"] for key in ("deletion", "insertion", "gap")} == {
        "better"
    }
    passes = {row["method"]: row["passes"] for row in typical["sanity"]}
    assert passes["lime"] is True
    assert passes["integrated-gradients"] is False
    assert passes["edges"] is False
    assert passes["random"] is None


def test_it_is_json_and_independent_of_the_order_of_the_cells(typical: dict[str, Any]) -> None:
    again = summarise(typical_cells()[::-1], METHODS, CONTROLS)
    assert json.dumps(again, allow_nan=False) == json.dumps(typical, allow_nan=False)
    other = summarise(typical_cells(), METHODS, CONTROLS, seed=1)
    assert other["rows"] != typical["rows"]
    assert other["bootstrap"] == {"resamples": 2000, "seed": 1, "unit": "image", "units": 40}


def test_duplicate_groups_are_drawn_together() -> None:
    values = np.repeat(np.random.default_rng(0).uniform(size=20), 3)
    cells = cells_of("lime", "gap", values)
    groups = {f"image{index:02d}": index // 3 for index in range(60)}
    alone = summarise(cells, ["lime"], ["edges"])
    grouped = summarise(cells, ["lime"], ["edges"], groups=groups)
    widths = [np.ptp(row_of(r, "lime")["metrics"]["gap"]["ci95"]) for r in (alone, grouped)]
    assert widths[1] / widths[0] == pytest.approx(np.sqrt(3), rel=0.1)
    assert grouped["bootstrap"]["unit"] == "duplicate group"
    assert grouped["bootstrap"]["units"] == 20
    assert any("not been audited" in note for note in alone["notes"])
    assert not any("not been audited" in note for note in grouped["notes"])


def test_notes_count_comparisons_and_localised_images(typical: dict[str, Any]) -> None:
    count = len(METHODS) * 7 * 3
    assert sum(row["verdict"] is not None for row in typical["verdicts"]) == count
    assert any(f"{count} comparisons" in note and "here 7" in note for note in typical["notes"])
    assert any("on the 24 images" in note for note in typical["notes"])
    without = summarise(typical_cells(8, localised=False), METHODS, CONTROLS)
    assert not any("comparisons" in note or "localis" in note for note in without["notes"])


def test_a_method_cannot_be_a_control_too() -> None:
    with pytest.raises(ValueError, match="edges"):
        summarise([], ["lime", "edges"], ["edges"])
