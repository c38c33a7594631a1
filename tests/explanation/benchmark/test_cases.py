"""Cases: cells by image, and the order in which a human should look at them."""

from __future__ import annotations

from typing import Any

import pytest

from fakd_jax.explanation.benchmark.cases import Case, cases_of, worst_first
from tests.explanation.report.gallery.example_gallery import (
    CONTROLS,
    DOWN,
    METHODS,
    UP,
    cell,
    cells_of,
    image,
)

MIDDLING = [0.2, 0.1, 0.4, 0.3]  # of UP its rank correlation is 0.6
WRONG: dict[str, Any] = {"prediction": "notumor"}
UNKNOWN: dict[str, Any] = {"true_class": None}


def ordered(*images: list[dict[str, Any]]) -> list[str]:
    cases = worst_first(cases_of(cells_of(*images), METHODS, CONTROLS))
    return [case.facts["id"] for case in cases]


def test_cells_are_gathered_by_image_and_methods_ordered() -> None:
    cells = [cell("b", "centre"), cell("a", "grad-cam"), cell("b", "lime"), cell("a", "other")]
    cases = cases_of(cells, METHODS, CONTROLS)
    assert [list(case.cells) for case in cases] == [["lime", "centre"], ["grad-cam"]]
    assert [case.facts["id"] for case in cases] == ["b", "a"]


def test_an_image_with_no_cell_of_the_methods_is_no_case() -> None:
    assert cases_of([cell("a", "other")], METHODS, CONTROLS) == []


def test_two_cells_for_one_place_are_refused() -> None:
    with pytest.raises(ValueError, match="two cells of lime for a"):
        cases_of([cell("a", "lime"), cell("a", "lime")], METHODS, CONTROLS)


def test_agreement_leaves_controls_out() -> None:
    (case,) = cases_of(image("a", MIDDLING), METHODS, CONTROLS)
    assert case.pairs == {("lime", "grad-cam"): pytest.approx(0.6)}
    assert case.agreement == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("truth", "expected"), [("glioma", True), ("notumor", False), (None, None)]
)
def test_right_wrong_or_not_known(truth: str | None, expected: bool | None) -> None:
    case = Case({"lime": cell("a", "lime", true_class=truth)}, CONTROLS)
    assert case.right is expected


def test_wrong_before_unknown_before_right_whatever_the_agreement() -> None:
    assert ordered(image("a", DOWN), image("b", MIDDLING, **UNKNOWN), image("c", UP, **WRONG)) == [
        *("c", "b", "a")
    ]


def test_the_less_methods_agree_the_earlier() -> None:
    assert ordered(image("a", UP), image("b", DOWN), image("c", MIDDLING)) == ["b", "c", "a"]


def test_what_cannot_be_compared_leads_and_equals_stand_by_id() -> None:
    silent = [0.0] * 4
    assert ordered(image("c", DOWN), image("b", DOWN), image("z", silent), image("y", silent)) == [
        *("y", "z", "b", "c")
    ]
