"""EfficientNet: functionally identical to torchvision's.

Tan & Le, "EfficientNet: rethinking model scaling for convolutional neural networks",
arXiv:1905.11946. The module tree mirrors torchvision's names: `features` lists the stem, the
stages and the last convolution, and every `block` lists its layers in torchvision's order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Float32

from fakd_jax.models.initial_values import scaled_uniform
from fakd_jax.models.layers import (
    BatchNorm,
    Conv,
    Depthwise,
    Linear,
    Pointwise,
    check_images,
    drop,
    global_average_pool,
    sow,
    stochastic_depth,
)
from fakd_jax.models.mobile_blocks import ConvNormActivation, SqueezeExcitation


@dataclass(frozen=True)
class StageSetting:
    """A stage: one line of the paper's Table 1. Its first block takes the stride."""

    expansion: int
    kernel_size: int
    stride: int
    in_features: int
    out_features: int
    blocks: int


EFFICIENTNET_B0_SETTINGS = (
    StageSetting(1, 3, 1, 32, 16, 1),
    StageSetting(6, 3, 2, 16, 24, 2),
    StageSetting(6, 5, 2, 24, 40, 2),
    StageSetting(6, 3, 2, 40, 80, 3),
    StageSetting(6, 5, 1, 80, 112, 3),
    StageSetting(6, 5, 2, 112, 192, 4),
    StageSetting(6, 3, 1, 192, 320, 1),
)


class MBConv(nnx.Module):
    """Expansion (1×1), depthwise k×k, squeeze-and-excitation, projection (1×1), shortcut.

    The squeeze is to a quarter of the block's input channels. In training the residual is dropped
    for whole images, with the probability `drop_rate`.
    """

    def __init__(
        self,
        setting: StageSetting,
        in_features: int,
        *,
        stride: int,
        drop_rate: float,
        norm: Callable[[int], BatchNorm],
        padding: str,
        dtype: DTypeLike,
        rngs: nnx.Rngs,
    ):
        expanded = in_features * setting.expansion
        layers: list[ConvNormActivation | SqueezeExcitation] = []
        if expanded != in_features:
            expand = Pointwise(in_features, expanded, dtype=dtype, rngs=rngs)
            layers.append(ConvNormActivation(expand, norm(expanded), nnx.silu))
        depthwise = Depthwise(
            expanded, setting.kernel_size, stride=stride, padding=padding, dtype=dtype, rngs=rngs
        )
        layers.append(ConvNormActivation(depthwise, norm(expanded), nnx.silu))
        layers.append(
            SqueezeExcitation(
                expanded,
                max(1, in_features // 4),
                activation=nnx.silu,
                gate=nnx.sigmoid,
                dtype=dtype,
                rngs=rngs,
            )
        )
        project = Pointwise(expanded, setting.out_features, dtype=dtype, rngs=rngs)
        layers.append(ConvNormActivation(project, norm(setting.out_features), None))
        self.block = nnx.List(layers)
        self.residual = stride == 1 and in_features == setting.out_features
        self.stochastic_depth = stochastic_depth(drop_rate)

    def __call__(
        self, x: Float[Array, "B H W I"], *, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "B h w O"]:
        """Applies the block, and adds the input if the shapes agree."""
        y = x
        for layer in self.block:
            y = layer(y)
        return drop(self.stochastic_depth, y, rngs) + x if self.residual else y


class EfficientNet(nnx.Module):
    """EfficientNet; with the default settings, torchvision's `efficientnet_b0`.

    Sown for `nnx.capture`, in the compute dtype: `features.0` to `features.8` (the last is the 1×1
    convolution with batch norm and SiLU, `[B, 7, 7, 1280]` for 224-pixel images) and `pre_logits`
    `[B, 1, 1, C]`, the input of dropout and the last layer.

    Initial values are torchvision's: convolutions N(0, 2/fan_out), the last layer
    U(-1/√classes, 1/√classes).

    Args:
      num_classes: Number of logits.
      settings: The stages.
      dropout: Probability of dropping each input of the last layer in training.
      drop_rate: Probability of dropping a residual in training, for the block after the last; it
        rises linearly from 0.
      batch_norm_momentum: Weight of the old running statistics (one minus PyTorch's .1).
      batch_norm_epsilon: Added to variances (networks from TensorFlow have 1e-3).
      padding: One of :data:`fakd_jax.models.layers.PADDINGS`.
      dtype: Compute dtype; parameters, statistics and logits stay float32.
      rngs: Source of the initial values (stream `params`).
    """

    def __init__(
        self,
        *,
        num_classes: int,
        settings: Sequence[StageSetting] = EFFICIENTNET_B0_SETTINGS,
        dropout: float = 0.2,
        drop_rate: float = 0.2,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-5,
        padding: str = "symmetric",
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        def norm(features: int) -> BatchNorm:
            return BatchNorm(
                features, momentum=batch_norm_momentum, epsilon=batch_norm_epsilon, dtype=dtype
            )

        self.batch_norm_epsilon, self.padding = batch_norm_epsilon, padding
        first, last = settings[0].in_features, 4 * settings[-1].out_features
        stem = Conv(3, first, 3, stride=2, padding=padding, dtype=dtype, rngs=rngs)
        layers: list[ConvNormActivation | nnx.List[MBConv]] = [
            ConvNormActivation(stem, norm(first), nnx.silu)
        ]
        total, number = sum(setting.blocks for setting in settings), 0
        for setting in settings:
            stage: nnx.List[MBConv] = nnx.List([])
            for index in range(setting.blocks):
                stage.append(
                    MBConv(
                        setting,
                        setting.out_features if index else setting.in_features,
                        stride=1 if index else setting.stride,
                        drop_rate=drop_rate * number / total,
                        norm=norm,
                        padding=padding,
                        dtype=dtype,
                        rngs=rngs,
                    )
                )
                number += 1
            layers.append(stage)
        head = Pointwise(settings[-1].out_features, last, dtype=dtype, rngs=rngs)
        layers.append(ConvNormActivation(head, norm(last), nnx.silu))
        self.features = nnx.List(layers)
        self.dropout = nnx.Dropout(dropout)
        initial = partial(scaled_uniform, bound=1 / math.sqrt(num_classes))
        self.classifier_1 = Linear(last, num_classes, initial=initial, rngs=rngs)

    def __call__(
        self, images: Float[Array, "B H W 3"], *, rngs: nnx.Rngs | None = None
    ) -> Float32[Array, "B K"]:
        """Classifies images.

        Args:
          images: Normalised images of any size.
          rngs: Source of dropout and stochastic depth (stream `dropout`), needed in training only.

        Returns:
          Float32 logits.

        Raises:
          ValueError: Images of another shape, or no `rngs` in training.
          TypeError: Images that are not floats.
        """
        check_images(images)
        x = images
        for index, layer in enumerate(self.features):
            if isinstance(layer, ConvNormActivation):
                x = layer(x)
            else:
                for block in layer:
                    x = block(x, rngs=rngs)
            x = sow(self, f"features.{index}", x)
        x = sow(self, "pre_logits", global_average_pool(x))
        return self.classifier_1(drop(self.dropout, x[:, 0, 0], rngs))
