"""Verifies checkpoints and records: `fakd check DIR`."""

from __future__ import annotations

import sys
from pathlib import Path

from fakd_jax.cli.runner import CommandParser, run_command

DAMAGED_EXIT_CODE = 1


def make_parser() -> CommandParser:
    """The flags of `fakd check`."""
    parser = CommandParser(
        prog="fakd check",
        description="Verifies a workdir, a study or a checkpoint: every file and array of every "
        "checkpoint against its SHA-256, and that config.json, split.json, metrics.jsonl and all "
        f"other JSON files can be read. Exits with {DAMAGED_EXIT_CODE} if anything is damaged.",
    )
    parser.add_argument("directory", metavar="DIR", type=Path, help="the folder to verify")
    return parser


def main(argv: list[str]) -> None:
    """Prints a line for every checkpoint and file."""
    flags = make_parser().parse_args(argv)
    from fakd_jax.runs.integrity import check_folder

    checked = damaged = 0
    for finding in check_folder(flags.directory.expanduser().absolute()):
        checked += 1
        damaged += bool(finding.damage)
        verdict = f"DAMAGED: {finding.damage}" if finding.damage else "ok"
        if not finding.verifiable:
            verdict = "cannot be verified: an earlier version wrote it, without digests"
        if finding.intensity:
            verdict += f" (intensity {finding.intensity})"
        print(f"{finding.name}: {verdict}", flush=True)
    print(f"{checked} checked, {damaged or 'none'} damaged")
    if damaged:
        sys.exit(DAMAGED_EXIT_CODE)


if __name__ == "__main__":
    run_command(main)
