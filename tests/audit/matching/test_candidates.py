"""Candidate pairs against a brute-force search."""

from __future__ import annotations

import numpy as np
import pytest

from fakd_jax.audit.matching import candidates
from fakd_jax.audit.matching.candidates import (
    Candidates,
    among_best,
    find_candidates,
    merge_candidates,
    unit_rows,
)
from fakd_jax.audit.matching.orientations import ORIENTATIONS


def stack_with_copies(seed: int) -> np.ndarray:
    """Eleven small random pictures; some are noisy, turned copies of others."""
    rng = np.random.default_rng(seed)
    pictures = rng.normal(size=(11, 6, 6))
    for copy, original in ((4, 0), (7, 1), (8, 1), (10, 9)):
        turned = ORIENTATIONS[rng.integers(8)].apply(pictures[original])
        pictures[copy] = 3 * turned + 0.8 * rng.normal(size=(6, 6)) - 5
    return pictures.astype(np.float32)


def by_brute_force(pictures: np.ndarray, least: float) -> dict[tuple[int, int, int], float]:
    found = {}
    for first in range(len(pictures)):
        for second in range(first + 1, len(pictures)):
            for number, orientation in enumerate(ORIENTATIONS):
                other = orientation.apply(pictures[second])
                value = np.corrcoef(pictures[first].ravel(), other.ravel())[0, 1]
                if value >= least:
                    found[first, second, number] = value
    return found


def as_dict(found: Candidates) -> dict[tuple[int, int, int], float]:
    keys = zip(found.first.tolist(), found.second.tolist(), found.orientation.tolist(), strict=True)
    return dict(zip(keys, found.correlation.tolist(), strict=True))


@pytest.mark.parametrize("block", [1, 4, 1024])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("least", [0.2, 0.75])
def test_every_pair_is_compared_in_every_orientation(monkeypatch, block, seed, least):
    monkeypatch.setattr(candidates, "BLOCK", block)
    pictures = stack_with_copies(seed)
    expected = by_brute_force(pictures, least)
    assert expected
    found = find_candidates(pictures, least)
    assert len(found) == len(expected)
    assert as_dict(found) == pytest.approx(expected, abs=1e-5)


def test_pictures_without_contrast_resemble_nothing():
    pictures = np.random.default_rng(0).normal(size=(5, 6, 6)).astype(np.float32)
    pictures[1], pictures[3] = 0, 7
    found = find_candidates(pictures, least=-1.0)
    flat = np.isin(found.first, [1, 3]) | np.isin(found.second, [1, 3])
    assert len(found) == 8 * 10  # all pairs are there at this threshold
    np.testing.assert_array_equal(found.correlation[flat], 0)
    assert len(find_candidates(pictures[[1, 3, 1]])) == 0
    assert len(find_candidates(pictures[:1], least=-1.0)) == 0


def test_rows_have_mean_0_and_length_1():
    pictures = np.random.default_rng(0).uniform(100, 200, (3, 5, 5)).astype(np.float32)
    rows = unit_rows(pictures)
    assert rows.shape == (3, 25)
    np.testing.assert_allclose(rows.mean(axis=1), 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, rtol=1e-5)


def some(*rows: tuple[int, int, int, float]) -> Candidates:
    first, second, orientation, correlation = zip(*rows, strict=True)
    whole = (np.array(column) for column in (first, second, orientation))
    return Candidates(*whole, np.array(correlation))


def test_merging_keeps_the_greater_correlation():
    one = some((0, 1, 0, 0.9), (0, 1, 2, 0.8), (2, 3, 0, 0.76))
    other = some((2, 3, 0, 0.95), (0, 1, 0, 0.85), (1, 3, 5, 0.77))
    assert as_dict(merge_candidates(one, other)) == {
        (0, 1, 0): 0.9,
        (0, 1, 2): 0.8,
        (1, 3, 5): 0.77,
        (2, 3, 0): 0.95,
    }
    nothing = one.take(np.zeros(3, bool))
    assert as_dict(merge_candidates(one, nothing)) == as_dict(merge_candidates(nothing, one))
    assert as_dict(merge_candidates(one, nothing)) == as_dict(one)
    assert len(merge_candidates(nothing, nothing)) == 0


@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_pair_is_kept_if_it_is_among_the_best_of_either_image(most):
    rng = np.random.default_rng(most)
    pairs = some(*((*sorted(rng.choice(6, 2, replace=False).tolist()), 0, 1.0) for _ in range(20)))
    values = rng.normal(size=20)
    kept = among_best(pairs, values, most)
    for number in range(20):
        ranks = [
            int((values[(pairs.first == image) | (pairs.second == image)] > values[number]).sum())
            for image in (pairs.first[number], pairs.second[number])
        ]
        assert kept[number] == (min(ranks) < most)
    assert among_best(pairs.take(slice(0, 0)), values[:0], most).shape == (0,)
