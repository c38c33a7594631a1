"""Which mistakes are the worst, and what is known of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakd_jax.evaluation.report.mistakes import worst_mistakes

IDS = ("d", "c", "b", "a", "e")
LABELS = np.array([0, 0, 1, 1, 2])
PROBABILITIES = np.array(
    [
        [0.2, 0.7, 0.1],  # wrong, 0.7
        [0.1, 0.1, 0.8],  # wrong, 0.8
        [0.8, 0.1, 0.1],  # wrong, 0.8, its id sorts before
        [0.0, 1.0, 0.0],  # right
        [0.5, 0.5, 0.0],  # wrong, 0.5: of equals the first class is the prediction
    ],
    np.float32,
)


class Images:
    """A data set of one-pixel images, whose grey is the index."""

    class_names = ("x", "y", "z")

    def index_of(self, id: str) -> int:
        return IDS.index(id)

    def read(self, index: int) -> np.ndarray:
        return np.full((1, 1, 3), index, np.uint8)


@given(st.permutations(range(5)), st.integers(0, 5))
def test_the_most_confident_comes_first_whatever_the_order(order: list[int], most: int) -> None:
    ids = [IDS[index] for index in order]
    mistakes = worst_mistakes(
        Images(), ids, LABELS[order], PROBABILITIES[order], duplicates=None, most=most
    )
    assert [mistake.id for mistake in mistakes] == ["b", "c", "d", "e"][:most]
    assert all(mistake.duplicate is None for mistake in mistakes)


def test_mistakes_come_with_image_names_probabilities_and_duplicate() -> None:
    first, _, third, _ = worst_mistakes(
        Images(), IDS, LABELS, PROBABILITIES, duplicates={"b": "train/7"}
    )
    assert (first.id, first.truth, first.prediction, first.duplicate) == ("b", "y", "x", "train/7")
    assert first.probabilities == pytest.approx({"x": 0.8, "y": 0.1, "z": 0.1})
    assert first.image.tolist() == [[[2, 2, 2]]]
    assert (third.id, third.truth, third.prediction, third.duplicate) == ("d", "x", "y", "")


def test_a_mistake_names_the_first_of_its_group() -> None:
    groups = {"b": 4, "d": 4, "e": 4, "a": 9}
    found = worst_mistakes(Images(), IDS, LABELS, PROBABILITIES, duplicates=None, groups=groups)
    assert [(each.rank, each.id) for each in found] == [(1, "b"), (2, "c"), (3, "d"), (4, "e")]
    assert [each.follows for each in found] == [None, None, 1, 1]
