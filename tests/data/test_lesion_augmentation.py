"""A mask moves with its image; crops hold the lesion; another background leaves it alone."""

from __future__ import annotations

from functools import partial

import jax
import numpy as np
import pytest

from fakd_jax.data.augment import (
    Augmentation,
    Augmented,
    Outlines,
    augment_batch,
    augment_outlined,
)
from fakd_jax.data.augment_background import randomise_background
from fakd_jax.data.augment_crops import SMALLEST, STAND_IN, crop_maps
from fakd_jax.errors import UserError
from fakd_jax.shifts.families import FAMILIES

BATCH, SIDE = 6, 32
GEOMETRY = tuple(name for name, family in FAMILIES.items() if family.group == "geometry")
KEY = jax.random.key(0)


def squares() -> np.ndarray:
    """Where squares are, one in each of six images."""
    masks = np.zeros((BATCH, SIDE, SIDE), np.uint8)
    for number in range(BATCH):
        masks[number, 10 + number : 18 + number, 9:17] = 255
    return masks


SQUARES = squares()
OUTLINED = np.ones(BATCH, np.float32)


def augmented(images: np.ndarray, masks: np.ndarray = SQUARES, **settings: object) -> Augmented:
    augment = jax.jit(partial(augment_outlined, augmentation=Augmentation(**settings)))
    return augment(KEY, images, Outlines(masks, OUTLINED))


def as_images(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=-1)


@pytest.mark.parametrize(
    "settings",
    [
        {"rotation_interpolation": "nearest"},
        {"rotation_interpolation": "bilinear"},
        {"shifts": tuple((name, 5.0) for name in GEOMETRY), "shift_probability": 1.0},
        {"lesion_crop": 1.0},
    ],
    ids=["nearest", "bilinear", "every geometric family", "crop"],
)
def test_a_mask_stays_on_its_square(settings: dict[str, object]) -> None:
    found = augmented(as_images(SQUARES), **settings)
    assert (found.lesions != SQUARES).any(axis=(1, 2)).all()
    assert (np.asarray(found.lesions) > 0).any(axis=(1, 2)).all()
    assert found.refuted is None
    np.testing.assert_array_equal(found.images, as_images(np.asarray(found.lesions)))


@pytest.mark.slow
@pytest.mark.parametrize("name", GEOMETRY)
def test_a_mask_stays_on_its_square_under_each_family(name: str) -> None:
    found = augmented(as_images(SQUARES), shifts=((name, 5.0),), shift_probability=1.0)
    np.testing.assert_array_equal(found.images[..., 0], found.lesions)


def test_an_image_is_augmented_as_it_is_without_its_mask() -> None:
    augmentation = Augmentation(shifts=(("gamma", 5.0), ("rotation", 5.0)), shift_probability=1.0)
    images = as_images(SQUARES // 2)
    found = jax.jit(partial(augment_outlined, augmentation=augmentation))(
        KEY, images, Outlines(SQUARES, OUTLINED)
    )
    alone = jax.jit(partial(augment_batch, augmentation=augmentation))(KEY, images)
    np.testing.assert_array_equal(found.images, alone)
    moved = augmented(images, shifts=augmentation.shifts[1:], shift_probability=1.0)
    np.testing.assert_array_equal(found.lesions, moved.lesions)
    assert (found.images != moved.images).any()


def test_nothing_is_infilled_or_cropped_where_no_lesion_is_known() -> None:
    images = np.random.default_rng(0).integers(0, 256, (BATCH, SIDE, SIDE, 3)).astype(np.uint8)
    known = np.arange(BATCH) % 2 == 0
    still = {"flip_probability": 0.0, "rotation_degrees": 0.0}
    augmentation = Augmentation(lesion_infill=1.0, lesion_crop=1.0, **still)
    augment = jax.jit(partial(augment_outlined, augmentation=augmentation))
    found = augment(KEY, images, Outlines(np.zeros_like(SQUARES), known.astype(np.float32)))
    changed = (np.asarray(found.images) != images).any(axis=(1, 2, 3))
    np.testing.assert_array_equal(changed, known)
    assert not found.refuted.any()  # no lesion could be taken


@pytest.mark.parametrize("name", ["lesion_infill", "lesion_crop"])
def test_images_change_as_often_as_their_chance_says(name: str) -> None:
    images = np.random.default_rng(0).integers(0, 256, (240, 16, 16, 3)).astype(np.uint8)
    outlines = Outlines(np.zeros((240, 16, 16), np.uint8), np.full(240, 0.5, np.float32))
    still = {"flip_probability": 0.0, "rotation_degrees": 0.0}
    augmentation = Augmentation(**{name: 0.6}, **still)
    found = jax.jit(partial(augment_outlined, augmentation=augmentation))(KEY, images, outlines)
    changed = (np.asarray(found.images) != images).any(axis=(1, 2, 3))
    assert abs(changed.mean() - 0.3) < 0.1


def test_crops_hold_the_lesion_and_stay_in_the_image() -> None:
    count, height, width = 400, 20, 40
    keys = jax.random.split(KEY, count)
    lesions = np.zeros((count, height, width), np.float32)
    lesions[: count // 2, 3:9, 28:34] = 1
    maps = np.asarray(jax.jit(crop_maps)(keys, lesions, np.ones(count, np.float32)))
    side = maps[:, 0, 0]
    np.testing.assert_array_equal(side, maps[:, 1, 1])
    assert side.min() >= SMALLEST
    assert side.max() <= 1
    for axis, size, first, last in ((0, width, 28, 34), (1, height, 3, 9)):
        middle = maps[:, axis, 2] + size / 2
        low, high = middle - side * size / 2, middle + side * size / 2
        assert low.min() > -1e-3
        assert high.max() < size + 1e-3
        assert low[: count // 2].max() <= first + 1e-3
        assert high[: count // 2].min() >= last - 1e-3
        assert np.ptp(low) > size / 4
    of_lesions, of_others = np.split(side, 2)
    assert abs(of_lesions.mean() - of_others.mean()) < 0.05  # close views are no sign of a tumour
    assert STAND_IN < SMALLEST


def test_some_images_are_cropped() -> None:
    keys = jax.random.split(KEY, 400)
    maps = np.asarray(jax.jit(crop_maps)(keys, np.zeros((400, 8, 8)), np.full(400, 0.25)))
    whole = (maps == np.eye(3)).all(axis=(1, 2))
    assert abs(whole.mean() - 0.75) < 0.08


def test_another_background_leaves_the_lesion_and_changes_the_rest() -> None:
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    head = np.hypot(rows, columns) < 11
    lesion = np.hypot(rows - 4, columns) < 3
    pictures = np.zeros((BATCH, SIDE, SIDE, 4), np.float32)
    pictures[..., :3] = 0.5 * head[..., None]
    pictures[: BATCH // 2, ..., 3] = lesion
    keys = jax.random.split(KEY, BATCH)
    images, masks = pictures[..., :3], pictures[..., 3:]
    randomise = jax.jit(randomise_background, static_argnums=3)
    found = np.asarray(randomise(keys, images, masks, 1.0))
    change = np.abs(found - images)[..., 0]
    assert change[: BATCH // 2, lesion].max() < 1e-6
    far = np.hypot(rows, columns) > 14
    centre = np.hypot(rows + 4, columns) < 3
    for part in (far, centre):
        assert (change[:, part].max(axis=1) > 0.01).all()
    assert (change[BATCH // 2 :, lesion].max(axis=1) > 0.01).all()  # no outline: everywhere
    assert 0 <= found.min() <= found.max() <= 1
    alone = np.asarray(randomise(keys, images, None, 1.0))
    np.testing.assert_allclose(alone[BATCH // 2 :], found[BATCH // 2 :], atol=1e-6)
    same = np.asarray(randomise(keys, images, masks, 0.0))
    np.testing.assert_array_equal(same, images)


@pytest.mark.parametrize("name", ["lesion_infill", "lesion_crop", "background"])
def test_impossible_probabilities_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=name):
        Augmentation(**{name: 1.5})
