"""Receptive fields: which segments of an image each position of a feature map depends on.

Where every position depends on few segments of many, few masks cover all that can ever occur at
any position. :func:`lookup_levels` finds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int

from fakd_jax.models.local_prefix import Window

MAX_ROWS = 512
"""Most masks per table: 0.15 GB of `features.3` in float32 at 224 pixels."""

_SEGMENTS_AT_ONCE = 64  # each takes a map of pixels: thousands of segments would fill the memory
# networkx's strategies, and whether to exchange colours before adding one.
_COLOURINGS = (
    ("saturation_largest_first", False),
    ("smallest_last", True),
    ("largest_first", True),
)


@dataclass(frozen=True)
class Level:
    """Masks that cover everything the first local blocks can compute at any position.

    Every segment has a colour, a number from 0, and no two segments that one position depends on
    share theirs. Mask r shows the segments whose colour is a bit of r. So for any mask, a position
    computes what it computes for mask Σ 2^colour, summed over the visible segments that it
    depends on.

    Attributes:
      blocks: number of local blocks.
      visible: which of K segments each of R = 2^(number of colours) masks shows.
      code: 2^colour where a position, row by row, depends on a segment, and 0 elsewhere.
    """

    blocks: int
    visible: Bool[np.ndarray, "R K"]
    code: Float32[np.ndarray, "K P"]


def lookup_levels(
    segments: Int[np.ndarray, "H W"],
    count: int,
    blocks: Sequence[Sequence[Window]],
    *,
    num_masks: int,
    batch_size: int,
) -> list[Level]:
    """The blocks after which a table saves computation.

    A level saves enough if its masks are at most half as many as what is computed from its table:
    the next level's masks, or finally those that will be predicted.

    Args:
      segments: label map with values in [0, K); -1 is always visible.
      count: K.
      blocks: the windows of each local block; the first block takes the image.
      num_masks: roughly how many masks will be predicted.
      batch_size: a level computes at least so many masks.

    Returns:
      The levels in the network's order; often none for few masks.
    """
    limit = min(num_masks // 2, MAX_ROWS)
    if limit < batch_size:
        return []
    levels: list[Level] = []
    fields = receptive_fields(segments, count, blocks)
    for number, depends in reversed(list(enumerate(fields, start=1))):
        if 1 << int(depends.sum(axis=0).max()) > limit:  # at least one colour each
            continue
        colours = colour_segments(depends)
        rows = 1 << (int(colours.max()) + 1)
        computed = max(rows, batch_size)
        if computed <= limit:
            visible = (np.arange(rows)[:, None] >> colours & 1).astype(bool)
            code = np.where(depends, (1 << colours)[:, None, None], 0).astype(np.float32)
            levels.insert(0, Level(number, visible, code.reshape(count, -1)))
            limit = computed // 2
    return levels


def receptive_fields(
    segments: Int[np.ndarray, "H W"], count: int, blocks: Sequence[Sequence[Window]]
) -> list[Bool[np.ndarray, "K h w"]]:
    """Which segments each position of each block's output depends on."""
    fields: list[list[np.ndarray]] = [[] for _ in blocks]
    for first in range(0, count, _SEGMENTS_AT_ONCE):
        some = np.arange(first, min(first + _SEGMENTS_AT_ONCE, count))
        depends = segments == some[:, None, None]
        for field, windows in zip(fields, blocks, strict=True):
            for window in windows:
                depends = propagate(depends, window)
            field.append(depends)
    return [np.concatenate(parts) for parts in fields]


def propagate(depends: Bool[np.ndarray, "K H W"], window: Window) -> Bool[np.ndarray, "K h w"]:
    """Which segments a convolution's output positions depend on, given its input positions'."""
    reach = window.size // 2
    for axis in (1, 2):
        positions = (depends.shape[axis] - 1) // window.stride + 1
        padding = [(0, 0)] * 3
        padding[axis] = (reach, reach)
        padded = np.moveaxis(np.pad(depends, padding), axis, 0)
        last = (positions - 1) * window.stride + 1
        shifted = (padded[tap : tap + last : window.stride] for tap in range(window.size))
        depends = np.moveaxis(np.any(np.stack(list(shifted)), axis=0), 0, axis)
    return depends


def colour_segments(depends: Bool[np.ndarray, "K h w"]) -> Int[np.ndarray, " K"]:
    """A colour per segment; all segments that one position depends on differ in theirs.

    The fewest possible are hard to find (graph colouring), and each one more doubles the masks:
    the best of three greedy colourings is taken.
    """
    import networkx

    flat = depends.reshape(len(depends), -1).astype(np.float32)
    together = flat @ flat.T > 0
    np.fill_diagonal(together, False)
    graph = networkx.from_numpy_array(together)
    found = [
        networkx.greedy_color(graph, strategy=strategy, interchange=interchange)
        for strategy, interchange in _COLOURINGS
    ]
    colours = min(found, key=lambda colours: max(colours.values()))
    return np.array([colours[segment] for segment in range(len(depends))])
