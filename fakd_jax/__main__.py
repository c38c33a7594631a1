"""`fakd COMMAND ...`: the same as `python -m fakd_jax.COMMAND ...`."""

from __future__ import annotations

import difflib
import importlib

from fakd_jax.cli.runner import run_command
from fakd_jax.errors import UserError
from fakd_jax.version import __version__

# Command → its module, whose `main(argv)` runs it, and one line of help.
COMMANDS = {
    "train": ("fakd_jax.train", "train a teacher, distil a student, and evaluate both"),
    "evaluate": ("fakd_jax.evaluate", "measure a checkpoint: metrics, calibration, a report"),
    "predict": ("fakd_jax.predict", "predict files, as many as there are, into a table"),
    "explain": ("fakd_jax.explain", "explain decisions, or benchmark the methods that do"),
    "stress": ("fakd_jax.stress.__main__", "measure a checkpoint under shifts of its images"),
    "audit": ("fakd_jax.audit.__main__", "find duplicates and shortcuts in data"),
    "study": ("fakd_jax.study.__main__", "train every method over seeds and splits, and compare"),
    "convert": ("fakd_jax.convert.__main__", "turn PyTorch weights into a checkpoint"),
    "export": ("fakd_jax.export.__main__", "write a checkpoint for other software"),
    "serve": ("fakd_jax.serve", "a web page and JSON for single images"),
    "check": ("fakd_jax.check", "verify the checkpoints and records in a folder"),
}


def usage() -> str:
    """The commands as a table."""
    width = max(map(len, COMMANDS))
    table = "\n".join(f"  {name:{width}}  {text}" for name, (_, text) in COMMANDS.items())
    return (
        f"usage: fakd COMMAND ...\n\ncommands:\n{table}\n\n"
        "`fakd COMMAND --help` describes a command's flags, `fakd --version` prints the version.\n"
        "Research software: not for diagnosis."
    )


def main(argv: list[str]) -> None:
    """Runs the command that `argv` starts with."""
    command, *arguments = argv or ["--help"]
    if command in ("-h", "--help"):
        print(usage())
    elif command == "--version":
        print(f"fakd {__version__}")
    elif command in COMMANDS:
        importlib.import_module(COMMANDS[command][0]).main(arguments)
    else:
        nearest = difflib.get_close_matches(command, COMMANDS, n=1)
        hint = f"did you mean {nearest[0]}?" if nearest else f"known: {', '.join(COMMANDS)}"
        raise UserError(f"there is no command {command!r}; {hint}")


def run() -> None:
    """The console command `fakd`."""
    run_command(main)


if __name__ == "__main__":
    run()
