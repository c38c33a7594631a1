"""Which mistakes are the worst, and what is fetched of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakd_jax.evaluation.report.mistakes import read_mistakes, worst_mistakes

IDS = ("d", "c", "b", "a", "e")
LABELS = np.array([0, 0, 1, 1, 2])
PROBABILITIES = np.array(
    [
        [0.2, 0.7, 0.1],  # wrong, 0.7
        [0.1, 0.1, 0.8],  # wrong, 0.8
        [0.8, 0.1, 0.1],  # wrong, 0.8, its id sorts before
        [0.0, 1.0, 0.0],  # right
        [0.5, 0.5, 0.0],  # wrong, 0.5: of equals the first class is the answer
    ],
    np.float32,
)


def test_the_most_confident_comes_first_and_of_equals_the_first_id() -> None:
    assert worst_mistakes(IDS, LABELS, PROBABILITIES, 9) == [2, 1, 0, 4]
    assert worst_mistakes(IDS, LABELS, PROBABILITIES, 2) == [2, 1]
    assert worst_mistakes(IDS, LABELS, PROBABILITIES, 0) == []


@given(st.permutations(range(5)))
def test_the_order_of_the_examples_does_not_matter(order: list[int]) -> None:
    ids = [IDS[index] for index in order]
    chosen = worst_mistakes(ids, LABELS[order], PROBABILITIES[order], 3)
    assert [ids[index] for index in chosen] == ["b", "c", "d"]


def test_none_where_every_answer_is_right() -> None:
    assert worst_mistakes(["a", "b"], np.array([0, 1]), np.eye(2), 5) == []


@pytest.mark.parametrize(("ids", "k"), [(IDS[:4], 1), (IDS, -1)])
def test_arguments_that_do_not_fit_are_refused(ids: tuple[str, ...], k: int) -> None:
    with pytest.raises(ValueError, match=f"{len(ids)} ids, 5 labels, 5 rows, k = {k}"):
        worst_mistakes(ids, LABELS, PROBABILITIES, k)


class Images:
    """A data set of one-pixel images, whose grey is the index."""

    class_names = ("x", "y", "z")

    def index_of(self, id: str) -> int:
        return IDS.index(id)

    def read(self, index: int) -> np.ndarray:
        return np.full((1, 1, 3), index, np.uint8)


def test_mistakes_come_with_image_names_probabilities_and_duplicate() -> None:
    first, second = read_mistakes([2, 0], Images(), IDS, LABELS, PROBABILITIES, {"b": "train/7"})
    assert (first.id, first.truth, first.prediction, first.duplicate) == ("b", "y", "x", "train/7")
    assert first.probabilities == {"x": pytest.approx(0.8), "y": pytest.approx(0.1)} | {
        "z": pytest.approx(0.1)
    }
    assert first.image.tolist() == [[[2, 2, 2]]]
    assert (second.id, second.truth, second.prediction, second.duplicate) == ("d", "x", "y", "")


def test_without_an_audit_no_duplicate_is_known() -> None:
    (mistake,) = read_mistakes([1], Images(), IDS, LABELS, PROBABILITIES, None)
    assert mistake.duplicate is None
