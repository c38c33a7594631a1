"""Fuzzes what reads files and command lines: `python scripts/fuzz.py TARGET --seconds 150`.

Atheris (extra `fuzz`) mutates small valid inputs, guided by the lines of `fakd_jax` that they
reach. An input may succeed or end in a `UserError`. Any other exception, more than 10 seconds or
more than 4 GiB is a finding: it is printed, and its input is kept in --output.
"""

from __future__ import annotations

import argparse
import importlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parent
sys.path[:0] = [str(SCRIPTS), str(SCRIPTS.parent)]

from fakd_jax.cli.runner import CommandParser, integer, run_command  # noqa: E402
from fakd_jax.runtime.extras import import_extra  # noqa: E402

TARGETS = ("images", "archives", "json_files", "weights", "configs", "commands")
SECONDS_PER_INPUT = 10
MEMORY_MIB = 4096
_INSTRUMENTED = ["fakd_jax", "PIL.ImageFile", "safetensors", "tarfile", "zipfile"]
_DONE = re.compile(r"Done (\d+) runs in (\d+) second")


def main(argv: list[str]) -> None:
    """Prints the number of runs and findings; exits with 1 if there are any findings."""
    flags = _parser().parse_args(argv)
    if flags.inside:
        _fuzz(flags)
        return
    output = Path(flags.output or tempfile.mkdtemp(prefix=f"fuzz-{flags.target}-")).absolute()
    (output / "findings").mkdir(parents=True, exist_ok=True)
    before = set((output / "findings").iterdir())
    command = [sys.executable, __file__, *argv, f"--output={output}", "--inside"]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    finished = _DONE.search(done.stderr)
    findings = sorted(set((output / "findings").iterdir()) - before)
    for line in done.stderr.splitlines():
        if line.startswith("FINDING "):
            print(line)
    if finished is None:
        print(done.stderr[-4000:])
    runs, seconds = finished.groups() if finished else ("?", "?")
    print(f"{flags.target}: {runs} runs in {seconds} s, {len(findings)} findings in {output}")
    if findings or finished is None:
        sys.exit(1)


def _fuzz(flags: argparse.Namespace) -> None:
    """Runs libFuzzer, which ends this process."""
    atheris = import_extra("atheris", "fuzz", "fuzzing")
    with atheris.instrument_imports(include=_INSTRUMENTED):
        target = importlib.import_module(f"fuzzing.{flags.target}")
        seeds = target.seeds()  # here, because it imports more modules
    findings, corpus = flags.output / "findings", flags.output / "corpus"
    corpus.mkdir(exist_ok=True)
    for number, seed in enumerate(seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    seen: set[str] = set()

    def check(data: bytes) -> None:
        try:
            target.check(data)
        except Exception as error:
            place = _place(error)
            if place not in seen:
                seen.add(place)
                (findings / f"{len(seen)}-{type(error).__name__}").write_bytes(data)
                print(f"FINDING {place}: {str(error)[:200]!r}", file=sys.stderr, flush=True)

    options = {
        "runs": flags.runs,
        "max_total_time": flags.seconds,
        "timeout": SECONDS_PER_INPUT,
        "rss_limit_mb": MEMORY_MIB,
        "max_len": 16_384,
        "artifact_prefix": f"{findings}/",
        "seed": flags.seed,
        "print_final_stats": 0,
    }
    atheris.Setup(["fuzz", str(corpus), *(f"-{k}={v}" for k, v in options.items())], check)
    atheris.Fuzz()


def _place(error: BaseException) -> str:
    """The type of an exception and the last line of the package that it passed."""
    where, step = "", error.__traceback__
    while step is not None:
        file = Path(step.tb_frame.f_code.co_filename)
        if "fakd_jax" in file.parts:
            where = f"{file.name}:{step.tb_lineno}"
        step = step.tb_next
    return f"{type(error).__name__} at {where}"


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="fuzz.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--runs", type=integer(1), default=100_000, help="at most (100,000)")
    parser.add_argument("--seconds", type=integer(1), default=150, help="at most (150)")
    parser.add_argument("--seed", type=integer(1), default=1, help="of the mutations (1)")
    parser.add_argument("--output", type=Path, help="keeps corpus and findings (a new folder)")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    run_command(main)
