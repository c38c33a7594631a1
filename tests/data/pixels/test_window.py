from __future__ import annotations

import json
import math

import numpy as np
import pytest

from fakd_jax.data.pixels.window import (
    DEFAULT_RULES,
    FULL_RANGE,
    LevelRange,
    PixelRules,
    Window,
    choose_window,
    is_window,
    parse_window,
)
from fakd_jax.errors import UserError


@pytest.mark.parametrize(
    ("largest", "high"),
    [
        (0, 255),
        (255, 255),
        (256, 1_023),
        (2_866, 4_095),
        (4_095, 4_095),
        (4_096, 16_383),
        (16_384, 65_535),
        (65_535, 65_535),
    ],
)
def test_the_largest_level_of_all_chooses_the_bits(largest: int, high: int) -> None:
    ranges = [LevelRange(0, largest / 4, True), LevelRange(3, largest, True)]
    assert choose_window(ranges) == Window("levels", 0, high)


@pytest.mark.parametrize(
    "odd", [LevelRange(0, 65_536, True), LevelRange(0, 9, False), LevelRange(-1, 9, False)]
)
def test_other_units_have_percentiles(odd: LevelRange) -> None:
    assert choose_window([LevelRange(0, 4_095, True), odd]) == Window("percentiles", 0.5, 99.5)


def test_levels_are_clipped_and_rounded_to_the_nearest() -> None:
    levels = np.array([[-50, 0, 1, 8, 9, 4_095, 9_999]])
    eight = Window("levels", 0, 4_095).eight_bits(levels)
    assert eight.tolist() == [[0, 0, 0, 0, 1, 255, 255]]
    assert Window("levels", -1, 1).eight_bits(np.array([[0.01]])).tolist() == [[129]]


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("auto", None),
        ("percentiles", Window("percentiles", 0.5, 99.5, own_first=False)),
        ("-100,240.5", Window("levels", -100, 240.5, own_first=False)),
    ],
)
def test_windows_are_parsed(text: str, window: Window | None) -> None:
    assert parse_window(text) == window
    assert is_window(text)


@pytest.mark.parametrize("text", ["", "bits", "1", "1,2,3", "5,5", "9,1", "nan,1", "0,inf"])
def test_impossible_windows_are_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse_window(text)
    assert not is_window(text)


@pytest.mark.parametrize("rules", [DEFAULT_RULES, PixelRules(FULL_RANGE, "sagittal")])
def test_rules_survive_json(rules: PixelRules) -> None:
    assert PixelRules.from_dict(json.loads(json.dumps(rules.to_dict()))) == rules


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"window": None},
        {"window": None, "slice_axis": "oblique"},
        {"window": {"rule": "levels", "low": "0", "high": 1}, "slice_axis": "axial"},
        {"window": {"rule": "levels", "low": 0, "high": math.nan}, "slice_axis": "axial"},
        {"window": {"rule": "gamma", "low": 0, "high": 1}, "slice_axis": "axial"},
        {"window": {"rule": "percentiles", "low": 5, "high": 101}, "slice_axis": "axial"},
    ],
)
def test_damaged_rules_are_refused(values: dict) -> None:
    with pytest.raises(UserError):
        PixelRules.from_dict(values)
