"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Something the user can mend: a wrong path, a bad image, weights that do not fit.

    Its text is one clear line that says what is wrong and what to do. The doors
    (:mod:`fakd_jax.cli.runner`) print it without a traceback and exit with code 2.
    """


class NotFiniteError(UserError):
    """A loss or gradient ceased to be finite: a run like this one cannot end, others may."""
