"""The controls: their attribution, independent of the network."""

from __future__ import annotations

import numpy as np
import pytest

from fakd_jax.explanation.methods.controls import CentreControl, EdgesControl, RandomControl
from fakd_jax.explanation.result import Explainer
from fakd_jax.explanation.scene.scene import Scene
from tests.explanation.methods.scenes import a_scene, all_foreground, that_predicts_nothing

NETWORK = that_predicts_nothing(None, 32)


def attribution(control: Explainer, scene: Scene, seed: int = 0) -> np.ndarray:
    return control.explain(scene, NETWORK, 1, seed).attribution


@pytest.mark.parametrize("control", [RandomControl(), CentreControl(), EdgesControl()])
def test_controls_neither_query_the_network_nor_show_background(control: Explainer) -> None:
    scene = a_scene()
    shown = attribution(control, scene)
    assert control.num_predictions == 0
    assert (shown[~scene.foreground] == 0).all()
    assert np.ptp(shown[scene.foreground]) > 0
    np.testing.assert_array_equal(shown, attribution(control, scene, 0))


def fields(blocks: int, draws: int = 400) -> np.ndarray:
    """Many random fields over a scene of superpixels of (24 / blocks)² pixels."""
    scene = a_scene(blocks=blocks)
    inside = np.s_[4:-4, 4:-4]
    return np.stack([attribution(RandomControl(), scene, seed)[inside] for seed in range(draws)])


@pytest.mark.parametrize("blocks", [3, 4])
def test_random_is_standard_and_as_smooth_as_the_superpixels_are_large(blocks: int) -> None:
    drawn, side, lag = fields(blocks), 24 / blocks, 3
    assert drawn.mean() == pytest.approx(0, abs=0.03)
    assert drawn.std() == pytest.approx(1, abs=0.03)
    correlation = (drawn[:, lag:] * drawn[:, :-lag]).mean() / drawn.var()
    assert correlation == pytest.approx(np.exp(-np.pi * lag**2 / side**2), abs=0.03)


def test_randoms_maximum_and_positive_part_may_lie_anywhere() -> None:
    drawn, middle = fields(4, 2000), np.s_[8:16]
    rows, columns = np.unravel_index(drawn.reshape(2000, -1).argmax(axis=1), (24, 24))
    in_the_middle = ((rows // 8 == 1) & (columns // 8 == 1)).mean()
    # A maximum is a little likelier at the margin, beyond which nothing can be higher.
    assert 0.75 / 9 < in_the_middle < 1.05 / 9
    positive = np.maximum(drawn, 0)
    share = positive[:, middle, middle].sum() / positive.sum()
    assert share == pytest.approx(1 / 9, rel=0.05)


def test_centre_by_hand() -> None:
    superpixels = np.full((9, 12), -1, np.int32)
    superpixels[2:7, 1:9] = 0  # centroid (4, 4.5), extent 5 and 8
    image = np.zeros((9, 12, 3), np.uint8)
    shown = attribution(CentreControl(width=0.25), Scene(image, superpixels, image))
    expected = np.exp(-(((5 - 4) / 1.25) ** 2 + ((7 - 4.5) / 2) ** 2) / 2)
    assert shown[5, 7] == pytest.approx(expected)
    assert shown[4, 4] == shown[4, 5] == shown.max()


def test_edges_lie_where_the_grey_levels_change() -> None:
    scene = all_foreground(24, 24)
    scene.image[:, :10] = 0
    shown = attribution(EdgesControl(), scene)
    np.testing.assert_allclose(shown[:, 9], shown[:, 10])
    assert set(shown.argmax(axis=1)) <= {9, 10}
    np.testing.assert_allclose(shown[:, :5], 0, atol=1e-9)
    np.testing.assert_allclose(shown[:, 15:], 0, atol=1e-9)


def test_edges_by_hand() -> None:
    scene = all_foreground(3, 3)
    np.testing.assert_allclose(attribution(EdgesControl(), scene), 0, atol=1e-9)
    scene.image[0, 0] = 0
    # Sobel's kernels in the middle: one step of the corner on each axis.
    assert attribution(EdgesControl(smoothing=0.0), scene)[1, 1] == pytest.approx(np.hypot(1, 1))
