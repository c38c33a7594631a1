"""The randomisation test: kinds of methods with a known verdict, by simulation and by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakd_jax.explanation.quality.randomisation import (
    DEPENDENT,
    REPRODUCIBLE,
    Randomisation,
    Sanity,
    randomisation_of,
    sanity_of,
)

IMAGES, SEEDS, NETWORKS = 25, 4, 2


def smooth_map(random: np.random.Generator, superpixels: int) -> np.ndarray:
    """Correlated along a ring of superpixels, of mean 0 and variance 1 over many maps."""
    noise = random.normal(size=superpixels)
    return (noise + np.roll(noise, 1) + np.roll(noise, 2)) / np.sqrt(3)


Method = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Weights, from a map of the image, one that the network has learnt and one of the seed."""

METHODS: dict[str, Method] = {
    "edges": lambda image, learnt, noise: np.abs(image),
    "noise": lambda image, learnt, noise: noise,
    "degenerate": lambda image, learnt, noise: 1e-8 * noise,
    "learnt": lambda image, learnt, noise: learnt + 0.4 * noise,
    "mostly fixed": lambda image, learnt, noise: 0.7 * image + 0.3 * learnt + 0.1 * noise,
    "mostly learnt": lambda image, learnt, noise: 0.3 * image + 0.7 * learnt + 0.1 * noise,
    "sign learnt": lambda image, learnt, noise: image * np.sign(learnt[0]) + 0.5 * noise,
    "sign fixed": lambda image, learnt, noise: (
        np.sign(image) * (np.abs(learnt) + 0.1) + 0.1 * noise
    ),
    "fixed and noisy": lambda image, learnt, noise: image + noise,
    "borderline": lambda image, learnt, noise: 1.07 * image + learnt,
    "positive": lambda image, learnt, noise: np.exp(learnt),
}


def checks(
    name: str, *, superpixels: int = 40, images: int = IMAGES, seed: int = 0
) -> list[Randomisation]:
    method, random = METHODS[name], np.random.default_rng(seed)
    found = []
    for _ in range(images):
        image, learnt, *others = (smooth_map(random, superpixels) for _ in range(2 + NETWORKS))
        trained = [method(image, learnt, smooth_map(random, superpixels)) for _ in range(SEEDS)]
        reinitialised = [method(image, other, smooth_map(random, superpixels)) for other in others]
        found.append(randomisation_of(np.array(trained), np.array(reinitialised)))
    return found


def verdict(name: str, **settings: int) -> Sanity:
    found = checks(name, **settings)
    return sanity_of(found, np.arange(len(found)))


@pytest.mark.parametrize(
    "name", [name for name in METHODS if name not in ("borderline", "positive")]
)
def test_only_methods_that_depend_on_what_was_learnt_pass(name: str) -> None:
    for seed in range(8):
        assert verdict(name, seed=seed).passes is (name in ("learnt", "mostly learnt"))


def test_an_edge_detector_is_fully_similar_and_noise_has_no_dependence() -> None:
    found = checks("edges")
    assert {check.similarity for check in found} == {1.0}
    assert sanity_of(found, np.arange(IMAGES)) == Sanity(0.0, None, IMAGES, False)
    for name in ("noise", "degenerate"):
        assert verdict(name) == Sanity(None, None, IMAGES, False)


def test_a_flip_of_all_signs_is_the_same_picture() -> None:
    random = np.random.default_rng(0)
    row = random.normal(size=20)
    check = randomisation_of(np.array([row, row]), -row[None])
    assert check == Randomisation(-1.0, 1.0, 1.0, 1.0)
    assert (check.similarity, check.dependence) == (1, 0)
    upside_down = randomisation_of(np.abs([row, row]), 5 - np.abs(row[None]))
    assert (upside_down.similarity, upside_down.dependence) == (-1, 1)


def test_dependence_by_hand() -> None:
    assert Randomisation(0.3, -0.1, 0.6, 0.5).dependence == pytest.approx(1 - 0.3 / 0.6)
    assert Randomisation(0.1, 0.3, 0.8, 0.4).dependence == pytest.approx(1 - 0.3 / 0.4)
    assert Randomisation(-0.5, -0.1, 0.8, 0.4).dependence == 1
    # A reading that is not reproducible is left out.
    assert Randomisation(0.2, 0.3, 0.8, REPRODUCIBLE).dependence == pytest.approx(0.75)
    assert Randomisation(0.2, 0.3, REPRODUCIBLE, 0.1).dependence is None


def test_correlations_by_hand() -> None:
    trained = np.array([[1.0, 2, 3, 4], [1.0, 2, 4, 3]])
    randomised = np.array([[4.0, 3, 2, 1], [1.0, 2, 3, 4], [2.0, 1, 3, 4]])
    check = randomisation_of(trained, randomised)
    assert check.stability_signed == check.stability_absolute == pytest.approx(0.8)
    assert check.signed == pytest.approx(np.mean([-1, 1, 0.8, -0.8, 0.8, 0.6]))


def test_chance_correlations_of_few_superpixels_do_not_sway_the_verdict() -> None:
    found = [checks("positive", superpixels=5, images=60, seed=seed) for seed in range(10)]
    verdicts = [sanity_of(one, np.arange(60)) for one in found]
    assert all(v.passes for v in verdicts)
    assert np.mean([v.dependence for v in verdicts]) == pytest.approx(1, abs=0.05)
    naive = np.mean([check.dependence for one in found for check in one])
    assert naive < 0.9  # the images' own dependences, clipped at 0


def test_a_borderline_method_hardly_ever_passes() -> None:
    verdicts = [verdict("borderline", seed=seed) for seed in range(40)]
    assert np.mean([v.dependence for v in verdicts]) == pytest.approx(DEPENDENT, abs=0.02)
    assert sum(bool(v.passes) for v in verdicts) <= 4  # 2.5 % by the interval's level


def test_noise_between_seeds_is_not_dependence() -> None:
    found = checks("fixed and noisy")
    assert np.mean([check.similarity for check in found]) == pytest.approx(0.5, abs=0.1)
    assert sanity_of(found, np.arange(IMAGES)).dependence == pytest.approx(0, abs=0.15)


@given(st.floats(1e-3, 1e3), st.floats(1e-12, 1e3), st.permutations(range(8)))
def test_neither_units_nor_the_order_of_superpixels_matter(scale, other, order) -> None:
    random = np.random.default_rng(0)
    trained, randomised = random.normal(size=(3, 8)), random.normal(size=(2, 8))
    expected = astuple(randomisation_of(trained, randomised))
    same = randomisation_of(scale * trained[:, order], other * randomised[:, order])
    assert astuple(same) == pytest.approx(expected)


def test_equal_rounding_errors_are_not_reproducible() -> None:
    rounding = np.random.default_rng(0).normal(size=(1, 8)) * 1e-8
    check = randomisation_of(np.repeat(rounding, 3, axis=0), np.eye(8)[:1])
    assert (check.stability_signed, check.dependence) == (0, None)


def test_few_images_or_groups_of_duplicates_have_no_verdict() -> None:
    few = verdict("learnt", images=4)
    assert few.passes is None
    assert few.dependence is not None
    assert verdict("noise", images=1).passes is None
    assert sanity_of(checks("learnt"), np.arange(IMAGES) % 4).passes is None
    assert sanity_of([], np.arange(0)) == Sanity(None, None, 0, None)


def test_duplicates_are_one_unit_and_widen_the_interval() -> None:
    found = checks("mostly learnt")
    alone = sanity_of(found, np.arange(IMAGES))
    twice = sanity_of(found * 2, np.tile(np.arange(IMAGES), 2))
    assert twice.ci95 == pytest.approx(alone.ci95)
    careless = sanity_of(found * 2, np.arange(2 * IMAGES))
    assert np.ptp(careless.ci95) < 0.85 * np.ptp(twice.ci95)


def test_one_run_is_refused() -> None:
    with pytest.raises(ValueError, match="at least two"):
        randomisation_of(np.ones((1, 3)), np.ones((1, 3)))
