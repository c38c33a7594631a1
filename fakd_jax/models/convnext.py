"""ConvNeXt: functionally identical to torchvision's.

Liu et al., "A ConvNet for the 2020s", arXiv:2201.03545. `features` lists, as torchvision's does,
the stem and the stages in turn with what halves the maps between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Float32

from fakd_jax.models.initial_values import scaled_normal
from fakd_jax.models.layers import (
    Depthwise,
    LayerNorm,
    Linear,
    Patches,
    Pointwise,
    check_images,
    drop,
    global_average_pool,
    sow,
    stochastic_depth,
)

# torchvision draws from a normal distribution that is cut off at ±2, a hundred deviations away.
_initial = partial(scaled_normal, scale=0.02)
_EPSILON = 1e-6


class Stem(nnx.Module):
    """4×4 patches and layer norm."""

    def __init__(self, features: int, *, dtype: DTypeLike, rngs: nnx.Rngs):
        self.conv = Patches(3, features, 4, initial=_initial, dtype=dtype, rngs=rngs)
        self.norm = LayerNorm(features, epsilon=_EPSILON, dtype=dtype)

    def __call__(self, images: Float[Array, "B H W 3"]) -> Float[Array, "B h w C"]:
        """Maps images to a quarter of their side."""
        return self.norm(self.conv(images))


class Downsample(nnx.Module):
    """Layer norm and 2×2 patches."""

    def __init__(self, in_features: int, features: int, *, dtype: DTypeLike, rngs: nnx.Rngs):
        self.norm = LayerNorm(in_features, epsilon=_EPSILON, dtype=dtype)
        self.conv = Patches(in_features, features, 2, initial=_initial, dtype=dtype, rngs=rngs)

    def __call__(self, x: Float[Array, "B H W I"]) -> Float[Array, "B h w O"]:
        """Maps feature maps to half of their side."""
        return self.conv(self.norm(x))


class Block(nnx.Module):
    """Depthwise 7×7, layer norm, expansion by 4, GELU, projection, layer scale, shortcut.

    In training the residual is dropped for whole images, with the probability `drop_rate`.

    Attributes:
      layer_scale: Float32 `[1, 1, features]`.
    """

    def __init__(
        self,
        features: int,
        *,
        layer_scale: float,
        drop_rate: float,
        dtype: DTypeLike,
        rngs: nnx.Rngs,
    ):
        linear = partial(Pointwise, use_bias=True, initial=_initial, dtype=dtype, rngs=rngs)
        self.conv = Depthwise(features, 7, use_bias=True, initial=_initial, dtype=dtype, rngs=rngs)
        self.norm = LayerNorm(features, epsilon=_EPSILON, dtype=dtype)
        self.fc1 = linear(features, 4 * features)
        self.fc2 = linear(4 * features, features)
        scale = np.full((1, 1, features), layer_scale, np.float32)
        self.layer_scale = nnx.Param(jax.device_put(scale))
        self.stochastic_depth = stochastic_depth(drop_rate)
        self.dtype = dtype

    def __call__(
        self, x: Float[Array, "B H W C"], *, rngs: nnx.Rngs | None = None
    ) -> Float[Array, "B H W C"]:
        """Adds the scaled residual to the input."""
        y = nnx.gelu(self.fc1(self.norm(self.conv(x))), approximate=False)
        y = self.layer_scale[...].astype(self.dtype) * self.fc2(y)
        return drop(self.stochastic_depth, y, rngs) + x


class ConvNeXt(nnx.Module):
    """ConvNeXt; with the default sizes, torchvision's `convnext_tiny`.

    Sown for `nnx.capture`, in the compute dtype: `features.0` to `features.7` (odd ones are stages:
    `features.5` is `[B, 14, 14, 384]` for 224-pixel images, `features.7` `[B, 7, 7, 768]`) and
    `pre_logits` `[B, 1, 1, C]`, the input of the last layer.

    Initial values are torchvision's: weights N(0, .02²), biases 0.

    Args:
      num_classes: Number of logits.
      stage_sizes: Blocks of the stages.
      widths: Channels of the stages.
      layer_scale: Initial scale of the residuals.
      drop_rate: Probability of dropping the last block's residual in training; it rises linearly
        from 0 at the first.
      head_norm_epsilon: Added to the variance before the last layer (transformers has 1e-12).
      dtype: Compute dtype; parameters and logits stay float32.
      rngs: Source of the initial values (stream `params`).
    """

    def __init__(
        self,
        *,
        num_classes: int,
        stage_sizes: Sequence[int] = (3, 3, 9, 3),
        widths: Sequence[int] = (96, 192, 384, 768),
        layer_scale: float = 1e-6,
        drop_rate: float = 0.1,
        head_norm_epsilon: float = 1e-6,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.head_norm_epsilon = head_norm_epsilon
        layers: list[Stem | Downsample | nnx.List[Block]] = []
        last, number = max(1, sum(stage_sizes) - 1), 0
        for stage, (size, width) in enumerate(zip(stage_sizes, widths, strict=True)):
            if stage == 0:
                layers.append(Stem(width, dtype=dtype, rngs=rngs))
            else:
                layers.append(Downsample(widths[stage - 1], width, dtype=dtype, rngs=rngs))
            blocks: nnx.List[Block] = nnx.List([])
            for _ in range(size):
                blocks.append(
                    Block(
                        width,
                        layer_scale=layer_scale,
                        drop_rate=drop_rate * number / last,
                        dtype=dtype,
                        rngs=rngs,
                    )
                )
                number += 1
            layers.append(blocks)
        self.features = nnx.List(layers)
        self.classifier_0 = LayerNorm(widths[-1], epsilon=head_norm_epsilon, dtype=dtype)
        self.classifier_2 = Linear(widths[-1], num_classes, initial=_initial, rngs=rngs)

    def __call__(
        self, images: Float[Array, "B H W 3"], *, rngs: nnx.Rngs | None = None
    ) -> Float32[Array, "B K"]:
        """Classifies images.

        Args:
          images: Normalised images of at least 32 pixels a side.
          rngs: Source of stochastic depth (stream `dropout`), needed in training only.

        Returns:
          Float32 logits.

        Raises:
          ValueError: Images of another shape or too small, or no `rngs` in training.
          TypeError: Images that are not floats.
        """
        check_images(images)
        x = images
        for index, layer in enumerate(self.features):
            if isinstance(layer, nnx.List):
                for block in layer:
                    x = block(x, rngs=rngs)
            else:
                x = layer(x)
            x = sow(self, f"features.{index}", x)
        x = sow(self, "pre_logits", self.classifier_0(global_average_pool(x)))
        return self.classifier_2(x[:, 0, 0])
