"""MobileNetV3's keys. timm's network has another epsilon than torchvision's."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from fakd_jax.models.mobile_blocks import ConvNormActivation
from fakd_jax.models.mobilenet_v3 import InvertedResidual, MobileNetV3
from fakd_jax.models.torch_weights.names.inverted_residual import places, timm_block
from fakd_jax.models.torch_weights.names.table import (
    KeyTable,
    Row,
    batch_norm,
    biased_conv,
    conv,
    linear,
    pointwise_as_linear,
)

TORCHVISION = KeyTable(
    head="classifier",
    logits="classifier.3",
    rows=(
        *conv("features.{n}.0", "features.{n}.conv"),
        *batch_norm("features.{n}.1", "features.{n}.bn"),
        *conv("features.{n}.block.{m}.0", "features.{n}.block.{m}.conv"),
        *batch_norm("features.{n}.block.{m}.1", "features.{n}.block.{m}.bn"),
        *biased_conv("features.{n}.block.{m}.fc{i}", "features.{n}.block.{m}.fc{i}"),
        *linear("classifier.{i}", "classifier_{i}"),
    ),
    settings={"batch_norm_epsilon": 1e-3, "padding": "symmetric"},
)


def tables(model: MobileNetV3) -> tuple[KeyTable, ...]:
    """The namings of a MobileNetV3's keys: torchvision's first."""
    timm = _timm(model)
    tensorflow = {"batch_norm_epsilon": 1e-3, "padding": "tensorflow"}
    return TORCHVISION, timm, replace(timm, naming="timm_tf", settings=tensorflow)


def _timm(model: MobileNetV3) -> KeyTable:
    """Timm counts blocks by stages, which are blocks of one width."""
    last = len(model.features) - 1
    rows: list[Row] = [
        *conv("conv_stem", "features.0.conv"),
        *batch_norm("bn1", "features.0.bn"),
        *pointwise_as_linear("conv_head", "classifier_0"),
        *linear("classifier", "classifier_3"),
    ]
    stage, block, width = -1, 0, 0
    for index in range(1, last):
        layer = cast(InvertedResidual, model.features[index])
        if (features := _width(layer)) != width:
            stage, block, width = stage + 1, 0, features
        rows += timm_block(f"blocks.{stage}.{block}", f"features.{index}", layer)
        block += 1
    rows += conv(f"blocks.{stage + 1}.0.conv", f"features.{last}.conv")
    rows += batch_norm(f"blocks.{stage + 1}.0.bn1", f"features.{last}.bn")
    return KeyTable(
        "classifier",
        "classifier",
        tuple(rows),
        naming="timm",
        settings={"batch_norm_epsilon": 1e-5, "padding": "symmetric"},
    )


def _width(block: InvertedResidual) -> int:
    project = cast(ConvNormActivation, block.block[places(block)["project"]])
    return int(project.conv.kernel.shape[-1])
