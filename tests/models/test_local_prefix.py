"""Pieces of a network: together the whole, and each local piece as blind as it says."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fakd_jax.inference.receptive_field import through
from fakd_jax.models import create_model
from fakd_jax.models.folding import fold_batch_norms
from fakd_jax.models.local_prefix import Pieces, Window, pieces_of
from fakd_jax.models.mobilenet_v3 import BlockSetting, MobileNetV3

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
    ("model", "count"),
    [
        (tiny, 2),
        (lambda: fold_batch_norms(tiny()), 2),
        (lambda: tiny(NO_SQUEEZE), 1),
        (lambda: tiny(SHORTCUT_PAST_THE_SQUEEZE), 1),
    ],
    ids=["tiny", "folded", "no squeeze", "shortcut past the squeeze"],
)
def test_the_pieces_in_turn_are_the_network(
    model: Callable[[], nnx.Module], count: int, images: jax.Array
) -> None:
    network = model()
    pieces = pieces_of(network)
    assert len(pieces.local) == count
    cut, whole = jax.jit(lambda images: (in_turn(pieces, images), network(images)))(images)
    np.testing.assert_allclose(cut, whole, rtol=1e-5, atol=1e-6)


def test_a_network_that_tells_no_pieces_is_one() -> None:
    model = create_model("tiny_resnet", num_classes=3, rngs=nnx.Rngs(0))
    assert pieces_of(model) == Pieces((), model)


def test_the_windows_of_mobilenet_v3_large_span_19_and_35_pixels() -> None:
    model = create_model("mobilenet_v3_large", num_classes=4, rngs=nnx.Rngs(0))
    span, step, spans = 1, 1, []
    for piece in pieces_of(model).local:
        for window in piece.windows:
            span, step = span + (window.size - 1) * step, step * window.stride
        spans.append((span, step))
    assert spans == [(19, 4), (35, 8)]


@pytest.fixture(scope="module")
def compiled() -> list[tuple[Callable[[jax.Array], jax.Array], tuple[Window, ...]]]:
    """The tiny network's local pieces."""
    return [(jax.jit(piece.run), piece.windows) for piece in pieces_of(tiny()).local]


@pytest.mark.parametrize("pixel", [(0, 0), (17, 30), (33, 63), (40, 21)])
def test_a_pixel_changes_what_sees_it_and_nothing_else(
    pixel: tuple[int, int],
    images: jax.Array,
    compiled: list[tuple[Callable[[jax.Array], jax.Array], tuple[Window, ...]]],
) -> None:
    other = images.at[:, pixel[0], pixel[1]].add(100.0)
    seen = np.zeros((1, SIDE, SIDE), bool)
    seen[0, pixel[0], pixel[1]] = True
    before, after = images, other
    for run, windows in compiled:
        before, after = run(before), run(after)
        for window in windows:
            seen = through(seen, window)
        changed = np.asarray((before != after).any(axis=(0, 3)))
        assert not (changed & ~seen[0]).any()
        assert changed.sum() > seen.sum() / 2  # ReLUs hide some
