"""A checkpoint's network as explainers query it, and its re-initialised control."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from fakd_jax.inference.adapter import network_of, weights_sha256
from fakd_jax.inference.network import Network, mask
from fakd_jax.inference.predictor import Predictor, softmax
from fakd_jax.models.reinitialisation import reinitialise
from fakd_jax.models.state import model_state
from tests.tiny import IMAGE_SIZE, tiny_predictor

IMAGES = np.random.default_rng(0).integers(0, 256, (6, IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return tiny_predictor(num_classes=2)


@pytest.fixture(scope="module")
def network(predictor: Predictor) -> Network:
    return network_of(predictor, Path("run"))


@pytest.fixture(scope="module")
def control(network: Network) -> Network:
    return network.reinitialise(3, IMAGES)


def test_every_query_reaches_the_network(network: Network) -> None:
    assert network.provenance["checkpoint"] == "best/1"
    whole = network.predict_proba(IMAGES[:1])
    opacity = np.ones((1, IMAGE_SIZE, IMAGE_SIZE), np.float32)
    blended = network.predict_blended(IMAGES[0], IMAGES[1], opacity)
    np.testing.assert_allclose(blended, whole, atol=1e-6)
    segments = np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.int32)
    masked = network.prepare_masked(IMAGES[0], IMAGES[1], segments, 1)(np.ones((1, 1), bool))
    np.testing.assert_allclose(masked, whole, atol=1e-6)
    assert list(network.gradients.layers)[-1] == "features.4"
    assert network.gradients.wrt_pixels(IMAGES.astype(np.float32), 1).shape == IMAGES.shape
    odds = np.exp(network.gradients.logits(IMAGES.astype(np.float32)).astype(np.float64))
    softmax = odds / odds.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(softmax, network.predict_proba(IMAGES), atol=1e-5)


def test_the_digest_depends_on_the_weights_alone(predictor: Predictor) -> None:
    digest = weights_sha256(predictor)
    assert digest == weights_sha256(tiny_predictor(num_classes=2, dtype="bfloat16"))
    other = tiny_predictor(num_classes=2)
    bias = model_state(other.network)["params"]["classifier_3"]["bias"]
    other.network.classifier_3.bias.set_value(np.asarray(bias) + 1)
    assert weights_sha256(other) != digest


def test_a_control_is_reproducible_and_records_its_origin(
    network: Network, control: Network
) -> None:
    record, digest = control.provenance["reinitialised"], control.provenance["weights_sha256"]
    assert record["seed"] == 3
    assert record["instead_of"] == network.provenance["weights_sha256"]
    assert control.reinitialise is None
    again, other = (network.reinitialise(s, IMAGES).provenance["weights_sha256"] for s in (3, 4))
    assert digest == again
    assert len({digest, other, network.provenance["weights_sha256"]}) == 3


def test_a_control_responds_and_shares_compiled_programs(
    predictor: Predictor, network: Network
) -> None:
    before = network.predict_proba(IMAGES)
    compiled = predictor._outputs._cache_size()
    control = network.reinitialise(3, IMAGES)
    assert np.ptp(control.predict_proba(IMAGES), axis=0).min() > 0.05
    assert predictor._outputs._cache_size() == compiled
    np.testing.assert_array_equal(network.predict_proba(IMAGES), before)


def test_a_small_step_along_the_gradient_changes_the_log_odds_as_predicted(
    network: Network, control: Network
) -> None:
    for queried in (network, control):
        image = IMAGES[:1].astype(np.float32)
        slope = queried.gradients.wrt_pixels(image, 0) - queried.gradients.wrt_pixels(image, 1)
        moved = np.clip(np.rint(image + 3 * np.sign(slope)), 0, 255)
        images = np.stack([image[0], moved[0]]).astype(np.uint8)
        before, after = np.log(queried.predict_proba(images))
        rise = (after[0] - after[1]) - (before[0] - before[1])
        assert rise == pytest.approx(np.vdot(slope, moved - image), rel=0.5)
        assert rise > 0


@pytest.mark.slow
def test_perturbed_images_are_standardised_like_the_image() -> None:
    """Every way to query a checkpoint with the rule, against a predictor without it."""
    untrained = tiny_predictor(intensity="head_percentiles")
    rule, image, other = untrained.preprocessing, IMAGES[0] // 2, IMAGES[1] // 4
    model = reinitialise(untrained.metadata, 0, rule.inputs(IMAGES // 2))
    network = network_of(untrained.with_network(model))
    run = nnx.jit(lambda model, inputs: model(inputs))

    def expected(images: np.ndarray, like: np.ndarray | None) -> np.ndarray:
        return softmax(np.asarray(run(model, rule.inputs(images, like))))

    brighter = network.predict_proba(image[None] + np.uint8(60))
    np.testing.assert_allclose(brighter, network.predict_proba(image[None]), atol=1e-5)
    segments = np.arange(IMAGE_SIZE * IMAGE_SIZE, dtype=np.int32).reshape(IMAGE_SIZE, -1) // 512
    visible = np.array([[True, False], [False, True], [False, False]])
    images = mask(image, other, segments, visible)
    wanted = expected(images, image)
    assert np.abs(wanted - expected(images, None)).max() > 1e-3
    np.testing.assert_allclose(network.predict_proba(images), expected(images, None), atol=1e-5)
    masked = network.prepare_masked(image, other, segments, 1)(visible)
    np.testing.assert_allclose(masked, wanted, atol=1e-5)
    opacity = np.append(visible, np.ones((3, 1), bool), axis=1)[:, segments].astype(np.float32)
    blended = network.predict_blended(image, other, opacity)
    np.testing.assert_allclose(blended, wanted, atol=1e-5)
    assert network.gradients is not None
    points = images.astype(np.float32)
    logits = network.gradients.logits(points, image)
    np.testing.assert_allclose(softmax(logits), wanted, atol=1e-5)
    slopes = network.gradients.wrt_pixels(points, 1, image)
    step = 0.5 * slopes / np.sqrt(np.sum(slopes**2, axis=(1, 2, 3), keepdims=True))
    rise = network.gradients.logits(points + step, image) - logits
    np.testing.assert_allclose(rise[:, 1], np.sum(slopes * step, axis=(1, 2, 3)), rtol=0.05)
