"""Pieces of a network: together the whole, and each local piece as blind as it says."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fakd_jax.models import create_model
from fakd_jax.models.folding import fold_batch_norms
from fakd_jax.models.mobilenet_v3 import BlockSetting, MobileNetV3
from fakd_jax.models.pieces import Pieces, pieces_of
from fakd_jax.sight import through

SIDE = 64
RELU = {"hard_swish": False}
NO_SQUEEZE = (BlockSetting(16, 3, 16, 16, squeeze=False, stride=1, **RELU),)
SHORTCUT_PAST_THE_SQUEEZE = (
    *NO_SQUEEZE,
    BlockSetting(16, 3, 32, 16, squeeze=True, stride=1, **RELU),
)


def tiny(settings: tuple[BlockSetting, ...] | None = None) -> nnx.Module:
    if settings is None:
        model = create_model("tiny_mobilenet", num_classes=3, rngs=nnx.Rngs(0))
    else:
        model = MobileNetV3(num_classes=3, settings=settings, last_channel=8, rngs=nnx.Rngs(0))
    model.eval()
    return model


def in_turn(pieces: Pieces, images: jax.Array) -> jax.Array:
    for piece in pieces.local:
        images = piece.run(images)
    return pieces.rest(images)


@pytest.fixture(scope="module")
def images() -> jax.Array:
    return jnp.asarray(np.random.default_rng(0).normal(size=(2, SIDE, SIDE, 3)), jnp.float32)


@pytest.mark.parametrize(
    ("settings", "count"), [(None, 2), (NO_SQUEEZE, 1), (SHORTCUT_PAST_THE_SQUEEZE, 1)]
)
def test_the_pieces_in_turn_are_the_network(
    settings: tuple[BlockSetting, ...] | None, count: int, images: jax.Array
) -> None:
    model = tiny(settings)
    pieces = pieces_of(model)
    assert len(pieces.local) == count
    np.testing.assert_allclose(in_turn(pieces, images), model(images), rtol=1e-5, atol=1e-6)


def test_a_folded_network_has_pieces_too(images: jax.Array) -> None:
    folded = fold_batch_norms(tiny())
    assert len(pieces_of(folded).local) == 2
    np.testing.assert_allclose(
        in_turn(pieces_of(folded), images), folded(images), rtol=1e-5, atol=1e-6
    )


def test_a_network_that_tells_no_pieces_is_one(images: jax.Array) -> None:
    model = create_model("tiny_resnet", num_classes=3, rngs=nnx.Rngs(0))
    model.eval()
    pieces = pieces_of(model)
    assert pieces.local == ()
    np.testing.assert_array_equal(pieces.rest(images), model(images))


def test_the_windows_of_mobilenet_v3_large_span_19_and_35_pixels() -> None:
    model = create_model("mobilenet_v3_large", num_classes=4, rngs=nnx.Rngs(0))
    span, step, spans = 1, 1, []
    for piece in pieces_of(model).local:
        for window in piece.windows:
            span, step = span + (window.size - 1) * step, step * window.stride
        spans.append((span, step))
    assert spans == [(19, 4), (35, 8)]


@pytest.mark.parametrize("pixel", [(0, 0), (17, 30), (33, 63), (40, 21)])
def test_a_pixel_changes_what_sees_it_and_nothing_else(
    pixel: tuple[int, int], images: jax.Array
) -> None:
    other = images.at[:, pixel[0], pixel[1]].add(100.0)
    seen = np.zeros((1, SIDE, SIDE), bool)
    seen[0, pixel[0], pixel[1]] = True
    before, after = images, other
    for piece in pieces_of(tiny()).local:
        before, after = piece.run(before), piece.run(after)
        for window in piece.windows:
            seen = through(seen, window)
        changed = np.asarray((before != after).any(axis=(0, 3)))
        assert not (changed & ~seen[0]).any()
        assert changed.sum() > seen.sum() / 2  # ReLUs hide some
