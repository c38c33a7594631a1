"""ResNet with basic or bottleneck blocks, v1.5: functionally identical to torchvision's.

He et al., "Deep residual learning for image recognition", arXiv:1512.03385; v1.5 has the stride
in the 3×3 convolution. The module tree mirrors torchvision's names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Float32

from fakd_jax.models.layers import (
    BatchNorm,
    Conv,
    Linear,
    Pointwise,
    add_relu,
    check_images,
    global_average_pool,
    max_pool,
    sow,
)


class BasicBlock(nnx.Module):
    """Two 3×3 convolutions, the first of which takes the stride, and the shortcut."""

    expansion = 1

    def __init__(
        self,
        in_features: int,
        features: int,
        *,
        stride: int,
        norm: Callable[[int], BatchNorm],
        dtype: DTypeLike,
        rngs: nnx.Rngs,
    ):
        self.conv1 = Conv(in_features, features, 3, stride=stride, dtype=dtype, rngs=rngs)
        self.bn1 = norm(features)
        self.conv2 = Conv(features, features, 3, dtype=dtype, rngs=rngs)
        self.bn2 = norm(features)
        self.downsample_conv: Pointwise | None = nnx.data(None)
        self.downsample_bn: BatchNorm | None = nnx.data(None)
        if stride != 1 or in_features != features:
            self.downsample_conv = Pointwise(
                in_features, features, stride=stride, dtype=dtype, rngs=rngs
            )
            self.downsample_bn = norm(features)

    def __call__(self, x: Float[Array, "B H W I"]) -> Float[Array, "B h w O"]:
        """Adds the residual to the (projected) input."""
        y = nnx.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.downsample_conv is not None and self.downsample_bn is not None:
            x = self.downsample_bn(self.downsample_conv(x))
        return add_relu(y, x)


class Bottleneck(nnx.Module):
    """1×1 reduction, 3×3 (which takes the stride), 1×1 expansion by 4, and the shortcut."""

    expansion = 4

    def __init__(
        self,
        in_features: int,
        features: int,
        *,
        stride: int,
        norm: Callable[[int], BatchNorm],
        dtype: DTypeLike,
        rngs: nnx.Rngs,
    ):
        out_features = self.expansion * features
        self.conv1 = Pointwise(in_features, features, dtype=dtype, rngs=rngs)
        self.bn1 = norm(features)
        self.conv2 = Conv(features, features, 3, stride=stride, dtype=dtype, rngs=rngs)
        self.bn2 = norm(features)
        self.conv3 = Pointwise(features, out_features, dtype=dtype, rngs=rngs)
        self.bn3 = norm(out_features)
        self.downsample_conv: Pointwise | None = nnx.data(None)
        self.downsample_bn: BatchNorm | None = nnx.data(None)
        if stride != 1 or in_features != out_features:
            self.downsample_conv = Pointwise(
                in_features, out_features, stride=stride, dtype=dtype, rngs=rngs
            )
            self.downsample_bn = norm(out_features)

    def __call__(self, x: Float[Array, "B H W I"]) -> Float[Array, "B h w O"]:
        """Adds the residual to the (projected) input."""
        y = nnx.relu(self.bn1(self.conv1(x)))
        y = nnx.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        if self.downsample_conv is not None and self.downsample_bn is not None:
            x = self.downsample_bn(self.downsample_conv(x))
        return add_relu(y, x)


class ResNet(nnx.Module):
    """A ResNet; with the default sizes and blocks, torchvision's `resnet50`.

    Sown for `nnx.capture`, in the compute dtype: `relu` and `maxpool` (the stem), `layer1` to
    `layer4` (after each stage's last ReLU; `layer3` is the paper's teacher feature,
    `[B, 14, 14, 1024]` for 224-pixel images) and `pre_logits` `[B, 1, 1, C]`.

    Initial values are torchvision's: convolutions N(0, 2/fan_out), `fc` PyTorch's default.

    Args:
      num_classes: Number of logits.
      stage_sizes: Blocks of the four stages.
      block: The kind of all blocks.
      width: Channels of the stem; stage i has blocks of `width · 2^i`.
      batch_norm_momentum: Weight of the old running statistics (one minus PyTorch's .1).
      batch_norm_epsilon: Added to variances.
      dtype: Compute dtype; parameters, statistics and logits stay float32.
      rngs: Source of the initial values (stream `params`).
    """

    def __init__(
        self,
        *,
        num_classes: int,
        stage_sizes: Sequence[int] = (3, 4, 6, 3),
        block: type[BasicBlock | Bottleneck] = Bottleneck,
        width: int = 64,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-5,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        def norm(features: int) -> BatchNorm:
            return BatchNorm(
                features, momentum=batch_norm_momentum, epsilon=batch_norm_epsilon, dtype=dtype
            )

        self.dtype = dtype
        self.batch_norm_epsilon = batch_norm_epsilon
        self.block = block
        self.conv1 = Conv(3, width, 7, stride=2, dtype=dtype, rngs=rngs)
        self.bn1 = norm(width)
        in_features = width
        for stage, size in enumerate(stage_sizes):
            features = width * 2**stage
            blocks: nnx.List[BasicBlock | Bottleneck] = nnx.List([])
            for index in range(size):
                stride = 2 if stage > 0 and index == 0 else 1
                blocks.append(
                    block(in_features, features, stride=stride, norm=norm, dtype=dtype, rngs=rngs)
                )
                in_features = block.expansion * features
            setattr(self, f"layer{stage + 1}", blocks)
        self.num_stages = len(stage_sizes)
        self.fc = Linear(in_features, num_classes, rngs=rngs)

    def __call__(
        self, images: Float[Array, "B H W 3"], *, rngs: nnx.Rngs | None = None
    ) -> Float32[Array, "B K"]:
        """Classifies images.

        Args:
          images: Normalised images of any size.
          rngs: Unused: ResNet has no dropout.

        Returns:
          Float32 logits.

        Raises:
          ValueError: Images of another shape.
          TypeError: Images that are not floats.
        """
        del rngs
        check_images(images)
        x = sow(self, "relu", nnx.relu(self.bn1(self.conv1(images))))
        x = sow(self, "maxpool", max_pool(x))
        for stage in range(1, self.num_stages + 1):
            for block in getattr(self, f"layer{stage}"):
                x = block(x)
            x = sow(self, f"layer{stage}", x)
        x = sow(self, "pre_logits", global_average_pool(x))
        return self.fc(x[:, 0, 0])
