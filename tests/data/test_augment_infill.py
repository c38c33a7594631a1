"""What infill blurs: the lesion, all but the lesion, or a box; and which labels that refutes."""

from __future__ import annotations

import jax
import numpy as np

from fakd_jax.data.augment_infill import FACTUAL, LARGEST_BOX, REFUTED, infill_some

COUNT, SIDE = 240, 56
FAR = 12  # pixels from a region, where its soft edge has ended
infill = jax.jit(infill_some)


def fine_stripes() -> np.ndarray:
    """Stripes that any blur turns into grey."""
    stripes = np.zeros((COUNT, SIDE, SIDE, 3), np.float32)
    stripes[:, ::2] = 1
    return stripes


def infilled(*, outlined: bool) -> tuple[np.ndarray, np.ndarray]:
    """Where 240 images are blurred, and whether their labels are refuted."""
    lesions = np.zeros((COUNT, SIDE, SIDE, 1), np.float32)
    if outlined:
        lesions[:, 20:30, 24:34] = 1
    keys, images = jax.random.split(jax.random.key(0), COUNT), fine_stripes()
    found, refuted = infill(keys, images, lesions, np.ones(COUNT, np.float32))
    found = np.asarray(found)
    assert 0 <= found.min() <= found.max() <= 1
    return np.abs(found - images)[..., 0] > 0.3, np.asarray(refuted)


def test_of_an_outlined_lesion_it_all_else_or_something_else_is_blurred() -> None:
    blurred, refuted = infilled(outlined=True)
    on_lesion = blurred[:, 20:30, 24:34].mean(axis=(1, 2))
    rows, columns = np.mgrid[:SIDE, :SIDE]
    off = np.maximum(np.abs(rows - 24.5) - 5, np.abs(columns - 28.5) - 5) > FAR
    elsewhere = blurred[:, off].mean(axis=1)
    np.testing.assert_array_equal(on_lesion == 1, refuted)
    assert (elsewhere[refuted] == 0).all()
    assert (on_lesion[~refuted] == 0).all()  # blurred or not, but never in between
    factual = elsewhere == 1
    assert not factual[refuted].any()
    others = elsewhere[~refuted & ~factual]
    assert others.max() < 2 * LARGEST_BOX**2
    for share, expected in ((refuted.mean(), REFUTED), (factual.mean(), FACTUAL)):
        assert abs(share - expected) < 0.1


def test_without_a_lesion_no_label_is_refuted_and_the_blur_looks_alike() -> None:
    blurred, refuted = infilled(outlined=False)
    share = blurred.mean(axis=(1, 2))
    assert not refuted.any()
    assert (share > 0).all()
    assert abs((share > 0.5).mean() - 0.5) < 0.1  # all but a box, as often as a box
    assert (share < 1).all()


def test_images_change_as_often_as_they_should() -> None:
    keys, images = jax.random.split(jax.random.key(1), COUNT), fine_stripes()
    lesions = np.zeros((COUNT, SIDE, SIDE, 1), np.float32)
    probabilities = np.where(np.arange(COUNT) < COUNT // 2, 0.0, 0.3).astype(np.float32)
    found, _ = infill(keys, images, lesions, probabilities)
    changed = (np.asarray(found) != images).any(axis=(1, 2, 3))
    assert not changed[: COUNT // 2].any()
    assert abs(changed[COUNT // 2 :].mean() - 0.3) < 0.1
