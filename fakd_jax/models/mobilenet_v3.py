"""MobileNetV3: functionally identical to torchvision's.

Howard et al., "Searching for MobileNetV3", arXiv:1905.02244. The module tree mirrors
torchvision's names: `features` is a list whose first and last entries are convolutions, and every
`block` lists its layers in torchvision's order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Float32

from fakd_jax.models.initial_values import scaled_normal
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
)
from fakd_jax.models.mobile_blocks import ConvNormActivation, SqueezeExcitation, make_divisible


@dataclass(frozen=True)
class BlockSetting:
    """An inverted residual block: one line of the paper's Table 1.

    `kernel_size` and `stride` are the depthwise convolution's; `squeeze` adds
    squeeze-and-excitation; the activation is hard-swish or ReLU.
    """

    in_features: int
    kernel_size: int
    expanded_features: int
    out_features: int
    squeeze: bool
    hard_swish: bool
    stride: int


MOBILENET_V3_LARGE_SETTINGS = (
    BlockSetting(16, 3, 16, 16, squeeze=False, hard_swish=False, stride=1),
    BlockSetting(16, 3, 64, 24, squeeze=False, hard_swish=False, stride=2),
    BlockSetting(24, 3, 72, 24, squeeze=False, hard_swish=False, stride=1),
    BlockSetting(24, 5, 72, 40, squeeze=True, hard_swish=False, stride=2),
    BlockSetting(40, 5, 120, 40, squeeze=True, hard_swish=False, stride=1),
    BlockSetting(40, 5, 120, 40, squeeze=True, hard_swish=False, stride=1),
    BlockSetting(40, 3, 240, 80, squeeze=False, hard_swish=True, stride=2),
    BlockSetting(80, 3, 200, 80, squeeze=False, hard_swish=True, stride=1),
    BlockSetting(80, 3, 184, 80, squeeze=False, hard_swish=True, stride=1),
    BlockSetting(80, 3, 184, 80, squeeze=False, hard_swish=True, stride=1),
    BlockSetting(80, 3, 480, 112, squeeze=True, hard_swish=True, stride=1),
    BlockSetting(112, 3, 672, 112, squeeze=True, hard_swish=True, stride=1),
    BlockSetting(112, 5, 672, 160, squeeze=True, hard_swish=True, stride=2),
    BlockSetting(160, 5, 960, 160, squeeze=True, hard_swish=True, stride=1),
    BlockSetting(160, 5, 960, 160, squeeze=True, hard_swish=True, stride=1),
)

MOBILENET_V3_SMALL_SETTINGS = (
    BlockSetting(16, 3, 16, 16, squeeze=True, hard_swish=False, stride=2),
    BlockSetting(16, 3, 72, 24, squeeze=False, hard_swish=False, stride=2),
    BlockSetting(24, 3, 88, 24, squeeze=False, hard_swish=False, stride=1),
    BlockSetting(24, 5, 96, 40, squeeze=True, hard_swish=True, stride=2),
    BlockSetting(40, 5, 240, 40, squeeze=True, hard_swish=True, stride=1),
    BlockSetting(40, 5, 240, 40, squeeze=True, hard_swish=True, stride=1),
    BlockSetting(40, 5, 120, 48, squeeze=True, hard_swish=True, stride=1),
    BlockSetting(48, 5, 144, 48, squeeze=True, hard_swish=True, stride=1),
    BlockSetting(48, 5, 288, 96, squeeze=True, hard_swish=True, stride=2),
    BlockSetting(96, 5, 576, 96, squeeze=True, hard_swish=True, stride=1),
    BlockSetting(96, 5, 576, 96, squeeze=True, hard_swish=True, stride=1),
)


Layer: TypeAlias = "ConvNormActivation | SqueezeExcitation | InvertedResidual"


class InvertedResidual(nnx.Module):
    """Expansion (1×1), depthwise k×k, squeeze-and-excitation, projection (1×1), shortcut."""

    def __init__(
        self,
        setting: BlockSetting,
        *,
        norm: Callable[[int], BatchNorm],
        padding: str,
        dtype: DTypeLike,
        rngs: nnx.Rngs,
    ):
        activation = nnx.hard_swish if setting.hard_swish else nnx.relu
        expanded = setting.expanded_features
        layers: list[ConvNormActivation | SqueezeExcitation] = []
        if expanded != setting.in_features:
            expand = Pointwise(setting.in_features, expanded, dtype=dtype, rngs=rngs)
            layers.append(ConvNormActivation(expand, norm(expanded), activation))
        depthwise = Depthwise(
            expanded,
            setting.kernel_size,
            stride=setting.stride,
            padding=padding,
            dtype=dtype,
            rngs=rngs,
        )
        layers.append(ConvNormActivation(depthwise, norm(expanded), activation))
        if setting.squeeze:
            layers.append(
                SqueezeExcitation(
                    expanded,
                    make_divisible(expanded // 4),
                    activation=nnx.relu,
                    gate=nnx.hard_sigmoid,
                    dtype=dtype,
                    rngs=rngs,
                )
            )
        project = Pointwise(expanded, setting.out_features, dtype=dtype, rngs=rngs)
        layers.append(ConvNormActivation(project, norm(setting.out_features), None))
        self.block = nnx.List(layers)
        self.residual = setting.stride == 1 and setting.in_features == setting.out_features

    def __call__(self, x: Float[Array, "B H W I"]) -> Float[Array, "B h w O"]:
        """Applies the block, and adds the input if the shapes agree."""
        y = x
        for layer in self.block:
            y = layer(y)
        return y + x if self.residual else y


class MobileNetV3(nnx.Module):
    """MobileNetV3; with the default settings, torchvision's `mobilenet_v3_large`.

    Sown for `nnx.capture`, in the compute dtype: `features.0` to `features.16` (the last, the 1×1
    convolution with batch norm and hard-swish, is the paper's student feature,
    `[B, 7, 7, 960]` for 224-pixel images) and `pre_logits` `[B, 1, 1, C]`, the input of dropout
    and the last layer.

    Initial values are torchvision's: convolutions N(0, 2/fan_out), linear layers N(0, .01²).

    Args:
      num_classes: Number of logits.
      settings: The inverted residual blocks.
      last_channel: Width of the hidden layer of the classifier.
      dropout: Probability of dropping each of its values in training.
      batch_norm_momentum: Weight of the old running statistics (one minus PyTorch's .01).
      batch_norm_epsilon: Added to variances (timm's networks have 1e-5).
      padding: One of :data:`fakd_jax.models.layers.PADDINGS`.
      dtype: Compute dtype; parameters, statistics and logits stay float32.
      rngs: Source of the initial values (stream `params`).
    """

    def __init__(
        self,
        *,
        num_classes: int,
        settings: Sequence[BlockSetting] = MOBILENET_V3_LARGE_SETTINGS,
        last_channel: int = 1280,
        dropout: float = 0.2,
        batch_norm_momentum: float = 0.99,
        batch_norm_epsilon: float = 1e-3,
        padding: str = "symmetric",
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        def norm(features: int) -> BatchNorm:
            return BatchNorm(
                features, momentum=batch_norm_momentum, epsilon=batch_norm_epsilon, dtype=dtype
            )

        self.batch_norm_epsilon, self.padding = batch_norm_epsilon, padding
        first, last = settings[0].in_features, 6 * settings[-1].out_features
        stem = Conv(3, first, 3, stride=2, padding=padding, dtype=dtype, rngs=rngs)
        layers: list[Layer] = [ConvNormActivation(stem, norm(first), nnx.hard_swish)]
        layers += [
            InvertedResidual(setting, norm=norm, padding=padding, dtype=dtype, rngs=rngs)
            for setting in settings
        ]
        head = Pointwise(settings[-1].out_features, last, dtype=dtype, rngs=rngs)
        layers.append(ConvNormActivation(head, norm(last), nnx.hard_swish))
        self.features = nnx.List(layers)
        initial = partial(scaled_normal, scale=0.01)
        self.classifier_0 = Linear(last, last_channel, initial=initial, dtype=dtype, rngs=rngs)
        self.dropout = nnx.Dropout(dropout)
        self.classifier_3 = Linear(last_channel, num_classes, initial=initial, rngs=rngs)

    def __call__(
        self, images: Float[Array, "B H W 3"], *, rngs: nnx.Rngs | None = None
    ) -> Float32[Array, "B K"]:
        """Classifies images.

        Args:
          images: Normalised images of any size.
          rngs: Source of the dropout mask (stream `dropout`), needed in training only.

        Returns:
          Float32 logits.

        Raises:
          ValueError: Images of another shape, or no `rngs` in training.
          TypeError: Images that are not floats.
        """
        check_images(images)
        x = images
        for index, layer in enumerate(self.features):
            x = sow(self, f"features.{index}", layer(x))
        return self.classify(x, rngs=rngs)

    def classify(
        self, features: Float[Array, "B h w C"], *, rngs: nnx.Rngs | None = None
    ) -> Float32[Array, "B K"]:
        """Pools the last feature map and classifies it; `rngs` as in :meth:`__call__`."""
        x = nnx.hard_swish(self.classifier_0(global_average_pool(features)[:, 0, 0]))
        x = sow(self, "pre_logits", x[:, None, None])
        return self.classifier_3(drop(self.dropout, x[:, 0, 0], rngs))
