"""Checks of array annotations at run time: every function of the package that takes or gives one.

`conftest.py` installs them by jaxtyping's import hook, with :func:`check` as the type checker.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype

_ARRAYS = ("jaxtyping.", "Array", "ndarray")
_checked = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int may stand for a float


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """Checks the arguments and results of a function if an array is among them."""
    hints = getattr(function, "__annotations__", {}).values()
    return (
        _checked(function)
        if any(word in repr(hint) for hint in hints for word in _ARRAYS)
        else function
    )
