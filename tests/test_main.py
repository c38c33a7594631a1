"""`fakd` and `python -m fakd_jax`: the table of commands."""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import pytest

from fakd_jax.__main__ import COMMANDS, main
from fakd_jax.errors import UserError
from fakd_jax.version import __version__


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_prints_its_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: fakd {name}" in capsys.readouterr().out
    assert importlib.util.find_spec(f"fakd_jax.{name}") is not None


@pytest.mark.parametrize("argv", [[], ["--help"]])
def test_all_commands_are_listed(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    main(argv)
    printed = capsys.readouterr().out
    assert all(f"  {name}" in printed for name in COMMANDS)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--version"])
    assert capsys.readouterr().out == f"fakd {__version__}\n"


def test_an_unknown_command_names_the_nearest() -> None:
    with pytest.raises(UserError, match="did you mean explain"):
        main(["explian"])


def test_python_m_ends_with_exit_code_2_and_imports_no_jax() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "fakd_jax", "qqq"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("error: there is no command 'qqq'")
    assert " jax" not in done.stderr
