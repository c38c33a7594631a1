"""Exceptions that a user is meant to read, and what their one line may list."""

from __future__ import annotations

from collections.abc import Sequence


class UserError(Exception):
    """Something the user can mend: a wrong path, a broken image, weights that do not fit.

    Its message is one line that says what is wrong and what to do. Commands print it without a
    traceback and exit with its code (:func:`fakd_jax.cli.runner.run_command`).
    """

    exit_code = 2


class NotFiniteError(UserError):
    """A loss or gradient is no longer finite: this run cannot finish, others may."""


class DamagedError(UserError):
    """A file is not as it was written: it is incomplete, or its content has changed."""


class LostProcessError(UserError):
    """Another process of a job over several processes has ended or cannot be reached."""

    exit_code = 3


def listed(parts: Sequence[str], *, most: int = 10, separator: str = ", ") -> str:
    """The first parts in one line, with the number of the others.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    shown = separator.join(parts[:most])
    return shown if len(parts) <= most else f"{shown} and {len(parts) - most:,} more"
