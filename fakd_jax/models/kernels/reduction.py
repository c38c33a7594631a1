"""Several sums per channel in one pass over the data.

XLA on CPU reduces a whole map one channel and one number at a time, without vector instructions.
It does vectorise over the channels when the reduced axis is short. So on CPU a row is cut into
short segments, which are summed in one pass, and then their sums are. Other platforms reduce at
once.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

# Sums per loop. More do not fit into the registers: the 25 sums of a 5×5 kernel's gradient take
# half the time in three loops.
_SUMS_PER_LOOP = 10
# Positions in a segment, for the two or three sums of a batch norm and for a kernel's many.
_LONG_SEGMENT, _FEW_SUMS = 14, 3
_SHORT_SEGMENT = 8


def sum_together(operands: Sequence[Float[Array, "B H W C"]]) -> list[Float[Array, " C"]]:
    """Sums arrays of one shape and dtype over batch, height and width.

    On CPU, the data that the operands are computed from is read once for every ten of them. The
    batch is not reduced in that pass, so threads and a device mesh can share the work.
    """
    sums = lax.platform_dependent(*operands, cpu=_sum_by_segments, default=_sum_at_once)
    return list(sums)


def _sum_at_once(*operands: Array) -> tuple[Array, ...]:
    return tuple(operand.sum(axis=(0, 1, 2)) for operand in operands)


def _sum_by_segments(*operands: Array) -> tuple[Array, ...]:
    limit = _LONG_SEGMENT if len(operands) <= _FEW_SUMS else _SHORT_SEGMENT
    batch, height, width, channels = operands[0].shape
    segment = _largest_divisor(width, limit)
    shape = (batch, height, width // segment, segment, channels)
    sums: list[Array] = []
    for first in range(0, len(operands), _SUMS_PER_LOOP):
        segments = [x.reshape(shape) for x in operands[first : first + _SUMS_PER_LOOP]]
        zeros = [jnp.zeros((), x.dtype) for x in segments]
        partial_sums = lax.reduce(segments, zeros, _add, (3,))
        sums += [partial_sum.sum(axis=(0, 1, 2)) for partial_sum in partial_sums]
    return tuple(sums)


def _add(left: list[Array], right: list[Array]) -> list[Array]:
    return [a + b for a, b in zip(left, right, strict=True)]


def _largest_divisor(number: int, limit: int) -> int:
    """The largest divisor up to a limit, or the number itself if that is too small (a prime)."""
    divisor = max(d for d in range(1, min(number, limit) + 1) if number % d == 0)
    return divisor if divisor >= 4 else number
