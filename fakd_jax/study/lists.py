"""Checks of the lists in a study's config."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fakd_jax.errors import UserError


def require_names(key: str, values: Sequence[Any]) -> None:
    """Checks that a list of `config.study` has names alone.

    Raises:
      UserError: it has something else.
    """
    if others := [value for value in values if not isinstance(value, str)]:
        raise UserError(f"config.study.{key} has {others[0]!r}; give names")


def require_distinct(key: str, values: Sequence[Any]) -> None:
    """Checks that a list of `config.study` repeats nothing.

    Raises:
      UserError: it does.
    """
    if len(set(values)) < len(values):
        raise UserError(f"config.study.{key}={tuple(values)} repeats a value; give each once")


def require_some(key: str, values: Sequence[Any]) -> None:
    """Checks that a list of `config.study` has values, each once.

    Raises:
      UserError: it is empty, or repeats a value.
    """
    if not values:
        raise UserError(f"config.study.{key} is empty; give at least one")
    require_distinct(key, values)


def require_known(key: str, values: Sequence[str], known: Sequence[str]) -> None:
    """Checks that a list of `config.study` has known values alone.

    Raises:
      UserError: it has others.
    """
    if unknown := [value for value in values if value not in known]:
        raise UserError(
            f"config.study.{key} has {', '.join(map(repr, unknown))}; known: {', '.join(known)}"
        )
