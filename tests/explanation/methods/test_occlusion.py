"""Occlusion: the attribution by hand, windows that cover the image, none without foreground."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fakd_jax.explanation.methods.occlusion import OcclusionExplainer
from tests.explanation.methods.scenes import a_network, a_scene, all_foreground, brightness


def corner(images: np.ndarray) -> np.ndarray:
    """The brightness of the pixel at the upper left of the foreground of `all_foreground`."""
    return 0.1 + 0.8 * images[:, 0, 0, 0] / 255


def test_the_attribution_by_hand() -> None:
    # Windows of 4 pixels start at 0, 2 and 4 on each axis; only the first covers the corner.
    explainer = OcclusionExplainer(window=0.5, stride=0.5)
    explanation = explainer.explain(all_foreground(8, 8), a_network(corner), 1, 0)
    windows_over = np.array([1, 1, 2, 2, 2, 2, 1, 1])
    in_the_first = np.arange(8) < 4
    expected = 0.8 * np.outer(in_the_first / windows_over, in_the_first / windows_over)
    np.testing.assert_allclose(explanation.attribution, expected, atol=1e-12)
    np.testing.assert_allclose(explanation.weights, [expected.mean()])


def test_the_default_is_an_eighth_of_the_image_in_steps_of_half_a_window() -> None:
    windows = OcclusionExplainer().windows(np.ones((224, 224), bool))
    assert [(row.start, row.stop) for row, _ in windows[::15]] == [
        (start, start + 28) for start in range(0, 197, 14)
    ]
    assert len(windows) == 225 == OcclusionExplainer().num_predictions - 1


fractions = st.floats(0.05, 1)


@settings(max_examples=100)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    window=fractions,
    stride=fractions,
    seed=st.integers(0, 99),
)
def test_windows_cover_the_foreground_and_each_contains_some(
    shape: tuple[int, int], window: float, stride: float, seed: int
) -> None:
    explainer = OcclusionExplainer(window, stride)
    foreground = np.random.default_rng(seed).random(shape) < 0.3
    windows = explainer.windows(foreground)
    covered = np.zeros(shape, int)
    for place in windows:
        assert foreground[place].any()
        covered[place] += 1
    assert covered[foreground].all() if foreground.any() else not windows
    assert len(windows) < explainer.num_predictions
    assert len({(row.stop - row.start, column.stop - column.start) for row, column in windows}) <= 1
    assert len(set(map(str, windows))) == len(windows)


@given(side=st.integers(1, 300), window=fractions, stride=fractions)
def test_windows_lie_within_the_image_no_farther_apart_than_the_stride(
    side: int, window: float, stride: float
) -> None:
    places = [row for row, _ in OcclusionExplainer(window, stride).windows(np.ones((side, 1)) > 0)]
    starts = np.array([place.start for place in places])
    assert starts[0] == 0
    assert places[-1].stop == side
    assert (np.diff(starts) <= np.ceil(stride * window * side) + 1e-9).all()


def test_windows_without_foreground_are_not_predicted() -> None:
    scene, batches = a_scene(), []

    def score(images: np.ndarray) -> np.ndarray:
        batches.append(images)
        return brightness(images)

    OcclusionExplainer(window=1 / 8, stride=1.0).explain(scene, a_network(score), 1, 0)
    # Of 8 × 8 windows of 4 pixels, the margin of 4 pixels leaves 6 × 6; and the whole image.
    images = np.concatenate(batches)
    assert len(images) == 37
    np.testing.assert_array_equal(images[0], scene.image)
    replaced = (images[1:] != scene.image).any(axis=-1).sum(axis=(1, 2))
    np.testing.assert_array_equal(replaced, 16)
