"""What every command shares: flags, `--config`, one-line errors and exit codes.

May import :mod:`fakd_jax.runtime` and :mod:`fakd_jax.errors` alone of this package.
"""
