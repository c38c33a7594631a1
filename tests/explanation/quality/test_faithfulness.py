"""Deletion and insertion: opacities by hand and by drawing, curves of networks that are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fakd_jax.explanation.quality.faithfulness import (
    Curves,
    area_under,
    deletion_insertion,
    deletion_opacities,
    insertion_opacities,
)
from tests.explanation.quality.small_scenes import SUPERPIXELS, network_of, small_scene

FOREGROUND = np.array([[True, True, True], [True, True, False]])

attributions = arrays(float, (2, 3), elements=st.sampled_from([-2.0, -0.0, 0.0, 1.0, 3.0]))


def painted(weights: list[float]) -> np.ndarray:
    return np.append(weights, 0.0)[SUPERPIXELS]


def test_the_order_by_hand() -> None:
    attribution = np.array([[-1.0, 4.0, 0.0], [3.0, 2.0, 99.0]])
    gone = [
        [[1, 1, 1], [1, 1, 1]],
        [[1, 0, 1], [1, 1, 1]],
        [[1, 0, 1], [0, 1, 1]],
        [[1, 0, 1], [0, 0, 1]],
        [[1, 0, 0], [0, 0, 1]],
        [[0, 0, 0], [0, 0, 1]],  # what speaks against the class goes last
    ]
    found = deletion_opacities(attribution, FOREGROUND, 5)
    np.testing.assert_array_equal(found, gone)
    back = np.where(FOREGROUND, 1 - np.array(gone), 1)
    np.testing.assert_array_equal(insertion_opacities(attribution, FOREGROUND, 5), back)


def test_ties_and_fractional_shares_fade() -> None:
    attribution = np.array([[5.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    found = deletion_opacities(attribution, FOREGROUND, 2)[1]  # half of 5 pixels: 2.5
    np.testing.assert_allclose(found, [[0, 0.5, 0.5], [0.5, 1, 1]])


@given(attributions, st.integers(1, 7))
def test_each_step_takes_an_equal_share_and_returns_nothing(
    attribution: np.ndarray, steps: int
) -> None:
    deletion = deletion_opacities(attribution, FOREGROUND, steps)
    insertion = insertion_opacities(attribution, FOREGROUND, steps)
    assert deletion.shape == insertion.shape == (steps + 1, 2, 3)
    taken = (1 - deletion)[:, FOREGROUND]
    np.testing.assert_allclose(taken.sum(axis=1), 5 * np.arange(steps + 1) / steps, atol=1e-5)
    assert (np.diff(taken, axis=0) >= 0).all()
    np.testing.assert_allclose(insertion[:, FOREGROUND], taken, atol=1e-6)
    assert (deletion[:, ~FOREGROUND] == 1).all()
    assert (insertion[:, ~FOREGROUND] == 1).all()
    np.testing.assert_array_equal(
        deletion, deletion_opacities(7 * attribution + 2, FOREGROUND, steps)
    )


@settings(max_examples=25)
@given(attributions)
def test_opacities_are_the_expected_ones_over_all_orders_of_ties(attribution: np.ndarray) -> None:
    random = np.random.default_rng(0)
    shown = np.zeros((6, 2, 3))
    for _ in range(200):
        distinct = np.argsort(np.lexsort((random.random(6), attribution.ravel()))).reshape(2, 3)
        shown += deletion_opacities(distinct.astype(float), FOREGROUND, 5)
    np.testing.assert_allclose(
        deletion_opacities(attribution, FOREGROUND, 5), shown / 200, atol=0.18
    )


@given(attributions, st.permutations(range(6)))
def test_position_does_not_matter(attribution: np.ndarray, order: list[int]) -> None:
    moved = deletion_opacities(
        attribution.ravel()[order].reshape(2, 3), FOREGROUND.ravel()[order].reshape(2, 3), 4
    )
    expected = deletion_opacities(attribution, FOREGROUND, 4).reshape(5, 6)[:, order]
    np.testing.assert_array_equal(moved.reshape(5, 6), expected)


def test_areas_by_hand() -> None:
    fraction = np.array([0, 0.5, 1])
    curves = Curves(fraction, np.array([1, 0.2, 0]), np.array([0, 0.9, 1]))
    assert curves.deletion_area == pytest.approx(0.35)
    assert curves.insertion_area == pytest.approx(0.7)
    assert curves.gap == pytest.approx(0.35)
    assert area_under(fraction, np.ones(3)) == 1


def test_curves_of_a_network_that_depends_on_one_superpixel() -> None:
    """Superpixel 1 is a sixth of the foreground; its visible share is the probability."""
    network = network_of(lambda shown: shown[:, 1])
    right, wrong, against = (
        deletion_insertion(small_scene(), network, painted([0, sign, 0, 0]), class_index, 12)
        for sign, class_index in ((1, 1), (-1, 1), (1, 0))
    )
    np.testing.assert_allclose(right.fraction, np.arange(13) / 12)
    np.testing.assert_allclose(right.deletion, [1, 0.5] + [0] * 11, atol=0.01)
    np.testing.assert_allclose(right.insertion, [0, 0.5] + [1] * 11, atol=0.01)
    assert right.gap == pytest.approx(11 / 12 - 1 / 12, abs=0.01)
    assert wrong.gap == pytest.approx(-right.gap, abs=0.01)
    np.testing.assert_allclose(against.deletion, 1 - right.deletion, atol=1e-6)


@given(st.floats(-3, 3))
def test_constant_attribution_has_no_gap(level: float) -> None:
    network = network_of(lambda shown: shown.mean(axis=1) ** 3)
    curves = deletion_insertion(small_scene(), network, np.full((6, 6), level), 1)
    assert len(curves.deletion) == 21
    np.testing.assert_allclose(curves.deletion, curves.insertion[::-1], atol=0.02)
    assert curves.gap == pytest.approx(0, abs=0.002)


def test_the_true_order_beats_random_ones() -> None:
    network = network_of(lambda shown: shown @ [0.1, 0.4, 0.2, 0.3])

    def gap(attribution: np.ndarray) -> float:
        return deletion_insertion(small_scene(), network, attribution, 1).gap

    best = gap(painted([0.1 / 8, 0.4 / 4, 0.2 / 4, 0.3 / 8]))  # per pixel, for areas differ
    random = np.random.default_rng(0)
    assert best >= max(gap(painted(random.normal(size=4))) for _ in range(30))
    assert best > 0.2


@pytest.mark.parametrize(
    ("attribution", "foreground", "steps"),
    [
        (np.ones((2, 3)), np.zeros((2, 3), bool), 5),
        (np.ones((2, 3)), FOREGROUND, 0),
        (np.full((2, 3), np.nan), FOREGROUND, 5),
    ],
)
def test_invalid_input_is_refused(attribution, foreground, steps) -> None:
    with pytest.raises(ValueError, match=r"steps over|finite"):
        deletion_opacities(attribution, foreground, steps)
