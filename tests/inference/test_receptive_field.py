"""Receptive fields, by brute force, and the claim that lookup tables rest on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakd_jax.inference.receptive_field import (
    MAX_ROWS,
    colour_segments,
    lookup_levels,
    propagate,
    receptive_fields,
)
from fakd_jax.models.local_prefix import Window

WINDOWS = st.builds(Window, st.sampled_from([1, 3, 5, 7]), st.integers(1, 3))


def patches(seed: int, side: int, count: int) -> np.ndarray:
    """Segments around random points, with a background."""
    generator = np.random.default_rng(seed)
    points = generator.random((count, 2)) * side
    rows, columns = np.mgrid[:side, :side]
    distance = (rows - points[:, :1, None]) ** 2 + (columns - points[:, 1:, None]) ** 2
    segments = distance.argmin(axis=0).astype(np.int32)
    segments[: side // 8] = -1
    return np.where(segments < 0, -1, np.searchsorted(np.unique(segments[segments >= 0]), segments))


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12), WINDOWS)
def test_a_position_depends_on_its_window(
    seed: int, height: int, width: int, window: Window
) -> None:
    depends = np.random.default_rng(seed).random((2, height, width)) < 0.2
    result = propagate(depends, window)
    reach = window.size // 2
    assert result.shape[1:] == (-(-height // window.stride), -(-width // window.stride))
    for row, column in np.ndindex(*result.shape[1:]):
        y, x = row * window.stride, column * window.stride
        rows = slice(max(0, y - reach), y + reach + 1)
        columns = slice(max(0, x - reach), x + reach + 1)
        np.testing.assert_array_equal(
            result[:, row, column], depends[:, rows, columns].any(axis=(1, 2))
        )


def test_fields_grow_block_by_block_for_any_number_of_segments() -> None:
    segments = np.arange(100, dtype=np.int32).reshape(10, 10)
    one, two = receptive_fields(segments, 100, [[Window(3, 1)], [Window(3, 2)]])
    whole = segments == np.arange(100)[:, None, None]
    np.testing.assert_array_equal(one, propagate(whole, Window(3, 1)))
    np.testing.assert_array_equal(two, propagate(one, Window(3, 2)))


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.floats(0.05, 0.9))
def test_segments_share_a_colour_only_without_a_common_receptive_field(
    seed: int, count: int, density: float
) -> None:
    depends = np.random.default_rng(seed).random((count, 4, 4)) < density
    colours = colour_segments(depends)
    assert colours.shape == (count,)
    for row, column in np.ndindex(4, 4):
        here = colours[depends[:, row, column]]
        assert len(set(here.tolist())) == len(here)
    np.testing.assert_array_equal(colour_segments(np.eye(5, dtype=bool).reshape(5, 1, 5)), 0)


@given(st.integers(0, 2**32 - 1), st.integers(1, 14))
def test_a_level_has_a_row_for_all_that_a_mask_shows_a_position(seed: int, count: int) -> None:
    segments = patches(seed, 40, count)
    count = int(segments.max()) + 1
    blocks = [[Window(3, 2), Window(3, 1)], [Window(3, 2)]]
    depends = receptive_fields(segments, count, blocks)
    masks = np.random.default_rng(seed).random((5, count)) < 0.5
    for level in lookup_levels(segments, count, blocks, num_masks=2 * MAX_ROWS, batch_size=1):
        relevant = depends[level.blocks - 1].reshape(count, -1)
        rows = (masks.astype(np.float32) @ level.code).astype(int)
        for mask, row in zip(masks, rows, strict=True):
            there = level.visible[row]  # [P, S]: what each position's row shows
            np.testing.assert_array_equal(there & relevant.T, mask & relevant.T)


def test_only_levels_that_save_computation_are_kept() -> None:
    strips = np.repeat(np.arange(4, dtype=np.int32), 16)[None].repeat(64, axis=0)
    blocks = [[Window(19, 4)], [Window(5, 2)]]  # 3 strips in one field, then all 4

    def chosen(masks: int, batch_size: int = 1) -> list[tuple[int, int]]:
        found = lookup_levels(strips, 4, blocks, num_masks=masks, batch_size=batch_size)
        return [(level.blocks, len(level.visible)) for level in found]

    assert chosen(1) == chosen(15) == []
    assert chosen(16) == chosen(31) == [(1, 8)]
    assert chosen(32) == chosen(1000) == [(1, 8), (2, 16)]
    assert chosen(1000, batch_size=16) == [(2, 16)]  # no fewer than 16 are computed for 8 either
    assert chosen(31, batch_size=16) == []


@pytest.mark.parametrize("masks", [2 * MAX_ROWS, 10**6])
def test_no_level_outgrows_its_memory(masks: int) -> None:
    def rows(side: int) -> list[int]:
        segments = np.arange(side**2, dtype=np.int32).reshape(side, side)
        window = Window(2 * side - 1, 1)  # all of them from anywhere
        found = lookup_levels(segments, side**2, [[window]], num_masks=masks, batch_size=32)
        return [len(level.visible) for level in found]

    assert rows(3) == [MAX_ROWS]
    assert rows(4) == []  # would be 2^16
