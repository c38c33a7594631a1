"""The local prefix of a network: its first layers, whose receptive fields are small.

Masked inference (:mod:`fakd_jax.inference.masked`) tabulates what they compute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile

from flax import nnx
from jaxtyping import Array, Float, Float32

from fakd_jax.models.mobile_blocks import ConvNormActivation, SqueezeExcitation
from fakd_jax.models.mobilenet_v3 import InvertedResidual, Layer, MobileNetV3


@dataclass(frozen=True)
class Window:
    """The part of its input that a position of a convolution's output depends on.

    Output position i depends on the `size` × `size` input positions centred on i · `stride`, as
    all convolutions here pad by (size - 1) / 2 on either side.

    Attributes:
      size: odd.
      stride: at least 1.
    """

    size: int
    stride: int


@dataclass(frozen=True)
class LocalBlock:
    """Consecutive layers whose output at a position depends on a window of their input alone.

    Attributes:
      run: from the block's input to its output.
      windows: of its convolutions, in order.
    """

    run: Callable[[Float[Array, "B H W I"]], Float[Array, "B h w O"]]
    windows: tuple[Window, ...]


@dataclass(frozen=True)
class SplitNetwork:
    """A network as its local prefix and the rest.

    Attributes:
      prefix: the local blocks, in order; the first takes normalised images.
      rest: from the prefix's output, or the images where the prefix is empty, to float32 logits.
    """

    prefix: tuple[LocalBlock, ...]
    rest: Callable[[Float[Array, "B H W I"]], Float32[Array, "B K"]]


def split_local_prefix(model: nnx.Module) -> SplitNetwork:
    """Splits a network in evaluation mode; the prefix of other networks than MobileNetV3 is empty.

    So is that of one with TensorFlow's padding, whose windows are not centred.

    MobileNetV3 is cut before the first block with squeeze-and-excitation, in which all positions
    meet, and again inside that block before the squeeze. In MobileNetV3-Large a position of
    `features.3` depends on 19 × 19 pixels, and one of the depthwise convolution of `features.4`
    on 35 × 35.
    """
    if not isinstance(model, MobileNetV3) or model.padding != "symmetric":
        return SplitNetwork((), model)
    local = list(takewhile(_is_local, model.features))
    blocks, remaining = [_local_block(local)], list(model.features)[len(local) :]
    match remaining:
        case [InvertedResidual(residual=False) as block, *after]:  # a shortcut would cross the cut
            before_squeeze = list(takewhile(_is_local, block.block))
            blocks.append(_local_block(before_squeeze))
            remaining = [*list(block.block)[len(before_squeeze) :], *after]
    return SplitNetwork(tuple(blocks), lambda x: model.classify(_apply(remaining, x)))


def _apply(layers: Iterable[Callable[[Array], Array]], x: Array) -> Array:
    for layer in layers:
        x = layer(x)
    return x


def _is_local(layer: Layer) -> bool:
    if isinstance(layer, InvertedResidual):
        return all(map(_is_local, layer.block))
    return not isinstance(layer, SqueezeExcitation)


def _local_block(layers: Sequence[Layer]) -> LocalBlock:
    return LocalBlock(partial(_apply, layers), tuple(_windows(layers)))


def _windows(layers: Iterable[Layer]) -> Iterator[Window]:
    for layer in layers:
        if isinstance(layer, InvertedResidual):  # a shortcut reaches no further than its block
            yield from _windows(layer.block)
        elif isinstance(layer, ConvNormActivation):
            yield Window(layer.conv.kernel.shape[0], layer.conv.stride)
