"""The time left follows from what finished cells took."""

import pytest

from fakd_jax.study.cells import Cell
from fakd_jax.study.progress import seconds_left, time_left


def test_a_method_takes_what_it_took_and_an_unknown_one_the_mean(make_result):
    finished = [
        make_result("teacher", 0, "1", seconds=100.0),
        make_result("student", 0, "1", seconds=10.0),
        make_result("student", 1, "1", seconds=40.0),
    ]
    remaining = [Cell("official", 2, method) for method in ("teacher", "student", "kd")]
    assert seconds_left(remaining, finished) == pytest.approx(100 + 25 + 50)
    assert seconds_left(remaining, []) is None


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, "unknown"),
        (75.2, "about 75 s left"),
        (744.0, "about 12 min left"),
        (9000.0, "about 2.5 h left"),
    ],
)
def test_time_in_words(seconds, told):
    assert told in time_left(seconds)
