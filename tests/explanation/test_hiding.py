"""Hidden superpixels: the very images that the lime package makes."""

from __future__ import annotations

import numpy as np
from lime.lime_image import LimeImageExplainer

from fakd_jax.explanation.hiding import hide, hiding_on_host, mean_colours
from fakd_jax.explanation.lime import draw_shown

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
    ask = hiding_on_host(lambda images: images.mean(axis=(1, 2, 3))[:, None])
    expected = hide(image, image * 0, segments, shown).mean(axis=(1, 2, 3))[:, None]
    np.testing.assert_array_equal(ask(image, image * 0, segments, shown), expected)
