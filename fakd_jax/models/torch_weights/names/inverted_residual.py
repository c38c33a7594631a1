"""Keys of the blocks that MobileNetV3 and EfficientNet share, as libraries name their layers."""

from __future__ import annotations

from typing import Any

from fakd_jax.models.efficientnet import MBConv
from fakd_jax.models.layers import Depthwise
from fakd_jax.models.mobile_blocks import SqueezeExcitation
from fakd_jax.models.mobilenet_v3 import InvertedResidual
from fakd_jax.models.torch_weights.names.table import Row, batch_norm, biased_conv, conv


def places(block: InvertedResidual | MBConv) -> dict[str, int]:
    """The index of a block's `expand`, `depthwise`, `squeeze` and `project`, where it has them."""
    found: dict[str, int] = {}
    layers: list[Any] = list(block.block)
    for index, layer in enumerate(layers):
        if isinstance(layer, SqueezeExcitation):
            found["squeeze"] = index
        elif isinstance(layer.conv, Depthwise):
            found["depthwise"] = index
        else:
            found["project" if "depthwise" in found else "expand"] = index
    return found


def timm_block(key: str, path: str, block: InvertedResidual | MBConv) -> list[Row]:
    """The rows of a block as timm names its layers; without `expand`, `conv_pw` projects.

    Args:
      key: of the block.
      path: of ours.
      block: ours.
    """
    where = places(block)
    convs = {"expand": "conv_pw", "depthwise": "conv_dw", "project": "conv_pwl"}
    if "expand" not in where:
        convs = {"depthwise": "conv_dw", "project": "conv_pw"}
    rows: list[Row] = []
    for number, (role, name) in enumerate(convs.items(), start=1):
        rows += conv(f"{key}.{name}", f"{path}.block.{where[role]}.conv")
        rows += batch_norm(f"{key}.bn{number}", f"{path}.block.{where[role]}.bn")
    if "squeeze" in where:
        squeeze = f"{path}.block.{where['squeeze']}"
        rows += biased_conv(f"{key}.se.conv_reduce", f"{squeeze}.fc1")
        rows += biased_conv(f"{key}.se.conv_expand", f"{squeeze}.fc2")
    return rows
