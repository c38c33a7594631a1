"""A checkpoint's network as the explainers see it: every way to ask it, and its control."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from fakd_jax.data.preprocessing import Preprocessing
from fakd_jax.explanation.subjects import network_of
from fakd_jax.inference.network import Network
from fakd_jax.inference.predictor import Predictor
from fakd_jax.models import create_model

SIDE = 32
IMAGES = np.random.default_rng(0).integers(0, 256, (6, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def network() -> Network:
    model = create_model("tiny_mobilenet", num_classes=2, rngs=nnx.Rngs(0))
    preprocessing = Preprocessing(image_size=SIDE)
    metadata = {"arch": "tiny_mobilenet", "num_classes": 2, "class_names": ["ill", "healthy"]}
    predictor = Predictor(
        model, metadata, preprocessing=preprocessing, checkpoint=Path("run/best/1"), batch_size=4
    )
    return network_of(predictor, Path("run"))


def test_it_can_be_asked_in_every_way(network: Network) -> None:
    whole = network.predict_proba(IMAGES[:1])
    ones = np.ones((1, SIDE, SIDE), np.float32)
    np.testing.assert_allclose(network.predict_masked(IMAGES[0], IMAGES[1], ones), whole, atol=1e-6)
    segments = np.zeros((SIDE, SIDE), np.int32)
    shown = np.ones((1, 1), bool)
    hidden = network.prepare_hidden(IMAGES[0], IMAGES[1], segments, 1)(shown)
    np.testing.assert_allclose(hidden, whole, atol=1e-6)
    assert network.gradients is not None
    assert network.gradients.default_layer == network.gradients.layers[-1] == "features.6"
    assert network.gradients.of_pixels(IMAGES.astype(np.float32), 1).shape == IMAGES.shape


def test_the_control_says_of_what_it_is_the_control(network: Network) -> None:
    assert network.randomised is not None
    control = network.randomised(3, IMAGES)
    assert control.provenance["reinitialised"]["seed"] == 3
    assert control.provenance["reinitialised"]["instead_of"] == network.provenance["weights_sha256"]
    assert control.provenance["weights_sha256"] != network.provenance["weights_sha256"]
    assert control.randomised is None
    assert np.ptp(control.predict_proba(IMAGES), axis=0).min() > 0.05


def test_the_controls_gradients_are_its_own(network: Network) -> None:
    """A small step along the gradient changes the log odds as the control itself says."""
    control = network.randomised(3, IMAGES)
    for asked in (network, control):
        image = IMAGES[:1].astype(np.float32)
        slope = asked.gradients.of_pixels(image, 0) - asked.gradients.of_pixels(image, 1)
        moved = np.clip(np.rint(image + 3 * np.sign(slope)), 0, 255)
        before, after = np.log(asked.predict_proba(np.stack([image[0], moved[0]]).astype(np.uint8)))
        rise = (after[0] - after[1]) - (before[0] - before[1])
        assert rise == pytest.approx(np.vdot(slope, moved - image), rel=0.5)
        assert rise > 0
