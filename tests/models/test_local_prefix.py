"""A network's local prefix: with the rest, the whole, and as local as its windows say."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fakd_jax.inference.receptive_field import propagate
from fakd_jax.models import create_model
from fakd_jax.models.folding import fold_batch_norms
from fakd_jax.models.local_prefix import SplitNetwork, Window, split_local_prefix
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


def in_turn(split: SplitNetwork, images: jax.Array) -> jax.Array:
    for block in split.prefix:
        images = block.run(images)
    return split.rest(images)


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
def test_prefix_and_rest_are_the_network(
    model: Callable[[], nnx.Module], count: int, images: jax.Array
) -> None:
    network = model()
    split = split_local_prefix(network)
    assert len(split.prefix) == count
    cut, whole = jax.jit(lambda images: (in_turn(split, images), network(images)))(images)
    np.testing.assert_allclose(cut, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("arch", "overrides"),
    [
        ("tiny_resnet", {}),
        ("tiny_efficientnet", {}),
        ("tiny_convnext", {}),
        ("tiny_mobilenet", {"padding": "tensorflow"}),  # whose windows are not centred
    ],
)
def test_other_networks_have_no_prefix(arch: str, overrides: dict[str, str]) -> None:
    model = create_model(arch, num_classes=3, rngs=nnx.Rngs(0), **overrides)
    assert split_local_prefix(model) == SplitNetwork((), model)


def test_the_windows_of_mobilenet_v3_large_span_19_and_35_pixels() -> None:
    model = create_model("mobilenet_v3_large", num_classes=4, rngs=nnx.Rngs(0))
    span, step, spans = 1, 1, []
    for block in split_local_prefix(model).prefix:
        for window in block.windows:
            span, step = span + (window.size - 1) * step, step * window.stride
        spans.append((span, step))
    assert spans == [(19, 4), (35, 8)]


@pytest.fixture(scope="module")
def compiled() -> list[tuple[Callable[[jax.Array], jax.Array], tuple[Window, ...]]]:
    """The tiny network's local blocks."""
    return [(jax.jit(block.run), block.windows) for block in split_local_prefix(tiny()).prefix]


@pytest.mark.parametrize("pixel", [(0, 0), (17, 30), (33, 63), (40, 21)])
def test_a_pixel_changes_what_depends_on_it_and_nothing_else(
    pixel: tuple[int, int],
    images: jax.Array,
    compiled: list[tuple[Callable[[jax.Array], jax.Array], tuple[Window, ...]]],
) -> None:
    other = images.at[:, pixel[0], pixel[1]].add(100.0)
    depends = np.zeros((1, SIDE, SIDE), bool)
    depends[0, pixel[0], pixel[1]] = True
    before, after = images, other
    for run, windows in compiled:
        before, after = run(before), run(after)
        for window in windows:
            depends = propagate(depends, window)
        changed = np.asarray((before != after).any(axis=(0, 3)))
        assert not (changed & ~depends[0]).any()
        assert changed.sum() > depends.sum() / 2  # ReLUs hide some
