"""The report of a study: here the estimate of its remaining time."""

import pytest

from fakd_jax.study.cells import Cell
from fakd_jax.study.report import time_left


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (10.0, "about 70 s of work left"),
        (100.0, "about 12 min of work left"),
        (1000.0, "about 1.9 h of work left"),
    ],
)
def test_a_method_takes_what_it_took_and_an_unknown_one_the_mean(make_result, seconds, expected):
    finished = [
        make_result("teacher", 0, "1", seconds=4 * seconds),
        make_result("student", 0, "1", seconds=0.5 * seconds),
        make_result("student", 1, "1", seconds=1.5 * seconds),
    ]
    remaining = [Cell("official", 2, method) for method in ("teacher", "student", "kd")]
    assert time_left(remaining, finished) == expected  # 4 + 1 + 2 times the seconds
    assert "unknown" in time_left(remaining, [])
