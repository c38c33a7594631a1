"""Command lines of every command, with data and checkpoints that are missing or damaged."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fakd_jax.__main__ import COMMANDS, main
from fakd_jax.cli.runner import exit_code_of
from fuzzing.configs import KEYS, TEXTS
from fuzzing.expected import scratch

# Flags that wait for other processes or machines, or download.
_NOT_TRIED = {"--coordinator-address", "--num-processes", "--process-id", "--distributed", "--help"}
_PATHS = ("missing", "empty", "file", "damaged", "damaged/metadata.json", "é", "x" * 300, "file/x")
# Last on each line: nothing there can be trained, explained, audited or converted.
_ENDS = {
    "train": ["--config.data.source=missing"],
    "study": ["--config.base.data.source=missing"],
    "evaluate": ["--data=missing"],
    "audit": ["--data=missing"],
    "explain": ["--checkpoint=missing"],
    "predict": ["--checkpoint=missing"],
    "stress": ["--data=missing"],
    "convert": ["--input=missing"],
    "export": ["--checkpoint=missing"],
    "serve": ["--checkpoint=missing"],
    "check": [],
}


@functools.cache
def flags_of(command: str) -> tuple[str, ...]:
    """The flags in a command's help."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main([command, "--help"])
    found = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", printed.getvalue()))
    return tuple(sorted(found - _NOT_TRIED)) or ("--none",)


def run(argv: list[str]) -> int:
    """Runs a command line in an empty folder, and returns its exit code."""
    before = Path.cwd()
    with scratch() as folder:
        (folder / "empty").mkdir()
        (folder / "damaged").mkdir()
        (folder / "damaged" / "metadata.json").write_text("[1")
        (folder / "file").write_bytes(b"PK\3\4")
        os.chdir(folder)
        quiet = io.TextIOWrapper(io.BytesIO(), "utf-8", "strict")
        loud = io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace")
        try:
            with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(loud):
                try:
                    code = exit_code_of(lambda: main(argv))
                except SystemExit as ended:
                    code = 0 if ended.code is None else ended.code
        finally:
            os.chdir(before)
    assert code in (0, 1, 2), f"exit code {code!r} of {argv}"
    return code


@st.composite
def command_lines(draw: Callable[..., Any]) -> list[str]:
    """A command, some of its flags with values, and an end that it cannot work with."""
    command = draw(st.sampled_from(sorted(COMMANDS)))
    argument = st.characters(blacklist_characters="\0", blacklist_categories=())
    value = st.sampled_from((*_PATHS, *TEXTS)) | st.text(argument, max_size=6)
    key = st.sampled_from([f"--config.{key}" for key in KEYS] if command == "train" else ["--x"])
    flag = st.sampled_from(flags_of(command)) | key
    named = st.tuples(flag, value).map(lambda pair: f"{pair[0]}={pair[1]}")
    config = {"train": ["--config=fakd:phantom"], "study": ["--config=study"]}.get(command, [])
    middle = draw(st.lists(named | named | flag | value, max_size=4))
    return [command, *config, *middle, *_ENDS[command]]


@settings(database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(command_lines())
def _property(argv: list[str]) -> None:
    run(argv)


def seeds() -> list[bytes]:
    """Bytes of which Hypothesis makes its choices."""
    for command in COMMANDS:
        importlib.import_module(COMMANDS[command][0])
    check(bytes(64))  # Hypothesis draws up its tables of characters
    return [bytes((3 * number * k) % 256 for k in range(96)) for number in range(20)]


def check(data: bytes) -> None:
    """Lets Hypothesis make a command line of these bytes, and runs it."""
    _property.hypothesis.fuzz_one_input(data)
