"""Exceptions that a user is meant to read."""


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
