"""ConvNeXt's keys. transformers' network has another epsilon in its last layer norm."""

from __future__ import annotations

from fakd_jax.models.convnext import ConvNeXt
from fakd_jax.models.torch_weights.names.table import (
    KeyTable,
    Row,
    biased_conv,
    layer_norm,
    linear,
    linear_as_pointwise,
)

_SETTINGS = {"head_norm_epsilon": 1e-6}


def tables(model: ConvNeXt) -> tuple[KeyTable, ...]:
    """The namings of a ConvNeXt's keys: torchvision's first."""
    stages = len(model.features) // 2
    return (
        _torchvision(stages),
        _timm(stages),
        _transformers(stages, "convnext."),
        _transformers(stages, ""),
    )


def _torchvision(stages: int) -> KeyTable:
    rows: list[Row] = [
        *biased_conv("features.0.0", "features.0.conv"),
        *layer_norm("features.0.1", "features.0.norm"),
        *layer_norm("classifier.0", "classifier_0"),
        *linear("classifier.2", "classifier_2"),
    ]
    for stage in range(stages):
        between, blocks = f"features.{2 * stage}", f"features.{2 * stage + 1}.{{b}}"
        if stage:
            rows += layer_norm(f"{between}.0", f"{between}.norm")
            rows += biased_conv(f"{between}.1", f"{between}.conv")
        rows += biased_conv(f"{blocks}.block.0", f"{blocks}.conv")
        rows += layer_norm(f"{blocks}.block.2", f"{blocks}.norm")
        rows += linear_as_pointwise(f"{blocks}.block.3", f"{blocks}.fc1")
        rows += linear_as_pointwise(f"{blocks}.block.5", f"{blocks}.fc2")
        # [C, 1, 1], which is laid out as [1, 1, C].
        rows.append(Row(f"{blocks}.layer_scale", f"params.{blocks}.layer_scale", (1, 2, 0)))
    return KeyTable("classifier", "classifier.2", tuple(rows), settings=_SETTINGS)


def _timm(stages: int) -> KeyTable:
    rows: list[Row] = [
        *biased_conv("stem.0", "features.0.conv"),
        *layer_norm("stem.1", "features.0.norm"),
        *layer_norm("head.norm", "classifier_0"),
        *linear("head.fc", "classifier_2"),
    ]
    names = ("downsample.0", "downsample.1", "blocks.{b}", "conv_dw", "norm", "mlp.fc1", "mlp.fc2")
    for stage in range(stages):
        rows += _stage(f"stages.{stage}", stage, *names, scale="gamma")
    return KeyTable("head", "head.fc", tuple(rows), naming="timm", settings=_SETTINGS)


def _transformers(stages: int, prefix: str) -> KeyTable:
    """`ConvNextForImageClassification`, or `ConvNextModel` without the prefix."""
    rows: list[Row] = [
        *biased_conv(f"{prefix}embeddings.patch_embeddings", "features.0.conv"),
        *layer_norm(f"{prefix}embeddings.layernorm", "features.0.norm"),
        *layer_norm(f"{prefix}layernorm", "classifier_0"),
        *linear("classifier", "classifier_2"),
    ]
    names = (
        "downsampling_layer.0",
        "downsampling_layer.1",
        "layers.{b}",
        "dwconv",
        "layernorm",
        "pwconv1",
        "pwconv2",
    )
    for stage in range(stages):
        key = f"{prefix}encoder.stages.{stage}"
        rows += _stage(key, stage, *names, scale="layer_scale_parameter")
    return KeyTable(
        "classifier",
        "classifier",
        tuple(rows),
        naming="transformers",
        settings={"head_norm_epsilon": 1e-12},
    )


def _stage(
    key: str,
    stage: int,
    between_norm: str,
    between_conv: str,
    block: str,
    conv: str,
    norm: str,
    fc1: str,
    fc2: str,
    *,
    scale: str,
) -> list[Row]:
    """A stage whose keys lie under `key`, with what halves the maps before it."""
    between, path = f"features.{2 * stage}", f"features.{2 * stage + 1}.{{b}}"
    rows: list[Row] = []
    if stage:
        rows += layer_norm(f"{key}.{between_norm}", f"{between}.norm")
        rows += biased_conv(f"{key}.{between_conv}", f"{between}.conv")
    rows += biased_conv(f"{key}.{block}.{conv}", f"{path}.conv")
    rows += layer_norm(f"{key}.{block}.{norm}", f"{path}.norm")
    rows += linear_as_pointwise(f"{key}.{block}.{fc1}", f"{path}.fc1")
    rows += linear_as_pointwise(f"{key}.{block}.{fc2}", f"{path}.fc2")
    rows.append(Row(f"{key}.{block}.{scale}", f"params.{path}.layer_scale", leading=2))
    return rows
