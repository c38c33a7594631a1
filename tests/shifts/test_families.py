from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fakd_jax.shifts import resolution
from fakd_jax.shifts.families import FAMILIES
from tests.conftest import REPOSITORY
from tests.shifts import references, tiny

# These compile code that others, which stay in the default run, have tested.
SLOW = ("anisotropic", "sharpening", "shift", "crop", "aspect")
EACH = [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in FAMILIES]


@pytest.mark.parametrize("name", EACH)
def test_severities_go_from_nothing_to_ever_more(name: str) -> None:
    shifted = tiny.shifted(name)
    assert shifted.dtype == np.float32
    assert shifted.min() >= 0
    assert shifted.max() <= 1
    np.testing.assert_array_equal(shifted[0], tiny.image())
    distances = np.sqrt(np.mean((shifted - tiny.image()) ** 2, axis=(1, 2, 3)))
    assert (np.diff(distances) >= -1e-6).all(), distances
    assert distances[5] > 0.01


@pytest.mark.parametrize("name", [each for each in EACH if each.values != ("jpeg",)])
def test_values_are_the_references(name: str) -> None:
    check_values(name, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FAMILIES.keys() - {"jpeg"}))
def test_values_are_the_references_for_other_draws(name: str) -> None:
    for seed in range(1, 13):
        check_values(name, seed)


def check_values(name: str, seed: int) -> None:
    amounts = [FAMILIES[name].neutral, *FAMILIES[name].severities]
    image, key = tiny.image().astype(np.float64), jax.random.key(seed)
    expected = [getattr(references, name)(key, image, amount) for amount in amounts]
    shifted = tiny.shifted(name, seed)
    np.testing.assert_allclose(shifted, np.clip(expected, 0, 1), atol=3e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_values_are_the_references_at_full_size(name: str) -> None:
    """All but the pixels whose position float32 rounds across a border or between two pixels."""
    image = tiny.image(216, 240)
    amounts = np.asarray(FAMILIES[name].severities, np.float32)
    shifted = tiny.jitted(name)(tiny.keys(*range(5)), np.stack([image] * 5), amounts)
    for seed, amount in enumerate(FAMILIES[name].severities):
        expected = getattr(references, name)(jax.random.key(seed), image.astype(float), amount)
        differences = np.abs(np.asarray(shifted[seed]) - np.clip(expected, 0, 1))
        if name == "jpeg":
            assert differences.mean() * 255 < 0.5
        else:
            assert np.mean(differences > 1e-3) < 1e-4, amount


def test_nearest_neighbours_are_pillows() -> None:
    for severity in (4, 5):  # no position is between two pixels
        factor = FAMILIES["interpolation"].severities[severity - 1]
        expected = references.interpolation_by_pillow(tiny.image(), factor)
        np.testing.assert_array_equal(tiny.shifted("interpolation")[severity], expected)


def test_jpeg_is_pillows() -> None:
    """Within two levels, but where a coefficient that is half a step goes the other way.

    Libjpeg's integer arithmetic decides then. Two of these images have three such coefficients
    each, less than an eighth from half a step; how XLA compiles the sums decides how many go so.
    """
    qualities = FAMILIES["jpeg"].severities
    expected = [references.jpeg(jax.random.key(0), tiny.image(), each) for each in qualities]
    differences = 255 * np.abs(tiny.shifted("jpeg")[1:] - expected)
    assert np.median(differences.max(axis=(1, 2, 3))) < 2.5
    assert differences.mean(axis=(1, 2, 3)).max() < 1.5


@pytest.mark.parametrize("name", ["gamma", "rotation", "spikes", "flip"])
def test_an_image_depends_on_its_own_key_alone(name: str) -> None:
    """Not on its place in the batch, nor on the others."""
    order = [4, 2, 0, 5, 1, 3]
    images = np.stack([np.roll(tiny.image(), 3 * i, axis=1) for i in range(6)])
    amounts = np.asarray(FAMILIES[name].severities * 2, np.float32)[:6]
    straight = np.asarray(tiny.jitted(name)(tiny.keys(*range(6)), images, amounts))
    shuffled = tiny.jitted(name)(tiny.keys(*order), images[order], amounts[order])
    np.testing.assert_array_equal(shuffled, straight[order])


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_batch_size_does_not_matter(name: str) -> None:
    keys, images = tiny.keys(*range(8)), np.stack([tiny.image()] * 8)
    amounts = FAMILIES[name].amount(jnp.linspace(0.5, 5, 8))
    whole = tiny.jitted(name)(keys, images, amounts)
    for part in (slice(0, 1), slice(3, 6)):
        result = tiny.jitted(name)(keys[part], images[part], amounts[part])
        np.testing.assert_allclose(result, whole[part], atol=2e-6)


def test_two_sided_families_go_both_ways() -> None:
    means = [tiny.shifted("gamma", seed)[5].mean() for seed in range(6)]
    assert min(means) < tiny.image().mean() < max(means)


def test_amounts_run_through_the_table() -> None:
    gamma = FAMILIES["gamma"]
    severities = jnp.asarray([0, 1, 2, 3, 4, 5, 2.5, -0.1, 5.1])
    amounts = np.asarray(jax.jit(gamma.amount)(severities))
    between = sum(gamma.severities[1:3]) / 2
    assert amounts[:7] == pytest.approx([gamma.neutral, *gamma.severities, between])
    assert np.isnan(amounts[7:]).all()


@pytest.mark.parametrize(("name", "amount"), [("downsampling", 6.5), ("blur", 2.2)])
def test_filters_too_narrow_for_an_amount_give_nan(name: str, amount: float) -> None:
    """Not what they would cut off."""
    amounts = np.array([FAMILIES[name].neutral, *FAMILIES[name].severities], np.float32)
    amounts[2] = amount
    images = np.stack([tiny.image()] * 6)
    shifted = np.array(tiny.jitted(name)(tiny.keys(*[0] * 6), images, amounts))
    assert np.isnan(shifted[2]).all()
    shifted[2] = tiny.shifted(name)[2]
    np.testing.assert_array_equal(shifted, tiny.shifted(name))


def test_the_filters_reach_as_far_as_the_severities() -> None:
    for name in ("downsampling", "anisotropic"):
        assert max(FAMILIES[name].severities) <= resolution.MAX_FACTOR
    assert max(FAMILIES["blur"].severities) <= resolution.MAX_SIGMA


def test_the_page_lists_the_families() -> None:
    page = Path(REPOSITORY / "docs/reference/shifts.md").read_text()
    rows = [
        f"| `{f.name}` | {f.description} | {f.parameter} | {f.neutral:g} | "
        f"{', '.join(f'{amount:g}' for amount in f.severities)} | {f.source} |"
        for f in FAMILIES.values()
    ]
    table = [line for line in page.splitlines() if line.startswith("| `")]
    assert table == rows, "put these rows into docs/reference/shifts.md:\n" + "\n".join(rows)
