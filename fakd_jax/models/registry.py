"""Networks by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from fakd_jax.errors import UserError
from fakd_jax.models.mobilenet_v3 import MobileNetV3
from fakd_jax.models.resnet import ResNet

Factory = Callable[..., nnx.Module]
# Extended through `register` while modules are imported, read-only after.
_FACTORIES: dict[str, Factory] = {"resnet50": ResNet, "mobilenet_v3_large": MobileNetV3}


def register(name: str) -> Callable[[Factory], Factory]:
    """Makes a factory known to `create_model`.

    The factory takes `num_classes`, `dtype` and `rngs` by keyword, and whatever overrides it
    offers; its module maps images [B, H, W, 3] (and `rngs`) to float32 logits [B, num_classes]
    and sows its features with `fakd_jax.models.layers.sow`.

    Example:
        >>> @register("resnet26")
        ... def resnet26(**kwargs):
        ...     return ResNet(stage_sizes=(2, 2, 2, 2), **kwargs)

    Args:
      name: The name to give in configs and on command lines.

    Returns:
      A decorator that returns its argument unchanged.

    Raises:
      ValueError: If the name is another factory's already.
    """

    def decorate(factory: Factory) -> Factory:
        if _FACTORIES.setdefault(name, factory) is not factory:
            raise ValueError(f"a network named {name!r} is registered already")
        return factory

    return decorate


def available_models() -> tuple[str, ...]:
    """The names that `create_model` knows, sorted."""
    return tuple(sorted(_FACTORIES))


def create_model(
    name: str,
    *,
    num_classes: int,
    dtype: DTypeLike = jnp.float32,
    rngs: nnx.Rngs,
    **overrides: Any,
) -> nnx.Module:
    """Builds a network with freshly drawn parameters, in training mode as NNX modules are.

    Args:
      name: One of `available_models()`, such as `resnet50` or `mobilenet_v3_large`.
      num_classes: Number of logits.
      dtype: Compute dtype; parameters, batch statistics and logits are float32.
      rngs: Source of the initial values.
      **overrides: Keywords of the network's class, such as `batch_norm_momentum`.

    Returns:
      The module: `model(images)` gives float32 logits [B, num_classes].

    Raises:
      UserError: For a name that is not known.
      ValueError: For fewer than one class.
    """
    if name not in _FACTORIES:
        raise UserError(
            f"no network is named {name!r}; choose one of {', '.join(available_models())}"
        )
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1, not {num_classes}")
    return _FACTORIES[name](num_classes=num_classes, dtype=dtype, rngs=rngs, **overrides)


def create_as_stored(
    metadata: Mapping[str, Any], *, dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs
) -> nnx.Module:
    """Builds the network that a checkpoint's metadata describes, with freshly drawn parameters.

    Args:
      metadata: With `arch` and `num_classes`, and the `overrides` it was made with, if any.
      dtype: As of :func:`create_model`.
      rngs: Source of the initial values.

    Raises:
      UserError: For a name that is not known.
    """
    return create_model(
        metadata["arch"],
        num_classes=metadata["num_classes"],
        dtype=dtype,
        rngs=rngs,
        **(metadata.get("overrides") or {}),
    )
