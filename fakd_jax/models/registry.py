"""Networks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from fakd_jax.errors import DamagedError, UserError
from fakd_jax.models.mobilenet_v3 import MobileNetV3
from fakd_jax.models.resnet import ResNet

Factory = Callable[..., nnx.Module]
# Extended by `register` while modules are imported, read-only afterwards.
_FACTORIES: dict[str, Factory] = {"resnet50": ResNet, "mobilenet_v3_large": MobileNetV3}


def register(name: str) -> Callable[[Factory], Factory]:
    """Registers a factory under a name for `create_model`, configs and command lines.

    The factory takes `num_classes`, `dtype` and `rngs` by keyword, and any overrides it offers;
    its module maps images `[B, H, W, 3]` (and `rngs`) to float32 logits `[B, num_classes]` and
    sows its features with `fakd_jax.models.layers.sow`.

    Raises:
      ValueError: Another factory has that name already.

    >>> @register("resnet26")
    ... def resnet26(**kwargs):
    ...     return ResNet(stage_sizes=(2, 2, 2, 2), **kwargs)
    """

    def decorate(factory: Factory) -> Factory:
        if _FACTORIES.setdefault(name, factory) is not factory:
            raise ValueError(f"another network is already registered as {name!r}")
        return factory

    return decorate


def available_models() -> tuple[str, ...]:
    """The names of all registered networks, sorted."""
    return tuple(sorted(_FACTORIES))


def create_model(
    name: str,
    *,
    num_classes: int,
    dtype: DTypeLike = jnp.float32,
    rngs: nnx.Rngs,
    **overrides: Any,
) -> nnx.Module:
    """Creates a network with random parameters, in training mode as NNX modules are.

    Args:
      name: One of `available_models()`, such as `resnet50` or `mobilenet_v3_large`.
      num_classes: Number of logits.
      dtype: Compute dtype; parameters, batch statistics and logits are float32.
      rngs: Source of the initial values.
      **overrides: Keywords of the network's class, such as `batch_norm_momentum`.

    Returns:
      The module: `model(images)` returns float32 logits `[B, num_classes]`.

    Raises:
      UserError: An unknown name.
      ValueError: Fewer than one class.
    """
    if name not in _FACTORIES:
        raise UserError(f"unknown network {name!r}; choose one of {', '.join(available_models())}")
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1, not {num_classes}")
    return _FACTORIES[name](num_classes=num_classes, dtype=dtype, rngs=rngs, **overrides)


def create_as_stored(
    metadata: Mapping[str, Any], *, dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs
) -> nnx.Module:
    """Creates the network that a checkpoint's metadata describes, with random parameters.

    Args:
      metadata: `arch`, `num_classes` and, if it was created with any, `overrides`.
      dtype: As of :func:`create_model`.
      rngs: Source of the initial values.

    Raises:
      UserError: An unknown name.
      DamagedError: Overrides that the network does not have.
    """
    overrides = metadata.get("overrides") or {}
    arch = metadata["arch"]
    try:
        return create_model(
            arch, num_classes=metadata["num_classes"], dtype=dtype, rngs=rngs, **overrides
        )
    except (TypeError, ValueError) as error:
        raise DamagedError(
            f"the checkpoint's metadata do not describe a {arch} ({error}); copy it again"
        ) from error
