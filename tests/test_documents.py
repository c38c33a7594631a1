"""The command lines in the README and the documents are ones that their commands accept."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import pytest
from ml_collections import ConfigDict

from fakd_jax import __main__ as fakd
from fakd_jax.cli.config_flags import config_parser, override, read_config
from fakd_jax.cli.runner import CommandParser
from fakd_jax.configs import robust, robust_study
from fakd_jax.experiment.settings import parse
from fakd_jax.models import registry
from fakd_jax.study.cells import open_study

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = {
    file.relative_to(REPOSITORY).as_posix(): file.read_text(encoding="utf-8")
    for file in (REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md")))
}
SHELL_BLOCK = re.compile(r"^ *```(?:sh|bash)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
PROGRAM = re.compile(r"(?:^|\s)(?:fakd\s+|python -m fakd_jax\.|python (?=scripts/))(\S+)(.*)")
OVERRIDE = re.compile(r"(?<![\w.])config\.[a-z_.]+=[^\s`]+")


def shell_lines(page: str) -> Iterator[str]:
    """The lines of a page's shell blocks: whole, and with the values of their variables."""
    for block in SHELL_BLOCK.findall(page):
        block = block.replace("\\\n", " ")
        values = dict(re.findall(r'^(\w+)="([^"]*)"', block, re.MULTILINE))
        values |= dict(re.findall(r"for (\w+) in ([^\s;]+)", block))
        for line in block.splitlines():
            for name, value in values.items():
                line = line.replace(f"${name}", value)
            yield line


def command_lines() -> Iterator[Any]:
    """Our commands in all pages, and their arguments: optional ones too, of choices the first."""
    for name, page in PAGES.items():
        for line in shell_lines(page):
            chosen = re.sub(r"(?<=\S)\|[^\s\]]+", "", line)
            for part in re.split(r" (?:\||&&?)(?: |$)", chosen):
                if found := PROGRAM.search(part):
                    plain = re.sub(r"[\[\]]|\.\.\.", " ", found[2])
                    words = shlex.split(re.sub(r"\bN\b", "1", plain), comments=True)
                    yield pytest.param(found[1], words, id=f"{name}: {shlex.join(words)}")


def overrides() -> Iterator[Any]:
    """The values of `config.KEY` in all pages, those in the text included."""
    for name, page in PAGES.items():
        for text in dict.fromkeys(OVERRIDE.findall(page)):
            flag = "--" + text.rstrip(""".,"]""")
            if "$" not in flag:
                yield pytest.param(flag, id=f"{name}: {flag}")


class AcceptedError(BaseException):
    """Raised where a command would go on, and caught by none."""


def validate(config: ConfigDict) -> None:
    """Checks the values of a config, as the commands do before they work."""
    if "study" in config:
        open_study(config, Path("study"))
    else:
        parse(config)


@pytest.fixture
def parsing_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands end where their flags are parsed."""
    parse_known_args = CommandParser.parse_known_args

    def stop(self: CommandParser, args: Any = None, namespace: Any = None) -> NoReturn:
        flags, others = parse_known_args(self, args, namespace)
        if getattr(flags, "config", None):
            validate(read_config(self, flags, others)[0])
        else:
            assert not others
        raise AcceptedError

    monkeypatch.setattr(CommandParser, "parse_known_args", stop)


@pytest.fixture
def own_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The module of one's own that the documents show lies in the working directory."""
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"  # my_networks.py\n(.*?)  ```", PAGES["docs/how-to/extend.md"], re.S)
    Path("my_networks.py").write_text(re.sub("^  ", "", code, flags=re.MULTILINE))
    Path("configs").symlink_to(REPOSITORY / "configs")
    monkeypatch.setattr(registry, "_FACTORIES", dict(registry._FACTORIES))
    registry._FACTORIES.pop("resnet26", None)  # of an example in a docstring
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setitem(sys.modules, "my_networks", ModuleType("my_networks"))
    del sys.modules["my_networks"]  # and what is imported goes again


@pytest.mark.usefixtures("parsing_only", "own_networks")
@pytest.mark.parametrize(("program", "arguments"), list(command_lines()))
def test_a_command_line_is_accepted(
    program: str,
    arguments: list[str],
    load_script: Callable[[str], ModuleType],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if program.endswith(".py"):
        monkeypatch.syspath_prepend(str(REPOSITORY / "scripts"))
        run = load_script(program.removeprefix("scripts/").removesuffix(".py")).main
    else:
        run = lambda arguments: fakd.main([program, *arguments])  # noqa: E731
    with pytest.raises(AcceptedError):
        run(arguments)


@pytest.mark.parametrize("flag", list(overrides()))
def test_a_value_of_a_key_is_accepted(flag: str) -> None:
    of_study = flag.startswith(("--config.study.", "--config.base.", "--config.changes."))
    config = (robust_study if of_study else robust).get_config()
    override(config_parser("program", ""), config, [flag])
    if of_study:
        open_study(config, Path("study"))


def test_command_lines_are_found_in_the_pages() -> None:
    found = {case.values[0] for case in command_lines()}
    assert found >= {*fakd.COMMANDS} - {"check"}
    assert sum(name.endswith(".py") for name in found) > 5
