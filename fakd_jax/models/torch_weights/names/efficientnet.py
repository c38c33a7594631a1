"""EfficientNet's keys. Networks that came from TensorFlow have another epsilon and padding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import cast

from flax import nnx

from fakd_jax.models.efficientnet import EfficientNet, MBConv
from fakd_jax.models.torch_weights.names.inverted_residual import places, timm_block
from fakd_jax.models.torch_weights.names.table import (
    KeyTable,
    Row,
    batch_norm,
    biased_conv,
    conv,
    linear,
)

_SYMMETRIC = {"batch_norm_epsilon": 1e-5, "padding": "symmetric"}
_TENSORFLOW = {"batch_norm_epsilon": 1e-3, "padding": "tensorflow"}

TORCHVISION = KeyTable(
    head="classifier",
    logits="classifier.1",
    rows=(
        *conv("features.{n}.0", "features.{n}.conv"),
        *batch_norm("features.{n}.1", "features.{n}.bn"),
        *conv("features.{n}.{b}.block.{m}.0", "features.{n}.{b}.block.{m}.conv"),
        *batch_norm("features.{n}.{b}.block.{m}.1", "features.{n}.{b}.block.{m}.bn"),
        *biased_conv("features.{n}.{b}.block.{m}.fc{i}", "features.{n}.{b}.block.{m}.fc{i}"),
        *linear("classifier.1", "classifier_1"),
    ),
    settings=_SYMMETRIC,
)


def tables(model: EfficientNet) -> tuple[KeyTable, ...]:
    """The namings of an EfficientNet's keys: torchvision's first."""
    timm = _timm(model)
    return (
        TORCHVISION,
        timm,
        replace(timm, naming="timm_tf", settings=_TENSORFLOW),
        _transformers(model, "efficientnet."),
        _transformers(model, ""),
    )


def _blocks(model: EfficientNet) -> Iterator[tuple[int, int, MBConv]]:
    """All blocks with the numbers of their stage, from 0, and within it."""
    for stage, layer in enumerate(list(model.features)[1:-1]):
        for index, block in enumerate(cast("nnx.List[MBConv]", layer)):
            yield stage, index, block


def _timm(model: EfficientNet) -> KeyTable:
    last = len(model.features) - 1
    rows: list[Row] = [
        *conv("conv_stem", "features.0.conv"),
        *batch_norm("bn1", "features.0.bn"),
        *conv("conv_head", f"features.{last}.conv"),
        *batch_norm("bn2", f"features.{last}.bn"),
        *linear("classifier", "classifier_1"),
    ]
    for stage, index, block in _blocks(model):
        rows += timm_block(f"blocks.{stage}.{index}", f"features.{stage + 1}.{index}", block)
    return KeyTable("classifier", "classifier", tuple(rows), naming="timm", settings=_SYMMETRIC)


def _transformers(model: EfficientNet, prefix: str) -> KeyTable:
    """`EfficientNetForImageClassification`, or `EfficientNetModel` without the prefix.

    Its padding is TensorFlow's on maps with sides of even length, as images have whose size is a
    multiple of 32.
    """
    last = len(model.features) - 1
    rows: list[Row] = [
        *conv(f"{prefix}embeddings.convolution", "features.0.conv"),
        *batch_norm(f"{prefix}embeddings.batchnorm", "features.0.bn"),
        *conv(f"{prefix}encoder.top_conv", f"features.{last}.conv"),
        *batch_norm(f"{prefix}encoder.top_bn", f"features.{last}.bn"),
        *linear("classifier", "classifier_1"),
    ]
    names = {
        "expand": ("expansion.expand_conv", "expansion.expand_bn"),
        "depthwise": ("depthwise_conv.depthwise_conv", "depthwise_conv.depthwise_norm"),
        "project": ("projection.project_conv", "projection.project_bn"),
    }
    for number, (stage, index, block) in enumerate(_blocks(model)):
        key, path = f"{prefix}encoder.blocks.{number}", f"features.{stage + 1}.{index}.block"
        where = places(block)
        for role in names.keys() & where.keys():
            convolution, norm = names[role]
            rows += conv(f"{key}.{convolution}", f"{path}.{where[role]}.conv")
            rows += batch_norm(f"{key}.{norm}", f"{path}.{where[role]}.bn")
        rows += biased_conv(f"{key}.squeeze_excite.reduce", f"{path}.{where['squeeze']}.fc1")
        rows += biased_conv(f"{key}.squeeze_excite.expand", f"{path}.{where['squeeze']}.fc2")
    return KeyTable(
        "classifier", "classifier", tuple(rows), naming="transformers", settings=_TENSORFLOW
    )
