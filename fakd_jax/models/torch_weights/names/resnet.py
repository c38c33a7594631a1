"""ResNet's keys. timm names them as torchvision does, and computes the same."""

from __future__ import annotations

from dataclasses import replace

from fakd_jax.models.resnet import BasicBlock, ResNet
from fakd_jax.models.torch_weights.names.table import KeyTable, batch_norm, conv, linear

_SETTINGS = {"batch_norm_epsilon": 1e-5}

TORCHVISION = KeyTable(
    head="fc",
    logits="fc",
    rows=(
        *conv("conv1", "conv1"),
        *batch_norm("bn1", "bn1"),
        *conv("layer{s}.{b}.conv{c}", "layer{s}.{b}.conv{c}"),
        *batch_norm("layer{s}.{b}.bn{c}", "layer{s}.{b}.bn{c}"),
        *conv("layer{s}.{b}.downsample.0", "layer{s}.{b}.downsample_conv"),
        *batch_norm("layer{s}.{b}.downsample.1", "layer{s}.{b}.downsample_bn"),
        *linear("fc", "fc"),
    ),
    settings=_SETTINGS,
)


def tables(model: ResNet) -> tuple[KeyTable, ...]:
    """The namings of a ResNet's keys: torchvision's first."""
    convs = 2 if model.block is BasicBlock else 3
    return (
        TORCHVISION,
        replace(TORCHVISION, naming="timm"),
        _transformers(model.num_stages, convs, "resnet."),
        _transformers(model.num_stages, convs, ""),
    )


def _transformers(stages: int, convs: int, prefix: str) -> KeyTable:
    """`ResNetForImageClassification`, or `ResNetModel` without the prefix."""
    rows = [
        *conv(f"{prefix}embedder.embedder.convolution", "conv1"),
        *batch_norm(f"{prefix}embedder.embedder.normalization", "bn1"),
        *linear("classifier.1", "fc"),
    ]
    for stage in range(stages):
        key, path = f"{prefix}encoder.stages.{stage}.layers.{{b}}", f"layer{stage + 1}.{{b}}"
        rows += conv(f"{key}.shortcut.convolution", f"{path}.downsample_conv")
        rows += batch_norm(f"{key}.shortcut.normalization", f"{path}.downsample_bn")
        for index in range(convs):
            rows += conv(f"{key}.layer.{index}.convolution", f"{path}.conv{index + 1}")
            rows += batch_norm(f"{key}.layer.{index}.normalization", f"{path}.bn{index + 1}")
    return KeyTable(
        "classifier", "classifier.1", tuple(rows), naming="transformers", settings=_SETTINGS
    )
