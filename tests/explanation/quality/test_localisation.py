"""Attribution and lesions: by hand, by drawing ties, by properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from fakd_jax.explanation.quality.localisation import (
    background_share,
    dice_of_top,
    localisation_of,
)

MASK = np.array([[True, True, False], [True, False, False]])

grey = st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0, 3.0])
attributions = arrays(float, (3, 4), elements=grey)
masks = arrays(bool, (3, 4)).filter(np.any)


@pytest.mark.parametrize(
    ("attribution", "pointing", "dice", "mass"),
    [
        # Maximum: 4, in. Top three: 4 in, 3 and 2 out. Positive attribution: 10, of which 5 in.
        ([[4, 1, 2], [-3, 3, 0]], 1, 1 / 3, 0.5),
        # Four pixels share the maximum, one of them in; any 3 of the 4 are the top three.
        ([[0, 5, 5], [0, 5, 5]], 1 / 4, 3 / 4 * 2 / 6, 1 / 4),
        # Fewer positive pixels than the lesion has.
        ([[1, 0, 0], [-1, 0, 0]], 1, 2 * 1 / (1 + 3), 1),
        # Negative attribution has no mass.
        ([[1, 2, 3], [4, 0, -9]], 1, 2 / 3, 0.7),
        ([[0, 0, 0], [0, 0, 0]], 0, 0, 0),
        ([[-1, -1, -1], [-1, -1, -1]], 0, 0, 0),
    ],
)
def test_metrics_by_hand(attribution: list, pointing: float, dice: float, mass: float) -> None:
    found = localisation_of(np.array(attribution, float), MASK)
    assert found == pytest.approx({"pointing": pointing, "dice": dice, "mass_in_mask": mass})


@given(attributions, masks)
def test_ties_score_what_drawing_them_scores_on_average(
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
def test_attribution_on_the_lesion_alone_scores_1_and_off_it_0(mask: np.ndarray) -> None:
    assert set(localisation_of(mask * 0.7 - 0.2 * ~mask, mask).values()) == {1.0}
    assert set(localisation_of((~mask).astype(float), mask).values()) == {0.0}


def test_even_attribution_scores_the_lesions_share_of_the_head() -> None:
    mask, head = np.zeros((8, 8), bool), np.zeros((8, 8), bool)
    head[1:7, 1:6] = True
    mask[2:4, 4:7] = True  # a third of it outside the head
    found = localisation_of(head.astype(float), mask)
    assert [*found.values()] == pytest.approx([4 / 30] * 3)


@pytest.mark.parametrize(
    ("attribution", "mask"),
    [
        (np.ones((2, 3)), np.zeros((2, 3), bool)),
        (np.ones((3, 2)), MASK),
        (np.full((2, 3), np.nan), MASK),
    ],
)
def test_invalid_attribution_is_refused(attribution: np.ndarray, mask: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite"):
        localisation_of(attribution, mask)


MAP = np.array([[3.0, -1.0, 0.5], [0.0, -1.5, 0.0]])


def test_background_share_by_hand() -> None:
    for scale in (1, -1, 1e-300, 1e307):
        assert background_share(MAP * scale, MASK) == pytest.approx(2 / 6)
    assert background_share(MAP, ~MASK) == pytest.approx(4 / 6)
    assert background_share(MAP, np.zeros((2, 3), bool)) == 1
    assert background_share(MAP * 0, MASK) is None
    assert background_share(MAP, np.ones((2, 3), bool)) is None


@pytest.mark.parametrize("attribution", [np.full((2, 3), np.inf), np.ones((3, 2))])
def test_invalid_attribution_is_refused_for_the_background_share(attribution: np.ndarray) -> None:
    with pytest.raises(ValueError, match="finite"):
        background_share(attribution, MASK)
