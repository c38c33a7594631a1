"""Thumbnails, local contrast and boxes of heads."""

from __future__ import annotations

from hashlib import sha256

import numpy as np
import pytest
from PIL import Image

from fakd_jax.audit.matching.appearance import (
    SIDE,
    crop_to,
    halve,
    head_boxes,
    local_contrast,
    read_thumbnails,
    thumbnail_of,
)
from fakd_jax.data.phantom.dataset import phantom
from fakd_jax.data.sources import open_dataset

FILTER = {"inner": 1.0, "outer": 3.0, "floor": 0.2}


@pytest.fixture(scope="module")
def heads() -> np.ndarray:
    """Four phantoms' thumbnails."""
    return np.stack([thumbnail_of(phantom(seed, seed, 128).image) for seed in range(4)])


def correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.array(
        [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(one, other, strict=True)]
    )


@pytest.mark.parametrize(("gain", "offset"), [(0.5, 0), (2, 0), (1, 40), (0.7, 12), (-1, 255)])
def test_local_contrast_is_invariant_to_gain_and_offset(heads, gain, offset):
    expected = np.sign(gain) * local_contrast(heads, **FILTER)
    found = local_contrast((gain * heads + offset).astype(np.float32), **FILTER)
    np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize(
    ("change", "least"),
    [
        (lambda heads: 255 * (heads / 255) ** 0.8, 0.97),
        (lambda heads: 255 * (heads / 255) ** 1.25, 0.97),
        (lambda heads: heads * np.linspace(0.7, 1.3, SIDE, dtype=np.float32)[:, None], 0.99),
    ],
    ids=["gamma 0.8", "gamma 1.25", "bias field"],
)
def test_local_contrast_hardly_depends_on_gamma_or_a_bias_field_but_on_the_head(
    heads, change, least
):
    found, original = local_contrast(change(heads), **FILTER), local_contrast(heads, **FILTER)
    assert (correlations(found, original) > least).all()
    assert (correlations(found, np.roll(original, 1, axis=0)) < 0.6).all()


def test_weak_contrast_stays_weak_and_a_flat_picture_has_none():
    rng = np.random.default_rng(0)
    picture = rng.normal(0, 1, (1, 64, 64)).astype(np.float32)
    picture[:, :, 32:] *= 100
    contrast = local_contrast(picture, **FILTER)
    assert contrast[0, :, :20].std() < 0.1 * contrast[0, :, 44:].std()
    assert not local_contrast(np.full((2, 16, 16), 77, np.float32), **FILTER).any()


def test_a_large_stack_is_filtered_like_each_picture_alone():
    stack = np.random.default_rng(0).uniform(0, 255, (260, 12, 12)).astype(np.float32)
    together = local_contrast(stack, **FILTER)
    for index in (0, 255, 256, 259):  # a stack is filtered 256 pictures at a time
        alone = local_contrast(stack[index : index + 1], **FILTER)
        np.testing.assert_array_equal(together[index], alone[0])


def test_halving_by_hand():
    picture = np.array([[[1, 3, 0, 0], [5, 7, 0, 4], [2, 2, 8, 8], [2, 2, 8, 8]]], np.float32)
    np.testing.assert_array_equal(halve(picture), [[[4, 1], [2, 8]]])


def boxed(top: int, bottom: int, left: int, right: int, level: float = 200) -> np.ndarray:
    picture = np.zeros((100, 100), np.float32)
    picture[top:bottom, left:right] = level
    return picture


def test_head_boxes_by_hand():
    speck = boxed(20, 60, 30, 90)
    speck[2:4, 2:4] = 255  # two pixels of a hundred do not exceed the share
    tab = boxed(20, 60, 30, 90)
    tab[5:20, 50:53] = 200  # three do
    faint = boxed(20, 60, 30, 90) + boxed(0, 100, 0, 100, 15)  # below a tenth of 215
    pictures = {
        "plain": (boxed(20, 60, 30, 90), [20, 60, 30, 90]),
        "at the edge": (boxed(0, 50, 40, 100), [0, 50, 40, 100]),
        "speck": (speck, [20, 60, 30, 90]),
        "tab": (tab, [5, 60, 30, 90]),
        "faint background": (faint, [20, 60, 30, 90]),
        "black": (np.zeros((100, 100)), [0, 100, 0, 100]),
        "thin": (boxed(20, 30, 30, 90), [0, 100, 0, 100]),  # lower than an eighth of the side
        "just thick enough": (boxed(20, 32, 30, 90), [20, 32, 30, 90]),
    }
    images, expected = zip(*pictures.values(), strict=True)
    found = head_boxes(np.stack(images).astype(np.float32))
    np.testing.assert_array_equal(found, expected)


def test_cropping_by_hand():
    rows, columns = np.mgrid[0:8, 0:8]
    plane = (10 * rows + columns).astype(np.float32)[None]
    box = np.array([[2, 6, 4, 8]])
    np.testing.assert_allclose(crop_to(plane, np.array([[0, 8, 0, 8]]), 8), plane)
    np.testing.assert_allclose(crop_to(plane, box, 4), plane[:, 2:6, 4:8])
    # Half as many samples lie between the pixels: at 2.5 and 4.5 down, 4.5 and 6.5 right.
    np.testing.assert_allclose(crop_to(plane, box, 2), [[[29.5, 31.5], [49.5, 51.5]]])


def test_cropping_removes_position_and_size():
    picture = np.random.default_rng(0).uniform(50, 255, (20, 30)).astype(np.float32)
    small, large = np.zeros((2, 100, 100), np.float32)
    small[10:30, 60:90] = picture
    large[30:70, 10:70] = picture.repeat(2, axis=0).repeat(2, axis=1)
    stack = np.stack([small, large])
    one, other = crop_to(stack, head_boxes(stack), 20)
    assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.95


def test_a_thumbnail_is_luminance_averaged_over_the_pixels_between():
    thumbnail = thumbnail_of(np.full((300, 200, 3), (200, 100, 50), np.uint8))
    assert thumbnail.shape == (SIDE, SIDE)
    assert thumbnail.dtype == np.float32
    # ITU-R 601: 0.299 · 200 + 0.587 · 100 + 0.114 · 50 = 124.2, rounded down
    np.testing.assert_allclose(thumbnail, 124, atol=0.5)
    stripes = np.zeros((8 * SIDE, 8 * SIDE, 3), np.uint8)
    stripes[:, ::2] = 200
    np.testing.assert_allclose(thumbnail_of(stripes), 100, atol=8)


def test_thumbnails_come_with_digest_size_and_colour(tmp_path):
    grey, coloured = np.full((2, 20, 30, 3), 90, np.uint8)
    coloured[3, 4] = (90, 90, 107)
    folder = tmp_path / "data"
    files = {"train/a/1": grey, "train/b/2": coloured, "test/a/3": grey, "test/b/4": grey}
    for name, pixels in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    dataset = open_dataset(folder, cache_dir=tmp_path / "cache", log=lambda line: None)
    thumbnails = read_thumbnails(dataset)
    assert [example.id for example in dataset.examples] == [f"{name}.png" for name in sorted(files)]
    assert thumbnails.coloured.tolist() == [False, False, False, True]
    assert thumbnails.sizes == ((30, 20),) * 4
    assert len(set(thumbnails.digests[:3])) == 1
    file = (folder / "train/b/2.png").read_bytes()
    assert thumbnails.digests[3] == sha256(file).hexdigest()
    for index, grey_levels in enumerate(thumbnails.grey):
        np.testing.assert_array_equal(grey_levels, thumbnail_of(dataset.read(index)))
