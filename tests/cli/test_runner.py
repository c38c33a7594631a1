"""Exit codes, one-line errors and the spellings of flags."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from fakd_jax.cli import runner as cli
from fakd_jax.cli.runner import CommandParser, exit_code_of, integer, shares
from fakd_jax.errors import UserError


def parser() -> CommandParser:
    parser = CommandParser(prog="fakd x")
    parser.add_argument("--per-class", type=integer(1))
    parser.add_argument("--benchmark", action="store_true")
    parser.add_argument("--reinitialisations", type=integer(0, 9))
    parser.add_argument("--at", type=shares)
    parser.add_argument("--files", nargs="*", default=[])
    return parser


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--per-class", "2"], {"per_class": 2}),
        (["--per_class", "2"], {"per_class": 2}),
        (["--per_class=2"], {"per_class": 2}),
        (["--redraws", "3"], {"reinitialisations": 3}),
        (["--at", "0.5, 0.95"], {"at": (0.5, 0.95)}),
        (["--files", "per_class", "a_b"], {"files": ["per_class", "a_b"]}),
        (["--files=--per_class"], {"files": ["--per_class"]}),
    ],
)
def test_old_spellings_of_flags_are_accepted(argv: list[str], expected: dict[str, object]) -> None:
    assert expected.items() <= vars(parser().parse_args(argv)).items()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--no_such"], "--no_such"),
        (["--per_class", "0"], "at least 1, not 0"),
        (["--per_class", "1.5"], "'1.5' is not an integer"),
        (["--reinitialisations", "10"], "from 0 to 9"),
        (["--at", "0.5,x"], "'0.5,x' is not a list of numbers"),
        (["--at", "0.5,1"], "between 0 and 1, such as 0.95, not 0.5,1"),
        (["--at", "nan"], "between 0 and 1"),
    ],
)
def test_wrong_flags_are_user_errors(argv: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parser().parse_args(argv)


def test_user_error_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
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


def test_a_path_that_is_too_long_is_one_line_and_exit_code_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert exit_code_of(lambda: Path("x" * 300).read_text()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "too long" in line
    with pytest.raises(FileNotFoundError):
        exit_code_of(lambda: Path("missing").read_text())


def test_writes_that_end_after_a_failed_one_are_not_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: shown.append(unraisable))
    cli.run_command(lambda argv: None, [])
    late, other = (
        SimpleNamespace(exc_value=RuntimeError(text)) for text in ("Event loop is closed", "other")
    )
    for unraisable in (late, other):
        sys.unraisablehook(unraisable)
    assert shown == [other]
