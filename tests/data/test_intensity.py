"""Intensity standardisation: by hand, its invariances, degenerate images, and in preprocessing."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fakd_jax.data.intensity import HIGH_LEVEL, LOW_LEVEL, find_landmarks
from fakd_jax.data.preprocessing import Preprocessing, normalise
from fakd_jax.errors import UserError

SIDE = 28
RULE = Preprocessing(SIDE, (0.0,) * 3, (1.0,) * 3, intensity="head_percentiles")
AIR, HEAD = [7] * 7 + [8] * 469, [level for level in range(100, 200) for _ in range(2)]


def framed(levels: list[int], frame: int = 255) -> np.ndarray:
    """A grey image of these 676 levels, shuffled, within a frame of one pixel."""
    inner = np.random.default_rng(0).permutation(np.array(levels, np.uint8))
    grey = np.pad(inner.reshape(SIDE - 2, SIDE - 2), 1, constant_values=frame)
    return np.repeat(grey[..., None], 3, axis=-1)


IMAGE = framed(AIR + HEAD)


@pytest.fixture(scope="module")
def standardised() -> Callable[[np.ndarray], np.ndarray]:
    """An image's grey levels as the networks get them."""
    run = jax.jit(lambda image: RULE.inputs(image[None])[0] * 255)
    return lambda image: np.asarray(run(image))


def test_landmarks_by_hand() -> None:
    landmarks = jax.jit(find_landmarks)(jnp.asarray(np.stack([IMAGE, np.full_like(IMAGE, 9)])))
    # The 7th of 676 pixels; the 2nd and the 199th of 200 in the head; the frame does not count.
    assert [level.tolist() for level in landmarks] == [[7, 9], [100, 9], [198, 9]]


def test_landmarks_go_to_fixed_levels_and_others_in_between(
    standardised: Callable[[np.ndarray], np.ndarray],
) -> None:
    found = standardised(IMAGE)
    expected = {7: 0, 8: LOW_LEVEL / 93, 100: LOW_LEVEL, 198: HIGH_LEVEL}
    slope = (HIGH_LEVEL - LOW_LEVEL) / 98
    expected |= {149: (LOW_LEVEL + HIGH_LEVEL) / 2, 199: HIGH_LEVEL + slope, 255: 255}
    for level, wanted in expected.items():
        np.testing.assert_allclose(found[level == IMAGE], wanted, atol=1e-3)


@pytest.mark.parametrize(("factor", "offset"), [(1.0, 40), (0.5, 0), (1.2, -8)])
def test_brightness_contrast_and_windows_cancel(
    standardised: Callable[[np.ndarray], np.ndarray], factor: float, offset: int
) -> None:
    even = IMAGE // 2 * 2  # halves are whole numbers
    changed = np.clip(np.rint(factor * even + offset), 0, 255).astype(np.uint8)
    inner = slice(1, -1), slice(1, -1)
    difference = standardised(changed)[inner] - standardised(even)[inner]
    assert np.abs(difference).max() < (1e-3 if factor < 1.2 else 1.5)


NOISE = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "image",
    [np.zeros_like(IMAGE), np.full_like(IMAGE, 255), framed([9] * 600 + [14] * 76, 9)],
    ids=["black", "white", "less than the least contrast"],
)
def test_images_without_contrast_pass_unchanged(
    standardised: Callable[[np.ndarray], np.ndarray], image: np.ndarray
) -> None:
    np.testing.assert_allclose(standardised(image), image, atol=1e-4)


@pytest.mark.parametrize(
    "image",
    [255 - IMAGE, NOISE, framed([0] * 3 + [200] * 673), framed([0] * 675 + [255])],
    ids=["inverted", "noise", "bright air", "one bright pixel"],
)
def test_other_images_keep_range_and_order(
    standardised: Callable[[np.ndarray], np.ndarray], image: np.ndarray
) -> None:
    found = standardised(image)
    assert found.min() >= 0
    assert found.max() <= 255.001
    by_level = found.ravel()[np.argsort(image.ravel(), kind="stable")]
    assert np.diff(by_level).min() >= -1e-3


def test_perturbed_images_keep_the_landmarks_of_the_image(
    standardised: Callable[[np.ndarray], np.ndarray],
) -> None:
    hidden = IMAGE.copy()
    hidden[:14] = 0
    like = np.asarray(jax.jit(RULE.inputs)(np.stack([hidden, IMAGE]), like=IMAGE)) * 255
    np.testing.assert_array_equal(like[0, 14:], like[1, 14:])
    np.testing.assert_allclose(like[1], standardised(IMAGE), atol=1e-3)
    assert np.abs(standardised(hidden)[14:] - like[0, 14:]).max() > 1


def test_landmarks_are_constants_to_a_derivative() -> None:
    grey_levels = jnp.asarray(IMAGE[None], jnp.float32)
    gradient = jax.jit(jax.grad(lambda x: RULE.inputs_of_grey_levels(x).sum()))
    slopes = np.asarray(gradient(grey_levels))[0] * 255
    np.testing.assert_allclose(slopes[IMAGE == 8], LOW_LEVEL / 93, rtol=1e-5)
    np.testing.assert_allclose(slopes[IMAGE == 150], (HIGH_LEVEL - LOW_LEVEL) / 98, rtol=1e-5)


def test_the_rule_is_stored_and_its_absence_changes_nothing() -> None:
    assert Preprocessing.from_dict(RULE.to_dict()) == RULE
    plain = Preprocessing(SIDE, (0.4, 0.5, 0.6), (0.2, 0.5, 0.3))
    older = {name: value for name, value in plain.to_dict().items() if name != "intensity"}
    assert Preprocessing.from_dict(older) == plain
    expected = normalise(IMAGE[None], plain.mean, plain.std)
    np.testing.assert_array_equal(plain.inputs(IMAGE[None], like=NOISE), expected)


def test_unknown_rules_settings_and_floats_are_refused() -> None:
    with pytest.raises(UserError, match="intensity"):
        Preprocessing(intensity="whole_image")
    with pytest.raises(UserError, match="unknown"):
        Preprocessing.from_dict(RULE.to_dict() | {"unknown": 1})
    for preprocessing in (Preprocessing(SIDE), RULE):
        with pytest.raises(TypeError, match="uint8"):
            preprocessing.inputs(IMAGE[None].astype(np.float32))
