"""Flips single bits of a checkpoint's files, one at a time, and counts how many a load refuses.

    python scripts/flip_bits.py runs/fakd-phantom --flips 200

Of a workdir, the newest checkpoints in `best/` and in `last/` of the student (else the teacher) are
tried, else the checkpoint itself. They are copied first and never changed. One flip is in each
file, the others are anywhere, weighted by size. Exits with 1 if a flip was not found.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from fakd_jax.cli.runner import CommandParser, integer, run_command
from fakd_jax.errors import DamagedError, UserError
from fakd_jax.models.checkpoint import METADATA_FILE, read_checkpoint, resolve_checkpoint
from fakd_jax.runs.files import PHASES


def main(argv: list[str]) -> None:
    """Prints `best: 200 of 200 found` and likewise for `last`."""
    flags = _parser().parse_args(argv)
    all_found = True
    for name, checkpoint in checkpoints(flags.directory.expanduser().absolute()).items():
        missed = missed_flips(checkpoint, flags.flips, flags.seed)
        print(f"{name}: {flags.flips - len(missed)} of {flags.flips} found ({checkpoint})")
        for place in missed:
            print(f"  NOT FOUND: {place}")
        all_found &= not missed
    if not all_found:
        sys.exit(1)


def checkpoints(directory: Path) -> dict[str, Path]:
    """The checkpoints to try, by the name of their kind."""
    if (directory / METADATA_FILE).is_file():
        return {directory.parent.name: directory}
    for phase in reversed(PHASES):
        kinds = [directory / phase / kind for kind in ("best", "last")]
        if all(kind.is_dir() for kind in kinds):
            return {kind.name: resolve_checkpoint(kind) for kind in kinds}
    raise UserError(f"{directory} is neither a workdir with best/ and last/ nor a checkpoint")


def missed_flips(checkpoint: Path, flips: int, seed: int) -> list[str]:
    """Loads a copy of a checkpoint with each flip; describes those without a `DamagedError`.

    Without a flip the copy must load, before and after.
    """
    missed = []
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copytree(checkpoint, Path(folder) / checkpoint.name))
        read_checkpoint(copy)
        for file, bit in places(copy, flips, np.random.default_rng(seed)):
            flip(file, bit)
            place = f"{file.relative_to(copy)}, bit {bit}"
            try:
                read_checkpoint(copy)
            except DamagedError:
                pass
            except Exception as error:
                missed.append(f"{place}: {type(error).__name__}: {error}")
            else:
                missed.append(place)
            flip(file, bit)
        read_checkpoint(copy)
    return missed


def places(folder: Path, flips: int, generator: np.random.Generator) -> Iterator[tuple[Path, int]]:
    """One bit in each file, then bits anywhere in all of them, `flips` in all."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size)
    bits = np.array([8 * file.stat().st_size for file in files])
    ends = np.cumsum(bits)
    in_each = (ends - bits + generator.integers(bits))[:flips]
    anywhere = generator.integers(ends[-1], size=flips - len(in_each))
    for place in np.concatenate([in_each, anywhere]):
        index = int(np.searchsorted(ends, place, side="right"))
        yield files[index], int(place - (ends[index] - bits[index]))


def flip(file: Path, bit: int) -> None:
    """Changes one bit of a file, which a second call undoes."""
    with file.open("r+b") as opened:
        opened.seek(bit // 8)
        (byte,) = opened.read(1)
        opened.seek(bit // 8)
        opened.write(bytes([byte ^ 1 << bit % 8]))


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="flip_bits.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="a workdir or a checkpoint")
    parser.add_argument("--flips", type=integer(1), default=200, help="per checkpoint (200)")
    parser.add_argument("--seed", type=int, default=0, help="of the places (0)")
    return parser


if __name__ == "__main__":
    run_command(main)
