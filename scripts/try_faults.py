"""Breaks a tiny run in hundreds of ways and compares what it leaves with an undisturbed run's.

    python scripts/try_faults.py --faults 300 --json faults.json

Each fault strikes a run of its own, which saves after every step: of a teacher or, with `--config
fakd`, of a teacher and its student. The run is repeated until it finishes. It survives if split,
losses, weights and metrics then equal the undisturbed run's bit for bit. It may also stop: with
exit code 2, one line that says why and no traceback, and the checkpoints that it had are still
there and intact once the cause is mended; then it must finish with equal results, too. Everything
else is a failure, and the exit code is 1.

Processes are forked from one that has imported everything but has not started JAX. What strikes
while a file is written does so at a numbered sync, rename or removal, as drawn from the seed. A
random time is one of the undisturbed run, as seconds after one of these.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fakd_jax.cli.runner import CommandParser, integer, run_command
from fakd_jax.errors import UserError
from fakd_jax.runtime.atomic_files import write_whole
from scripts.faults.faults import FAULTS, fill_disk
from scripts.faults.lab import Lab


@dataclasses.dataclass(frozen=True)
class Trial:
    """A fault that was tried: `result` is "equal", "stopped", "failed" or "missed"."""

    fault: str
    result: str
    detail: str
    seconds: float


def _mount_small_disk(folder: Path) -> Path | None:
    """A disk that can be filled; None without the right to mount one."""
    disk = folder / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(disk)]
    if shutil.which("mount") and not subprocess.run(command, capture_output=True).returncode:
        return disk
    print("full disk: skipped, because it takes a tmpfs and only root may mount one")
    return None


def try_faults(lab: Lab, faults: int, seed: int, only: str) -> Iterator[Trial]:
    """Tries about `faults` faults, at least one of each kind; names kinds that never struck."""
    for number, (name, (fault, share)) in enumerate(FAULTS.items()):
        if only not in name or (fault is fill_disk and lab.disk is None):
            continue
        total = sum(share for name, (_, share) in FAULTS.items() if only in name)
        missing = wanted = max(1, round(faults * share / total))
        draw = np.random.default_rng([seed, number])
        for _ in range(3 * wanted):  # some come after the run's end
            started = time.monotonic()
            result, detail = fault(lab, draw)
            yield Trial(name, result, detail, time.monotonic() - started)
            missing -= result != "missed"
            if not missing:
                break
        if missing == wanted:
            print(f"MISSED: {name}: no attempt struck; the last: {detail}", flush=True)


def table(trials: Sequence[Trial]) -> str:
    """The results by fault."""
    counts: dict[str, collections.Counter[str]] = {}
    for trial in trials:
        counts.setdefault(trial.fault, collections.Counter())[trial.result] += 1
    counts["all"] = sum(counts.values(), collections.Counter())
    lines = [f"{'fault':32} {'tried':>6} {'equal':>6} {'stopped':>8} {'failed':>7}"]
    for fault, by in counts.items():
        tried = by["equal"] + by["stopped"] + by["failed"]
        row = f"{fault:32} {tried:6} {by['equal']:6} {by['stopped']:8} {by['failed']:7}"
        lines.append(row)
    return "\n".join(lines)


def main(argv: list[str]) -> None:
    """Prints the table and writes every trial as JSON."""
    parser = CommandParser(
        prog="try_faults.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--faults", type=integer(1), default=300, help="how many (300)")
    parser.add_argument(
        "--config", choices=("teacher", "fakd"), default="teacher", help="of the run (teacher)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of moments and places (0)")
    parser.add_argument("--only", default="", metavar="WORDS", help="faults with these in the name")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write every trial")
    flags = parser.parse_args(argv)
    if not any(flags.only in name for name in FAULTS):
        raise UserError(f"--only={flags.only} is in no fault's name: {', '.join(FAULTS)}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        disk = _mount_small_disk(folder)
        try:
            lab = Lab(folder, config=flags.config, disk=disk)
            print(f"undisturbed: {lab.seconds:.1f} s, {lab.writes} writes", flush=True)
            trials: list[Trial] = []
            for trial in try_faults(lab, flags.faults, flags.seed, flags.only):
                trials.append(trial)
                detail = f": {trial.detail}" if trial.result == "failed" else ""
                print(f"{len(trials)}. {trial.fault}: {trial.result}{detail}", flush=True)
                if flags.json:
                    rows = [dataclasses.asdict(trial) for trial in trials]
                    write_whole(flags.json, json.dumps(rows, indent=2) + "\n")
        finally:
            if disk:
                subprocess.run(["umount", "--lazy", str(disk)], check=True)
    print(table(trials))
    if any(trial.result == "failed" for trial in trials):
        sys.exit(1)


if __name__ == "__main__":
    run_command(main, sys.argv[1:])
