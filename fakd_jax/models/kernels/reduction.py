"""Several sums a channel in one pass over the data, written the way each platform runs it fast.

XLA on CPU compiles a reduction to a loop that follows one channel through all its positions: one
number at a time, however wide the processor's vectors. Over a handful of neighbouring positions,
though, it unrolls that loop, and what is left runs along the channels, vector by vector. So the
sums are taken in two stages: in one pass the sums of pieces of a row, then the sum of those, which
are few. Other platforms reduce at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

# So many sums are taken in one loop: with more, their vectors no longer fit into the registers,
# and reading the data again is faster (25 sums of a 5×5 kernel's gradient in three loops: twice).
_TOGETHER = 10
# Positions in a piece, for the two or three sums of a batch norm and for the many of a kernel.
_LONG_PIECE, _FEW = 14, 3
_SHORT_PIECE = 8


def sum_together(operands: Sequence[Float[Array, "B H W C"]]) -> list[Float[Array, " C"]]:
    """Sums several arrays of one shape over batch, height and width.

    On CPU, whatever the operands are computed from is read once for every ten of them. The batch
    is not reduced in that pass, so that threads and a mesh of devices divide the work.

    Args:
      operands: Arrays of one shape and dtype.

    Returns:
      As many vectors of that dtype.
    """
    sums = lax.platform_dependent(*operands, cpu=_sum_in_pieces, default=_sum_at_once)
    return list(sums)


def _sum_at_once(*operands: Array) -> tuple[Array, ...]:
    return tuple(operand.sum(axis=(0, 1, 2)) for operand in operands)


def _sum_in_pieces(*operands: Array) -> tuple[Array, ...]:
    limit = _LONG_PIECE if len(operands) <= _FEW else _SHORT_PIECE
    piece = _largest_divisor(operands[0].shape[2], limit)
    together = [operands[i : i + _TOGETHER] for i in range(0, len(operands), _TOGETHER)]
    return tuple(total for group in together for total in _sum_pieces(group, piece))


def _sum_pieces(operands: Sequence[Array], piece: int) -> list[Array]:
    """One variadic `lax.reduce` over the positions of a piece, then plain sums over the pieces."""
    batch, height, width, channels = operands[0].shape
    shape = (batch, height, width // piece, piece, channels)
    pieces = [operand.reshape(shape) for operand in operands]
    zeros = [jnp.zeros((), operand.dtype) for operand in operands]
    partial_sums = lax.reduce(pieces, zeros, _add, (3,))
    return [partial_sum.sum(axis=(0, 1, 2)) for partial_sum in partial_sums]


def _add(left: list[Array], right: list[Array]) -> list[Array]:
    return [a + b for a, b in zip(left, right, strict=True)]


def _largest_divisor(number: int, limit: int) -> int:
    """The largest divisor up to a limit, or the number itself if that is too small (a prime)."""
    divisor = max(d for d in range(1, min(number, limit) + 1) if number % d == 0)
    return divisor if divisor >= 4 else number
