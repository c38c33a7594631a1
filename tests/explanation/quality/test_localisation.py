"""Attribution and lesions: by hand, by drawing ties, by properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakd_jax.explanation.quality.localisation import (
    background_share,
    dice_of_top,
    localisation_of,
    mass_in_mask,
    pointing_game,
)

MASK = np.array([[True, True, False], [True, False, False]])

grey = st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0, 3.0])
attributions = st.lists(grey, min_size=12, max_size=12).map(lambda v: np.array(v).reshape(3, 4))
masks = (
    st.lists(st.booleans(), min_size=12, max_size=12)
    .filter(any)
    .map(lambda v: np.array(v).reshape(3, 4))
)


def test_by_hand() -> None:
    attribution = np.array([[4.0, 1.0, 2.0], [-3.0, 3.0, 0.0]])
    found = localisation_of(attribution, MASK)
    # Maximum: 4, in. Top three: 4 in, 3 and 2 out. Positive attribution: 10, of which 5 in.
    assert found == {"pointing": 1.0, "dice": 1 / 3, "mass_in_mask": 0.5}


def test_a_superpixel_that_reaches_over_the_rim_points_in_part() -> None:
    attribution = np.array([[0.0, 5.0, 5.0], [0.0, 5.0, 5.0]])
    assert pointing_game(attribution, MASK) == 1 / 4
    assert dice_of_top(attribution, MASK) == pytest.approx(3 / 4 * 2 / 6)  # 3 of the 4 are taken


def test_fewer_positive_pixels_than_the_lesion_has() -> None:
    attribution = np.array([[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]])
    assert dice_of_top(attribution, MASK) == pytest.approx(2 * 1 / (1 + 3))


@given(attributions, masks)
def test_ties_are_worth_what_drawing_them_is_worth(
    attribution: np.ndarray, mask: np.ndarray
) -> None:
    """Every pixel's chance to be taken, by drawing, against the expected value."""
    random = np.random.default_rng(0)
    taken = min(mask.sum(), (attribution > 0).sum())
    drawn = []
    for _ in range(400):
        order = random.permutation(attribution.size)
        top = order[np.argsort(-attribution.ravel()[order], kind="stable")[:taken]]
        drawn.append(2 * mask.ravel()[top].sum() / (taken + mask.sum()))
    assert dice_of_top(attribution, mask) == pytest.approx(np.mean(drawn), abs=0.1)


@given(
    attributions, masks, st.randoms(use_true_random=False), st.sampled_from([1e-300, 0.3, 1e300])
)
def test_ranges_scale_and_places_do_not_matter(attribution, mask, random, scale) -> None:
    found = localisation_of(attribution, mask)
    values = np.array([*found.values()])
    assert ((values >= 0) & (values <= 1)).all()
    order = random.sample(range(12), 12)
    moved = localisation_of(
        (attribution * scale).ravel()[order].reshape(2, 6), mask.ravel()[order].reshape(2, 6)
    )
    assert [*moved.values()] == pytest.approx(values)
    negatives_do_not_matter = localisation_of(
        np.where(attribution < 0, 5 * attribution, attribution), mask
    )
    assert negatives_do_not_matter == found


@given(masks)
def test_attribution_that_is_the_lesion_finds_it(mask: np.ndarray) -> None:
    assert set(localisation_of(mask * 0.7 - 0.2 * ~mask, mask).values()) == {1.0}
    assert set(localisation_of((~mask).astype(float), mask).values()) == {0.0}


@pytest.mark.parametrize("level", [0.0, -1.0])
def test_without_positive_attribution_nothing_is_found(level: float) -> None:
    assert set(localisation_of(np.full((2, 3), level), MASK).values()) == {0.0}


def test_even_attribution_over_the_head_scores_the_lesions_share_of_it() -> None:
    mask, head = np.zeros((8, 8), bool), np.zeros((8, 8), bool)
    head[1:7, 1:6] = True
    mask[2:4, 4:7] = True  # a third of it outside the head
    found = localisation_of(head.astype(float), mask)
    assert [*found.values()] == pytest.approx([4 / 30] * 3)


def test_mass_is_of_positive_attribution_alone() -> None:
    assert mass_in_mask(np.array([[1.0, 2.0, 3.0], [4.0, 0.0, -9.0]]), MASK) == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("attribution", "mask"),
    [
        (np.ones((2, 3)), np.zeros((2, 3), bool)),
        (np.ones((3, 2)), MASK),
        (np.full((2, 3), np.nan), MASK),
    ],
)
def test_what_cannot_be_found_is_refused(attribution: np.ndarray, mask: np.ndarray) -> None:
    with pytest.raises((ValueError, TypeError)):
        localisation_of(attribution, mask)


HEAD = np.array([[True, True, False], [True, False, False]])
MAP = np.array([[3.0, -1.0, 0.5], [0.0, -1.5, 0.0]])


def test_background_share_by_hand() -> None:
    assert background_share(MAP, HEAD) == pytest.approx(2 / 6)
    assert background_share(MAP, ~HEAD) == pytest.approx(4 / 6)
    assert background_share(MAP, np.zeros((2, 3), bool)) == 1


@pytest.mark.parametrize("scale", [-1.0, 1e-300, 1e307])
def test_neither_sign_nor_scale_matters_to_the_background_share(scale: float) -> None:
    assert background_share(MAP * scale, HEAD) == pytest.approx(2 / 6)


def test_no_background_share_without_attribution_or_background() -> None:
    assert background_share(MAP * 0, HEAD) is None
    assert background_share(MAP, np.ones((2, 3), bool)) is None


@pytest.mark.parametrize("attribution", [np.full((2, 3), np.inf), np.ones((3, 2))])
def test_a_background_share_of_something_else_is_refused(attribution: np.ndarray) -> None:
    with pytest.raises((ValueError, TypeError)):
        background_share(attribution, HEAD)
