"""Small scenes, and networks that are plain functions, for the tests of the methods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fakd_jax.explanation.quality.stability import stability_of
from fakd_jax.explanation.result import Explanation
from fakd_jax.explanation.scene.scene import BACKGROUND, Scene
from fakd_jax.inference.network import Gradients, Network

MARGIN = 4


def a_network(
    score: Callable[[np.ndarray], np.ndarray], side: int = 32, batch_size: int = 16
) -> Network:
    """Two classes; `score` gives the probability of the second, from images."""

    def predict(images: np.ndarray) -> np.ndarray:
        scores = score(images)
        return np.stack([1 - scores, scores], axis=1)

    return Network.from_function(
        predict, class_names=("no", "yes"), image_size=side, batch_size=batch_size
    )


def brightness(images: np.ndarray) -> np.ndarray:
    """A score for `a_network`: the mean grey level, in [0, 1]."""
    return images.mean(axis=(1, 2, 3)) / 255


def a_scene(side: int = 32, blocks: int = 4) -> Scene:
    """A white image of square superpixels on a noisy background; the infill is black."""
    inner = side - 2 * MARGIN
    labels = np.arange(blocks**2, dtype=np.int32).reshape(blocks, blocks)
    superpixels = np.full((side, side), BACKGROUND, np.int32)
    superpixels[MARGIN:-MARGIN, MARGIN:-MARGIN] = np.kron(
        labels, np.ones((inner // blocks, inner // blocks), np.int32)
    )
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    image[superpixels != BACKGROUND] = 255
    return Scene(image, superpixels, np.zeros_like(image))


def all_foreground(height: int, width: int) -> Scene:
    """A white image that is one superpixel; the infill is black."""
    image = np.full((height, width, 3), 255, np.uint8)
    return Scene(image, np.zeros((height, width), np.int32), np.zeros_like(image))


def players(count: int) -> Scene:
    """A scene of superpixels of one pixel each, white if visible and black if not."""
    image = np.full((1, count, 3), 255, np.uint8)
    return Scene(image, np.arange(count, dtype=np.int32)[None], np.zeros_like(image))


def playing(game: Callable[[np.ndarray], np.ndarray]) -> Network:
    """A network that returns the value of the coalition of visible `players`.

    Args:
      game: bool ``[N, S]`` to float ``[N]``.
    """
    return a_network(lambda images: game(images[:, 0, :, 0] == 255))


def unused(*arguments: object) -> Any:
    """A function of a network that must not be called."""
    raise AssertionError("this may not be queried")


def that_predicts_nothing(gradients: Gradients | None, side: int) -> Network:
    """A network that may only be asked for gradients."""
    return Network.from_function(
        unused, class_names=("a", "b"), image_size=side, gradients=gradients
    )


def check_sampling(
    runs: Sequence[Explanation], top: int, *, truth: np.ndarray | None = None, jaccard: float = 0.1
) -> None:
    """Each run's estimate of its certainty is what the runs, of different seeds, show."""
    samplings = [run.sampling for run in runs if run.sampling is not None]
    assert len(samplings) == len(runs)
    assert {sampling.top for sampling in samplings} == {top}
    weights = np.stack([run.weights for run in runs])
    measured = stability_of(weights, top).jaccard
    assert abs(np.mean([sampling.jaccard for sampling in samplings]) - measured) < jaccard
    truth = weights.mean(axis=0) if truth is None else truth
    inside = [(sampling.low <= truth) & (truth <= sampling.high) for sampling in samplings]
    assert 0.88 <= np.mean(inside) <= 1
    width = np.mean([sampling.high - sampling.low for sampling in samplings])
    expected = 2 * 1.96 * weights.std(axis=0, ddof=1).mean()
    assert abs(width / expected - 1) < 0.2
