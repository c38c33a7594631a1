"""The allocator settings that a command starts under."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fakd_jax.runtime import allocator

COMMAND = """
import os, sys
from fakd_jax.cli.runner import run_command
run_command(lambda argv: print(os.getpid(), os.environ.get("GLIBC_TUNABLES"), argv))
"""


@pytest.fixture
def glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator.os, "confstr", lambda name: "glibc 2.36")
    monkeypatch.setattr(allocator.sys, "platform", "linux")


@pytest.mark.usefixtures("glibc")
def test_the_allocator_is_set_beside_what_the_user_set() -> None:
    asked = allocator.allocator_environment({"A": "b", "GLIBC_TUNABLES": "glibc.rtld.nns=4"})
    assert asked == {"A": "b", "GLIBC_TUNABLES": f"glibc.rtld.nns=4:{allocator.ALLOCATOR_TUNABLES}"}
    assert allocator.allocator_environment({}) == {"GLIBC_TUNABLES": allocator.ALLOCATOR_TUNABLES}


@pytest.mark.usefixtures("glibc")
def test_the_users_own_choice_stands_and_nothing_is_asked_twice() -> None:
    assert allocator.allocator_environment({"GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"}) is None
    assert allocator.allocator_environment(allocator.allocator_environment({}) or {}) is None


@pytest.mark.parametrize("libc", ["musl 1.2", None])
def test_nothing_is_asked_of_another_libc(
    monkeypatch: pytest.MonkeyPatch, libc: str | None
) -> None:
    monkeypatch.setattr(allocator.os, "confstr", lambda name: libc)
    assert allocator.allocator_environment({}) is None


def test_a_command_starts_again_as_the_same_process_with_the_same_arguments(tmp_path: Path) -> None:
    script = tmp_path / "command.py"
    script.write_text(COMMAND)
    started = subprocess.Popen(
        [sys.executable, "-X", "utf8", str(script), "--flag", "a b"],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(Path(allocator.__file__).parents[2])},
    )
    printed, _ = started.communicate()
    expected = (allocator.allocator_environment({}) or {}).get("GLIBC_TUNABLES")
    assert printed.strip() == f"{started.pid} {expected} ['--flag', 'a b']"
