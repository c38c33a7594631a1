"""Hidden superpixels: the very images that the lime package makes."""

from __future__ import annotations

import numpy as np
from lime.lime_image import LimeImageExplainer

from fakd_jax.explanation.methods.lime import draw_shown
from fakd_jax.explanation.scene.infill import blurred, hide, hiding_on_host, inpainted, mean_colours

SIDE = 24


def an_image() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    segments = np.kron(np.arange(9, dtype=np.int32).reshape(3, 3), np.ones((8, 8), np.int32))
    return image, segments


def test_images_and_draws_are_those_of_the_lime_package() -> None:
    image, segments = an_image()
    met: list[np.ndarray] = []

    def predict(images: np.ndarray) -> np.ndarray:
        met.append(images)
        return np.full((len(images), 2), 0.5)

    LimeImageExplainer(random_state=np.random.RandomState(7)).explain_instance(
        image, predict, labels=(0,), top_labels=None, num_samples=25, random_seed=7,
        segmentation_fn=lambda image: segments,
    )  # fmt: skip
    shown = draw_shown(25, 9, 7)
    ours = hide(image, mean_colours(image, segments), segments, shown)
    np.testing.assert_array_equal(ours, np.concatenate(met))


def test_mean_colours_by_hand() -> None:
    image = np.array([[[10, 0, 1], [13, 0, 2]], [[200, 9, 9], [100, 7, 7]]], np.uint8)
    segments = np.array([[0, 0], [1, 2]], np.int32)
    expected = [[[11, 0, 1], [11, 0, 1]], [[200, 9, 9], [100, 7, 7]]]
    np.testing.assert_array_equal(mean_colours(image, segments), expected)


def test_all_shown_is_the_image_and_none_shown_the_replacement() -> None:
    image, segments = an_image()
    other = 255 - image
    shown = np.stack([np.ones(9, bool), np.zeros(9, bool)])
    np.testing.assert_array_equal(hide(image, other, segments, shown), np.stack([image, other]))


def test_a_plain_predict_function_is_asked_with_such_images() -> None:
    image, segments = an_image()
    shown = draw_shown(5, 9, 0)
    prepare = hiding_on_host(lambda images: images.mean(axis=(1, 2, 3))[:, None])
    expected = hide(image, image * 0, segments, shown).mean(axis=(1, 2, 3))[:, None]
    ask = prepare(image, image * 0, segments, len(shown))
    np.testing.assert_array_equal(ask(shown), expected)


def test_what_belongs_to_no_segment_is_never_hidden() -> None:
    image, segments = an_image()
    segments[:3] = -1
    (copy,) = hide(image, image * 0, segments, np.zeros((1, 9), bool))
    np.testing.assert_array_equal(copy[:3], image[:3])
    assert not copy[3:].any()


def test_inpainting_continues_what_lies_around() -> None:
    """A ramp is harmonic: what was put on it is gone, and the ramp is whole again."""
    ramp = np.repeat(np.tile(np.arange(SIDE) * 8, (SIDE, 1))[..., None], 3, axis=2)
    image = ramp.astype(np.uint8)
    segments = np.full((SIDE, SIDE), -1, np.int32)
    segments[8:16, 8:16] = 0
    image[segments == 0] = 255
    np.testing.assert_array_equal(inpainted(image, segments), ramp)


def test_inpainting_is_the_mean_of_the_four_neighbours_within_a_superpixel() -> None:
    image, segments = an_image()
    filled = inpainted(image, segments).astype(float)
    for y, x in ((3, 3), (12, 12), (20, 11)):
        around = [filled[y - 1, x], filled[y + 1, x], filled[y, x - 1], filled[y, x + 1]]
        np.testing.assert_allclose(filled[y, x], np.mean(around, axis=0), atol=1.01)


def test_a_superpixel_without_neighbours_is_filled_by_its_mean() -> None:
    image, _ = an_image()
    everything = np.zeros((SIDE, SIDE), np.int32)
    difference = inpainted(image, everything).astype(int) - mean_colours(image, everything)
    assert np.abs(difference).max() <= 1


def test_blur_takes_no_air_into_the_head() -> None:
    segments = np.full((SIDE, SIDE), -1, np.int32)
    segments[6:18, 6:18] = 0
    image = np.where(segments[..., None] == 0, 100, 0).repeat(3, axis=2).astype(np.uint8)
    np.testing.assert_array_equal(blurred(image, segments), image)
