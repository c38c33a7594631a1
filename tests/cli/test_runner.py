"""What the doors share: exit codes, one-line errors, and the allocator's settings."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fakd_jax.cli import runner as cli
from fakd_jax.errors import UserError

DOOR = """
import os, sys
from fakd_jax.cli.runner import run_command
run_command(lambda argv: print(os.getpid(), os.environ.get("GLIBC_TUNABLES"), argv))
"""


@pytest.fixture
def glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli.os, "confstr", lambda name: "glibc 2.36")
    monkeypatch.setattr(cli.sys, "platform", "linux")


@pytest.mark.usefixtures("glibc")
def test_the_allocator_is_set_beside_what_the_user_set() -> None:
    asked = cli.allocator_environment({"A": "b", "GLIBC_TUNABLES": "glibc.rtld.nns=4"})
    assert asked == {"A": "b", "GLIBC_TUNABLES": f"glibc.rtld.nns=4:{cli.ALLOCATOR_TUNABLES}"}
    assert cli.allocator_environment({}) == {"GLIBC_TUNABLES": cli.ALLOCATOR_TUNABLES}


@pytest.mark.usefixtures("glibc")
def test_the_users_own_choice_stands_and_nothing_is_asked_twice() -> None:
    assert cli.allocator_environment({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"}) is None
    assert cli.allocator_environment(cli.allocator_environment({}) or {}) is None


@pytest.mark.parametrize("libc", ["musl 1.2", None])
def test_nothing_is_asked_of_another_libc(
    monkeypatch: pytest.MonkeyPatch, libc: str | None
) -> None:
    monkeypatch.setattr(cli.os, "confstr", lambda name: libc)
    assert cli.allocator_environment({}) is None


def test_a_door_starts_again_as_the_same_process_with_the_same_arguments(tmp_path: Path) -> None:
    script = tmp_path / "door.py"
    script.write_text(DOOR)
    started = subprocess.Popen(
        [sys.executable, "-X", "utf8", str(script), "--flag", "a b"],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(Path(cli.__file__).parents[1])},
    )
    told, _ = started.communicate()
    expected = (cli.allocator_environment({}) or {}).get("GLIBC_TUNABLES")
    assert told.strip() == f"{started.pid} {expected} ['--flag', 'a b']"


def test_a_users_error_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    def main(argv: list[str]) -> None:
        raise UserError(f"cannot do {argv[0]}; do that")

    with pytest.raises(SystemExit) as ended:
        cli.run_command(main, ["this"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "error: cannot do this; do that\n"


def test_an_interruption_is_exit_code_130(capsys: pytest.CaptureFixture[str]) -> None:
    def main(argv: list[str]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        cli.run_command(main, [])
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted\n"
