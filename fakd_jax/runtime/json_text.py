"""JSON from files that may be damaged or of other settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """Parses JSON; whatever is wrong with it is a ValueError.

    Raises:
      ValueError: it is not JSON, not UTF-8, or nested more deeply than Python can read.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def require_shape(value: Any, shape: Any, name: str = "the content") -> None:
    """Checks the types in a JSON value.

    Args:
      value: the value.
      shape: a type (`float` accepts integers, nothing but `bool` accepts booleans); a tuple of
        possible shapes; `[shape]` for a list of any length; `{str: shape}` for an object with any
        keys; or `{"key": shape, "other?": shape}` for one with these keys, perhaps without those
        that end in a question mark, and perhaps with more.
      name: of the value, in errors.

    Raises:
      ValueError: names the first part that has another type or is missing.

    >>> require_shape({"a": [1, 2.5], "b": None}, {"a": [float], "b": (str, None), "c?": str})
    """
    if isinstance(shape, tuple):
        if not any(_fits(value, each) for each in shape):
            raise ValueError(f"{name} is {_shown(value)}")
        shape = next(each for each in shape if _fits(value, each))
    elif not _fits(value, shape):
        raise ValueError(f"{name} is {_shown(value)}")
    if isinstance(shape, list):
        for number, part in enumerate(value):
            require_shape(part, shape[0], f"{name}[{number}]")
    elif isinstance(shape, dict) and str in shape:
        for key, part in value.items():
            require_shape(part, shape[str], f"{name}.{key}")
    elif isinstance(shape, dict):
        for key, part in shape.items():
            plain = key.removesuffix("?")
            if plain in value:
                require_shape(value[plain], part, plain)
            elif plain == key:
                raise ValueError(f"{name} lacks {key}")


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """What differs between two nested mappings of JSON-able values, e.g. `config.top: 3, now 5`."""
    found = []
    for key in {**old, **new}:
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            found += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            found.append(f"{prefix}{key}: {json.dumps(before)}, now {json.dumps(after)}")
    return found


def _fits(value: Any, shape: Any) -> bool:
    """Whether a value has the type of a shape, whatever is in it."""
    if shape is None:
        return value is None
    if isinstance(shape, list | dict):
        return isinstance(value, type(shape))
    if isinstance(value, bool):
        return shape is bool
    return isinstance(value, (int, float) if shape is float else shape)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
