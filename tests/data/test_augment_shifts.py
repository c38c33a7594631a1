"""Shifts as augmentation: against the families one by one, their draws, and without any."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fakd_jax.data.augment import Augmentation, _flip_then_rotate, augment_batch, flip_and_rotate
from fakd_jax.data.augment_shifts import draw, shift_batch
from fakd_jax.errors import UserError
from fakd_jax.shifts.families import FAMILIES
from fakd_jax.shifts.geometry import warp

BATCH, SIDE, STRONGEST, PROBABILITY = 9, 32, 4.0, 0.6
KEYS = jax.random.split(jax.random.key(0), BATCH)
SHIFTS = tuple(
    (name, STRONGEST) for name in ("missing_border", "aspect", "gamma", "rotation", "sharpening")
)


@jax.jit
def shift(keys: jax.Array, images: jax.Array, before: jax.Array) -> jax.Array:
    return shift_batch(keys, images, None, before, SHIFTS, PROBABILITY)[0]


def blobs() -> np.ndarray:
    """Smooth blobs near the middle of black images, each channel its own."""
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    centres = np.random.default_rng(0).uniform(-3, 3, (BATCH, 3, 2, 1, 1))
    distances = (rows - centres[:, :, 0]) ** 2 + 2 * (columns - centres[:, :, 1]) ** 2
    return np.moveaxis(np.exp(-distances / 50), 1, -1).astype(np.float32)


IMAGES = blobs()


@jax.jit
def maps_by_hand(keys: jax.Array) -> list[jax.Array]:
    drawn = {name: draw(keys, name, STRONGEST, PROBABILITY) for name in ("rotation", "aspect")}
    return [FAMILIES[name].matrices(*drawn[name], (SIDE, SIDE)) for name in drawn]


@jax.jit
def others_by_hand(keys: jax.Array, images: jax.Array) -> jax.Array:
    for name in ("sharpening", "gamma", "missing_border"):
        own_keys, amounts = draw(keys, name, STRONGEST, PROBABILITY)
        images = FAMILIES[name].apply(own_keys, images, amounts)
    return images


def test_the_result_is_that_of_the_families_one_by_one() -> None:
    before = jax.jit(_flip_then_rotate)(np.arange(BATCH) % 2 == 0, np.linspace(-15, 15, BATCH))
    look_up, maps, stepwise = jax.jit(warp), [before, *maps_by_hand(KEYS)], IMAGES
    at_once = np.asarray(look_up(IMAGES, maps[0] @ maps[1] @ maps[2]))
    for own in maps:
        stepwise = look_up(stepwise, own)
    expected = others_by_hand(KEYS, at_once)
    assert np.abs(at_once - IMAGES).max() > 0.2
    np.testing.assert_allclose(at_once, stepwise, atol=0.05)
    found = np.asarray(shift(KEYS, IMAGES, before))
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found - at_once).max() > 0.1
    order = np.random.default_rng(1).permutation(BATCH)
    permuted = shift(KEYS[order], IMAGES[order], before[order])
    np.testing.assert_allclose(permuted, found[order], atol=1e-6)
    np.testing.assert_array_equal(shift(KEYS, IMAGES, before), found)


def test_draws_are_as_often_and_as_strong_as_asked() -> None:
    keys = jax.random.split(jax.random.key(1), 4000)
    drawn = jax.jit(lambda keys: [draw(keys, name, 3.0, 0.25)[1] for name in ("gamma", "blur")])
    gamma, blur = map(np.asarray, drawn(keys))
    for amounts, neutral, most in ((gamma, 1.0, 1.4), (blur, 0.0, 1.0)):
        assert abs((amounts != neutral).mean() - 0.25) < 0.03
        assert neutral == amounts.min() < amounts.max() <= most
    halfway = FAMILIES["gamma"].amount(1.5).item()
    assert abs((gamma > halfway).mean() - 0.125) < 0.025
    assert abs(((gamma != 1) & (blur != 0)).mean() - 0.0625) < 0.02


def test_without_shifts_it_is_the_paper_s_augmentation() -> None:
    images = np.rint(255 * IMAGES).astype(np.uint8)
    none = Augmentation(shifts=(("blur", 0.0),))

    @jax.jit
    def both(key: jax.Array) -> tuple[jax.Array, jax.Array]:
        flip_key, angle_key = jax.random.split(key)
        flips = jax.random.bernoulli(flip_key, 0.5, (BATCH,))
        angles = jax.random.uniform(angle_key, (BATCH,), minval=-15.0, maxval=15.0)
        return augment_batch(key, images, none), flip_and_rotate(images, flips, angles)

    np.testing.assert_array_equal(*both(jax.random.key(2)))


@pytest.mark.parametrize(
    ("shifts", "probability"),
    [((("blurr", 1.0),), 0.5), ((("blur", 7.0),), 0.5), ((("blur", -1.0),), 0.5), ((), 1.5)],
)
def test_impossible_shifts_are_refused(
    shifts: tuple[tuple[str, float], ...], probability: float
) -> None:
    with pytest.raises(UserError, match=r"blur|shift_probability"):
        Augmentation(shifts=shifts, shift_probability=probability)


@pytest.mark.slow
def test_all_families_at_once_give_images_that_the_key_decides() -> None:
    """And the paper's flips and rotations stay among them, at the same key."""
    images = np.rint(255 * IMAGES).astype(np.uint8)
    every = Augmentation(shifts=tuple((name, 5.0) for name in FAMILIES), shift_probability=1.0)
    run = jax.jit(partial(augment_batch, augmentation=every))
    found = run(jax.random.key(3), images)
    assert found.dtype == jnp.uint8
    np.testing.assert_array_equal(found, run(jax.random.key(3), images))
    assert (
        (np.asarray(found) != np.asarray(run(jax.random.key(4), images))).any(axis=(1, 2, 3)).all()
    )
    never = Augmentation(
        rotation_interpolation="bilinear", shifts=every.shifts, shift_probability=0.0
    )
    plain = Augmentation(rotation_interpolation="bilinear")
    shifted, expected = (
        np.asarray(jax.jit(partial(augment_batch, augmentation=which))(jax.random.key(3), images))
        for which in (never, plain)
    )
    assert np.abs(shifted.astype(int) - expected).max() <= 1  # Pillow's fractions are truncated
