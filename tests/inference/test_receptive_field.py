"""What positions see of an image's segments: by brute force, and the claim that tables rest on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakd_jax.inference.receptive_field import MOST_ROWS, coloured_apart, levels, sights, through
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
def test_a_position_sees_what_lies_in_its_window(
    seed: int, height: int, width: int, window: Window
) -> None:
    seen = np.random.default_rng(seed).random((2, height, width)) < 0.2
    result = through(seen, window)
    reach = window.size // 2
    assert result.shape[1:] == (-(-height // window.stride), -(-width // window.stride))
    for row, column in np.ndindex(*result.shape[1:]):
        y, x = row * window.stride, column * window.stride
        rows = slice(max(0, y - reach), y + reach + 1)
        columns = slice(max(0, x - reach), x + reach + 1)
        np.testing.assert_array_equal(
            result[:, row, column], seen[:, rows, columns].any(axis=(1, 2))
        )


def test_segments_are_seen_one_piece_after_the_other_however_many_they_are() -> None:
    segments = np.arange(100, dtype=np.int32).reshape(10, 10)
    one, two = sights(segments, 100, [[Window(3, 1)], [Window(3, 2)]])
    whole = segments == np.arange(100)[:, None, None]
    np.testing.assert_array_equal(one, through(whole, Window(3, 1)))
    np.testing.assert_array_equal(two, through(one, Window(3, 2)))


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.floats(0.05, 0.9))
def test_segments_seen_together_have_different_colours(
    seed: int, count: int, density: float
) -> None:
    seen = np.random.default_rng(seed).random((count, 4, 4)) < density
    colours = coloured_apart(seen)
    assert colours.shape == (count,)
    for row, column in np.ndindex(4, 4):
        here = colours[seen[:, row, column]]
        assert len(set(here.tolist())) == len(here)


def test_segments_that_nothing_sees_together_share_one_colour() -> None:
    seen = np.eye(5, dtype=bool).reshape(5, 1, 5)
    np.testing.assert_array_equal(coloured_apart(seen), 0)


@given(st.integers(0, 2**32 - 1), st.integers(1, 14))
def test_some_row_of_a_level_shows_each_position_what_a_copy_shows_it(
    seed: int, count: int
) -> None:
    segments = patches(seed, 40, count)
    count = int(segments.max()) + 1
    pieces = [[Window(3, 2), Window(3, 1)], [Window(3, 2)]]
    seen = sights(segments, count, pieces)
    copies = np.random.default_rng(seed).random((5, count)) < 0.5
    for level in levels(segments, count, pieces, copies=2 * MOST_ROWS, batch_size=1):
        sees = seen[level.piece - 1].reshape(count, -1)
        rows = (copies.astype(np.float32) @ level.code).astype(int)
        for copy, row in zip(copies, rows, strict=True):
            there = level.shown[row]  # [P, S]: what each position's row shows
            np.testing.assert_array_equal(there & sees.T, copy & sees.T)


def test_levels_pay_or_are_left_out() -> None:
    strips = np.repeat(np.arange(4, dtype=np.int32), 16)[None].repeat(64, axis=0)
    pieces = [[Window(19, 4)], [Window(5, 2)]]  # 3 of the strips seen at once, then all 4

    def chosen(copies: int, batch_size: int = 1) -> list[tuple[int, int]]:
        found = levels(strips, 4, pieces, copies=copies, batch_size=batch_size)
        return [(level.piece, len(level.shown)) for level in found]

    assert chosen(1) == chosen(15) == []
    assert chosen(16) == chosen(31) == [(1, 8)]
    assert chosen(32) == chosen(1000) == [(1, 8), (2, 16)]
    assert chosen(1000, batch_size=16) == [(2, 16)]  # no fewer than 16 are computed for 8 either
    assert chosen(31, batch_size=16) == []


@pytest.mark.parametrize("copies", [2 * MOST_ROWS, 10**6])
def test_no_level_outgrows_its_memory(copies: int) -> None:
    def rows(side: int) -> list[int]:
        segments = np.arange(side**2, dtype=np.int32).reshape(side, side)
        window = Window(2 * side - 1, 1)  # sees all of them from anywhere
        found = levels(segments, side**2, [[window]], copies=copies, batch_size=32)
        return [len(level.shown) for level in found]

    assert rows(3) == [MOST_ROWS]
    assert rows(4) == []  # would be 2^16
