"""Mixup: by hand, and as torchvision's."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fakd_jax.data.mixup import mixed_in, mixup

IMAGES = jnp.arange(24.0).reshape(4, 1, 2, 3)
LABELS = jnp.array([0, 1, 2, 0])


def test_every_image_is_mixed_with_the_one_before_it() -> None:
    mixed = jax.jit(functools.partial(mixup, alpha=1.0))
    images, labels, share = mixed(jax.random.key(0), IMAGES, LABELS)
    assert 0 < share < 1
    before = np.asarray(IMAGES)[[3, 0, 1, 2]]
    np.testing.assert_allclose(images, share * IMAGES + (1 - share) * before, rtol=1e-6)
    assert labels.tolist() == [0, 0, 1, 2]
    assert mixed(jax.random.key(1), IMAGES, LABELS)[2] != share
    assert mixed_in(jnp.array([True, False, False, True])).tolist() == [True, True, False, False]


@pytest.mark.torch
def test_mixtures_are_torchvisions() -> None:
    torch = pytest.importorskip("torch")
    v2 = pytest.importorskip("torchvision.transforms.v2")
    images, labels, share = mixup(jax.random.key(2), IMAGES, LABELS, 0.4)
    theirs = v2.MixUp(alpha=0.4, num_classes=3)
    theirs.make_params = lambda _: {"lam": float(share)}  # drawn from Beta(0.4, 0.4) in both
    mixed, probabilities = theirs(
        torch.from_numpy(np.moveaxis(np.asarray(IMAGES), -1, 1).copy()),
        torch.from_numpy(np.array(LABELS)).long(),
    )
    np.testing.assert_allclose(np.moveaxis(np.asarray(images), -1, 1), mixed, rtol=1e-6)
    ours = share * jax.nn.one_hot(LABELS, 3) + (1 - share) * jax.nn.one_hot(labels, 3)
    np.testing.assert_allclose(ours, probabilities, rtol=1e-6)
