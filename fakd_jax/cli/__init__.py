"""What every command shares: exit codes, one-line errors, flags and config files.

Holds the runner and the parsing of `--config`.
May import errors alone of this package.
"""
