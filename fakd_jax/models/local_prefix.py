"""A network cut in pieces, the first of which see only a window of their input at each position."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from flax import nnx
from jaxtyping import Array, Float, Float32

from fakd_jax.models.layers import Conv, Depthwise, Pointwise


@dataclass(frozen=True)
class Window:
    """What one position of a convolution's result sees: `size` × `size` positions of its input.

    Position i of the result is centred on position i · `stride` of the input, as of all
    convolutions here, which pad by (size - 1) / 2 on either side.

    Attributes:
      size: odd.
      stride: at least 1.
    """

    size: int
    stride: int


@dataclass(frozen=True)
class LocalPiece:
    """Some layers, one after the other, none of which looks beyond a window.

    Attributes:
      run: from the former piece's result (the first: normalised images) to its own,
        both ``[B, h, w, C]``; what it gives at a position depends on the windows alone.
      windows: those of the convolutions in it, in their order.
    """

    run: Callable[[Float[Array, "B H W I"]], Float[Array, "B h w O"]]
    windows: tuple[Window, ...]


@dataclass(frozen=True)
class Pieces:
    """A whole network: first the local pieces, one on the other's result, and then the rest.

    Attributes:
      local: none, for a network about which nothing is said.
      rest: from the last local piece's result, or else the images, to float32 logits ``[B, K]``.
    """

    local: tuple[LocalPiece, ...]
    rest: Callable[[Float[Array, "B H W I"]], Float32[Array, "B K"]]


@runtime_checkable
class InPieces(Protocol):
    """A network that tells its pieces."""

    def pieces(self) -> Pieces:
        """Cuts the network, which must be in evaluation mode."""


def pieces_of(model: nnx.Module) -> Pieces:
    """The network's own pieces; of one that tells none, the whole network as the rest."""
    return model.pieces() if isinstance(model, InPieces) else Pieces((), model)


def window_of(conv: Conv | Depthwise | Pointwise) -> Window:
    """What a position of the convolution's result sees."""
    return Window(conv.kernel.shape[0], conv.stride)
