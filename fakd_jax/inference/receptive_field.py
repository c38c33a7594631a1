"""Which segments of an image each position of a feature map sees, and what follows from it.

Where a position sees a few segments of many, few copies of the image hold all that can ever be
seen there. :func:`levels` finds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int, Int32

from fakd_jax.models.local_prefix import Window

MOST_ROWS = 512
"""Copies whose feature maps are kept at most: for 224 pixels 0.15 GB of `features.3` in float32."""

_SEGMENTS_AT_ONCE = 64  # a map of pixels for each: thousands of segments would fill the memory
# Strategies of networkx, and whether to exchange colours where another one would be needed.
_COLOURINGS = (
    ("saturation_largest_first", False),
    ("smallest_last", True),
    ("largest_first", True),
)


@dataclass(frozen=True)
class Level:
    """Copies of an image that hold all that a local piece can give at any position.

    Copy r shows the segments whose colour, a number from 0, is a bit of r. No two segments that
    one position sees are of one colour. So what a position gives for any other copy it also gives
    for copy Σ 2^colour, summed over the segments that it sees and that the other copy shows.

    Attributes:
      piece: how many local pieces are behind.
      shown: which of the S segments each of R = 2^(number of colours) copies shows.
      code: 2^colour where a position, row by row, sees a segment, and 0 elsewhere.
    """

    piece: int
    shown: Bool[np.ndarray, "R S"]
    code: Float32[np.ndarray, "S P"]


def levels(
    segments: Int32[np.ndarray, "H W"],
    count: int,
    pieces: Sequence[Sequence[Window]],
    *,
    copies: int,
    batch_size: int,
) -> list[Level]:
    """The pieces after which it pays to compute few copies instead of many.

    A level pays if it has at most half as many copies as are computed from its result: those of
    the next level, or in the end those asked for.

    Args:
      segments: the segment of every pixel, in [0, S); -1 where copies never differ.
      count: S.
      pieces: the windows of each local piece, the first on the image's pixels.
      copies: how many copies will be asked for.
      batch_size: of a level's copies no fewer are computed.

    Returns:
      The levels in the network's order; often none where few copies are asked for.
    """
    most = min(copies // 2, MOST_ROWS)
    if most < batch_size:
        return []
    chosen: list[Level] = []
    for piece, seen in reversed(list(enumerate(sights(segments, count, pieces), start=1))):
        if 1 << int(seen.sum(axis=0).max()) > most:  # a colour each, at least
            continue
        colours = coloured_apart(seen)
        rows = 1 << (int(colours.max()) + 1)
        computed = max(rows, batch_size)
        if computed <= most:
            shown = (np.arange(rows)[:, None] >> colours & 1).astype(bool)
            code = np.where(seen, (1 << colours)[:, None, None], 0).astype(np.float32)
            chosen.insert(0, Level(piece, shown, code.reshape(count, -1)))
            most = computed // 2
    return chosen


def sights(
    segments: Int32[np.ndarray, "H W"], count: int, pieces: Sequence[Sequence[Window]]
) -> list[Bool[np.ndarray, "S h w"]]:
    """Which segments each position of each piece's result sees; arguments as of :func:`levels`."""
    found: list[list[Bool[np.ndarray, "s h w"]]] = [[] for _ in pieces]
    for first in range(0, count, _SEGMENTS_AT_ONCE):
        some = np.arange(first, min(first + _SEGMENTS_AT_ONCE, count))
        seen = segments == some[:, None, None]
        for piece, windows in enumerate(pieces):
            for window in windows:
                seen = through(seen, window)
            found[piece].append(seen)
    return [np.concatenate(parts) for parts in found]


def through(seen: Bool[np.ndarray, "S H W"], window: Window) -> Bool[np.ndarray, "S h w"]:
    """Which segments the positions of a convolution's result see, from what its input's see."""
    reach = window.size // 2
    for axis in (1, 2):
        positions = (seen.shape[axis] - 1) // window.stride + 1
        padding = [(0, 0)] * 3
        padding[axis] = (reach, reach)
        padded = np.moveaxis(np.pad(seen, padding), axis, 0)
        last = (positions - 1) * window.stride + 1
        shifted = (padded[tap : tap + last : window.stride] for tap in range(window.size))
        seen = np.moveaxis(np.logical_or.reduce(list(shifted)), 0, axis)
    return seen


def coloured_apart(seen: Bool[np.ndarray, "S h w"]) -> Int[np.ndarray, " S"]:
    """A colour for each segment, such that those which one position sees all differ.

    There are as many at least as one position sees segments. Whether so few do is hard to find out
    (graph colouring); the best of three ways is taken, as each colour more doubles the copies.
    """
    import networkx

    flat = seen.reshape(len(seen), -1).astype(np.float32)
    together = flat @ flat.T > 0
    np.fill_diagonal(together, False)
    graph = networkx.from_numpy_array(together)
    found = [
        networkx.greedy_color(graph, strategy=strategy, interchange=interchange)
        for strategy, interchange in _COLOURINGS
    ]
    colours = min(found, key=lambda colours: max(colours.values()))
    return np.array([colours[segment] for segment in range(len(seen))])
