"""Scores of foreign images, and the threshold: by hand, by scikit-learn, by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from fakd_jax.reference.foreign import (
    FeatureSubspace,
    effective_number,
    least_images,
    tolerance_threshold,
    unit_length,
)

GENERATOR = np.random.default_rng(0)


def near_a_plane(count: int, width: int = 12, noise: float = 0.05) -> np.ndarray:
    """Features near the plane of the first two axes, of any length."""
    features = noise * GENERATOR.standard_normal((count, width))
    features[:, :2] += GENERATOR.normal([3, 0], 1, (count, 2))
    return (features * GENERATOR.uniform(1, 9, (count, 1))).astype(np.float32)


def test_the_score_by_hand() -> None:
    mean = np.array([0.6, 0, 0], np.float32)
    subspace = FeatureSubspace(mean, np.array([[0], [1], [0]], np.float32))
    features = np.array([[5, 0, 0], [3, 4, 0], [0, 0, 7], [0, 0, 0], [np.nan, 1, 1]], np.float32)
    # u - μ without its second coordinate: (0.4, 0), (0, 0), (-0.6, 1), (-0.6, 0).
    np.testing.assert_allclose(
        subspace.scores(features), [0.4, 0, np.hypot(0.6, 1), 0.6, np.inf], atol=1e-6
    )
    assert subspace.scores(features).dtype == np.float32


def test_the_subspace_is_that_of_principal_components() -> None:
    features = near_a_plane(200)
    subspace = FeatureSubspace.of(features, 2)
    pca = PCA(2).fit(unit_length(features))
    np.testing.assert_allclose(subspace.mean, pca.mean_, atol=1e-6)
    unit = unit_length(near_a_plane(5))
    lost = unit - pca.inverse_transform(pca.transform(unit))
    scores = subspace.scores(unit.astype(np.float32))
    np.testing.assert_allclose(scores, np.linalg.norm(lost, axis=1), atol=1e-6)


def test_what_leaves_the_subspace_is_foreign_whatever_its_length() -> None:
    subspace = FeatureSubspace.of(near_a_plane(400), 2)
    own = near_a_plane(100)
    foreign = own[:, ::-1].copy()
    assert subspace.scores(own).max() < subspace.scores(foreign).min()
    np.testing.assert_allclose(subspace.scores(1000 * own), subspace.scores(own), rtol=1e-5)


@pytest.mark.parametrize(
    ("images", "width", "dimensions"), [(400, 12, 6), (20, 90, 5), (300, 150, 64)]
)
def test_few_images_or_features_have_few_directions(
    images: int, width: int, dimensions: int
) -> None:
    features = GENERATOR.standard_normal((images, width)).astype(np.float32)
    subspace = FeatureSubspace.of(features)
    assert subspace.directions.shape == (width, dimensions)
    products = subspace.directions.T @ subspace.directions
    np.testing.assert_allclose(products, np.eye(dimensions), atol=1e-5)


def test_the_threshold_counts_from_the_largest() -> None:
    scores = GENERATOR.permutation(np.arange(93)).astype(np.float32)
    # The second of 93: 1 - 0.95^93 - 93 · 0.05 · 0.95^92 = 0.95002; of 92 only the first.
    assert tolerance_threshold(scores, 0.05) == 91
    assert tolerance_threshold(scores[scores < 92], 0.05) == 91
    assert tolerance_threshold(scores[scores < 59], 0.05) == 58
    assert least_images(0.05) == 59  # 0.95^59 = 0.0485
    with pytest.raises(ValueError, match="58 independent scores"):
        tolerance_threshold(scores[:58], 0.05)


@pytest.mark.parametrize("images", [59, 200, 1000])
def test_the_threshold_keeps_its_promise_in_95_of_100_runs(images: int) -> None:
    """Of uniform scores, the share above a threshold is one minus it."""
    draws = GENERATOR.uniform(size=(1000, images)).astype(np.float32)
    kept = np.mean([1 - tolerance_threshold(row, 0.05) <= 0.05 for row in draws])
    assert kept > 0.92
    if images == 1000:  # the promise costs little where images are many
        assert 1 - np.median([tolerance_threshold(row, 0.05) for row in draws]) > 0.035


def test_the_effective_number_of_images() -> None:
    above = np.array([1, 1, 0, 0, 0, 0, 0, 0], bool)
    assert effective_number(above, np.arange(8)) == 8
    # Pairs of copies say as much as half as many images.
    assert effective_number(above, np.repeat(np.arange(4), 2)) == pytest.approx(4)
    # One of each pair is above: less scattered than by chance, which is not taken for more images.
    assert effective_number(above, np.array([0, 1, 0, 1, 2, 2, 3, 3])) == 8
    assert effective_number(np.zeros(8, bool), np.zeros(8, int)) == 8


@pytest.mark.parametrize("images", [59, 93, 181, 1141, 1500])
def test_images_that_are_alone_are_as_many_as_they_are(images: int) -> None:
    for scores in GENERATOR.uniform(size=(20, images)):
        alone = tolerance_threshold(scores, 0.05, units=GENERATOR.permutation(images))
        assert alone == tolerance_threshold(scores, 0.05)


def test_the_promise_is_kept_for_copies_that_resemble_each_other() -> None:
    """Groups of one to nine images with almost the same score."""
    kept = []
    for _ in range(300):
        units = np.repeat(np.arange(200), GENERATOR.integers(1, 10, 200))
        scores = GENERATOR.uniform(size=200)[units] + 1e-6 * GENERATOR.uniform(size=len(units))
        together, apart = (tolerance_threshold(scores, 0.05, units=u) for u in (units, None))
        kept.append((1 - together <= 0.05, 1 - apart <= 0.05))
    with_units, without = np.mean(kept, axis=0)
    assert with_units > 0.9 > without + 0.05
    with pytest.raises(ValueError, match="independent"):
        tolerance_threshold(np.repeat([0.0, 1.0], 50), 0.05, units=np.repeat(np.arange(4), 25))
