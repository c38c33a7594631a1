from __future__ import annotations

from typing import Any

import pytest

from fakd_jax.runtime.json_text import differences, parse_json, require_shape


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, b"\xff", "1" * 5000])
def test_whatever_is_wrong_with_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        parse_json(text)


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (1, float),
        (None, (str, None)),
        ({"a": 1, "more": 2}, {"a": int}),
        ({}, {"a?": int}),
        ({"x": [1]}, {str: [int]}),
    ],
)
def test_values_of_a_shape_pass(value: Any, shape: Any) -> None:
    require_shape(value, shape)


@pytest.mark.parametrize(
    ("value", "shape", "message"),
    [
        (True, int, "the content is True"),
        (1.0, int, "the content is 1.0"),
        (0, bool, "the content is 0"),
        ({}, {"a": int}, "the content lacks a"),
        ({"a": "x"}, {"a?": int}, "a is 'x'"),
        ({"a": [1, "x"]}, {"a": ([int], None)}, r"a\[1\] is 'x'"),
        ({"a": {"b": None}}, {"a": {str: int}}, r"a\.b is None"),
        ([], {}, r"the content is \[\]"),
    ],
)
def test_the_first_part_of_another_type_is_named(value: Any, shape: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        require_shape(value, shape)


def test_differences_name_the_key_and_both_values() -> None:
    old = {"same": 1, "config": {"top": 3, "seed": 0}, "gone": "x"}
    new = {"same": 1, "config": {"top": 5, "seed": 0}, "new": None}
    assert differences(old, new) == ["config.top: 3, now 5", 'gone: "x", now null']
    assert differences(new, new) == []
