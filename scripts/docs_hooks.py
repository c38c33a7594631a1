"""MkDocs hooks: the command reference is the commands' own help."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

from fakd_jax.__main__ import COMMANDS


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replaces the line `@HELP@` of a page by the help text of every command."""
    if "\n@HELP@\n" not in markdown:
        return markdown
    sections = [f"## fakd {name}\n\n```\n{_help(name)}```\n" for name in COMMANDS]
    return markdown.replace("@HELP@", "\n".join(sections))


def _help(command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "fakd_jax", command, "--help"],
        env=os.environ | {"COLUMNS": "76"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
