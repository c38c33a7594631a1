"""Networks by name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike

from fakd_jax.errors import DamagedError, UserError
from fakd_jax.models.convnext import ConvNeXt
from fakd_jax.models.efficientnet import EfficientNet
from fakd_jax.models.mobilenet_v3 import MOBILENET_V3_SMALL_SETTINGS, MobileNetV3
from fakd_jax.models.resnet import BasicBlock, ResNet

Factory = Callable[..., nnx.Module]
# Extended by `register` while modules are imported, read-only afterwards.
_FACTORIES: dict[str, Factory] = {
    "resnet18": partial(ResNet, block=BasicBlock, stage_sizes=(2, 2, 2, 2)),
    "resnet34": partial(ResNet, block=BasicBlock, stage_sizes=(3, 4, 6, 3)),
    "resnet50": ResNet,
    "resnet101": partial(ResNet, stage_sizes=(3, 4, 23, 3)),
    "resnet152": partial(ResNet, stage_sizes=(3, 8, 36, 3)),
    "mobilenet_v3_large": MobileNetV3,
    "mobilenet_v3_small": partial(
        MobileNetV3, settings=MOBILENET_V3_SMALL_SETTINGS, last_channel=1024
    ),
    "efficientnet_b0": EfficientNet,
    "convnext_tiny": ConvNeXt,
}

MODULE_KEY = "module"
"""Of a checkpoint's metadata: the module that defines its network, if it is not one of ours."""


def register(name: str) -> Callable[[Factory], Factory]:
    """Registers a factory under a name for `create_model`, configs and command lines.

    Checkpoints of the network name the module that defines the factory, to be imported again.

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


def require_known(name: str) -> None:
    """Checks that there is a network of this name.

    Raises:
      UserError: There is none; lists those that there are.
    """
    if name not in _FACTORIES:
        raise UserError(
            f"unknown network {name!r}; choose one of {', '.join(available_models())}, or import "
            "the module that registers it (--import MODULE)"
        )


def described(name: str) -> dict[str, str]:
    """What a checkpoint's metadata say of a network: its `arch`, and the module of one's own."""
    module = _code_of(name).__module__
    ours = module.partition(".")[0] == __name__.partition(".")[0]
    return {"arch": name} if ours else {"arch": name, MODULE_KEY: module}


def takes(name: str, keyword: str) -> bool:
    """Whether the factory of a network takes a keyword, such as `batch_norm_momentum`.

    Raises:
      UserError: An unknown name.
    """
    code = _code_of(name)
    constructor = inspect.getattr_static(code, "__init__") if isinstance(code, type) else code
    parameters = inspect.signature(constructor).parameters.values()
    return any(each.name == keyword or each.kind is each.VAR_KEYWORD for each in parameters)


def _code_of(name: str) -> Any:
    """The function or class behind a factory that may be a partial application of it."""
    require_known(name)
    factory: Any = _FACTORIES[name]
    while isinstance(factory, partial):
        factory = factory.func
    return factory


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
    require_known(name)
    if num_classes < 1:
        raise ValueError(f"num_classes must be at least 1, not {num_classes}")
    return _FACTORIES[name](num_classes=num_classes, dtype=dtype, rngs=rngs, **overrides)


def create_as_stored(
    metadata: Mapping[str, Any], *, dtype: DTypeLike = jnp.float32, rngs: nnx.Rngs
) -> nnx.Module:
    """Creates the network that a checkpoint's metadata describes, with random parameters.

    Args:
      metadata: As of :func:`described`, `num_classes` and, if it was created with any, `overrides`.
      dtype: As of :func:`create_model`.
      rngs: Source of the initial values.

    Raises:
      UserError: A name that is unknown, and the module to import for it.
      DamagedError: Overrides that the network does not have.
    """
    overrides = metadata.get("overrides") or {}
    arch = metadata["arch"]
    if arch not in _FACTORIES and (module := metadata.get(MODULE_KEY)):
        raise UserError(
            f"the checkpoint's network {arch!r} is not one of fakd_jax: the module {module!r} "
            f"defines it; import the module that registers it, such as --import {module}"
        )
    try:
        return create_model(
            arch, num_classes=metadata["num_classes"], dtype=dtype, rngs=rngs, **overrides
        )
    except (TypeError, ValueError) as error:
        raise DamagedError(
            f"the checkpoint's metadata do not describe a {arch} ({error}); copy it again"
        ) from error
