"""`--import`: modules of one's own, found or explained."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakd_jax.cli.imports import import_modules
from fakd_jax.cli.runner import CommandParser
from fakd_jax.errors import UserError


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield
    for name in ("own_marker", "own_broken"):
        sys.modules.pop(name, None)


def parse(*argv: str) -> CommandParser:
    parser = CommandParser(prog="fakd x")
    assert vars(parser.parse_args([*argv])) == {}  # nothing that a command would pass on
    return parser


def test_a_module_of_the_working_directory_runs_before_the_command() -> None:
    Path("own_marker.py").write_text("DONE = True")
    assert parse("--import", "own_marker", "--import=json").modules == ("own_marker", "json")
    assert sys.modules["own_marker"].DONE


def test_no_module_changes_nothing(tmp_path: Path) -> None:
    assert parse().modules == ()
    assert str(tmp_path) not in sys.path


@pytest.mark.parametrize(
    ("name", "code", "problem"),
    [
        ("own_missing", None, "ModuleNotFoundError.*own_missing"),
        ("own_broken", "1 / 0", "ZeroDivisionError"),
        ("own_broken", "raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_one_that_fails_is_explained_in_one_line(name: str, code: str | None, problem: str) -> None:
    if code is not None:
        Path(f"{name}.py").write_text(code)
    with pytest.raises(UserError, match=f"--import {name} fails.*{problem}") as caught:
        parse("--import", name)
    assert "\n" not in str(caught.value)


def test_a_module_of_another_folder_is_found_there(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "own_marker.py").write_text("DONE = True")
    import_modules(["own_marker"], str(tmp_path / "elsewhere"))
    assert sys.modules["own_marker"].DONE
