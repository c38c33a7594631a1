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


OURS, OTHER = allocator.ALLOCATOR_TUNABLES, "glibc.rtld.nns=4"


@pytest.mark.parametrize(
    ("libc", "before", "after"),
    [
        ("glibc 2.36", None, OURS),
        ("glibc 2.36", OTHER, f"{OTHER}:{OURS}"),
        ("glibc 2.36", "glibc.malloc.hugetlb=0", None),
        ("glibc 2.36", OURS, None),
        ("musl 1.2", None, None),
        (None, None, None),
    ],
)
def test_glibc_is_configured_unless_the_user_has_done_so(
    libc: str | None, before: str | None, after: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(allocator.os, "confstr", lambda name: libc)
    monkeypatch.setattr(allocator.sys, "platform", "linux")
    environment = {"A": "b"} | ({"GLIBC_TUNABLES": before} if before else {})
    expected = {"A": "b", "GLIBC_TUNABLES": after} if after else None
    assert allocator.allocator_environment(environment) == expected


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
