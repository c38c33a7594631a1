"""The script is the command `fakd convert`."""

from __future__ import annotations

from fakd_jax.convert import __main__ as command


def test_it_runs_the_command(load_script) -> None:
    assert load_script("convert_weights").main is command.main
