"""Breaks a tiny run in hundreds of ways and compares what it leaves with an undisturbed run's.

    python scripts/try_faults.py --faults 300 --json faults.json

Each fault strikes a run of its own, which saves after every step: of a teacher or, with `--config
fakd`, of a teacher and its student. The run is repeated until it finishes. It survives if split,
losses, weights and metrics then equal the undisturbed run's bit for bit. It may also stop: with
exit code 2, one line that says why and no traceback, and the checkpoints that it had are still
there and intact once the cause is mended; then it must finish with equal results, too. Everything
else is a failure, and the exit code is 1.

Processes are forked from one that has imported everything but has not started JAX. What strikes
while a file is written does so at a numbered sync, rename or removal, as drawn from the seed.
"""

from __future__ import annotations

import argparse
import collections
import ctypes
import dataclasses
import functools
import itertools
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

os.environ.setdefault("JAX_PLATFORMS", "cpu")
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import fakd_jax.check
import fakd_jax.evaluation.run
import fakd_jax.experiment.run
import fakd_jax.runs.integrity
import fakd_jax.train
import fakd_jax.training.loop
import fakd_jax.training.step
from fakd_jax.cli.runner import CommandParser, integer, run_command
from fakd_jax.runs.comparison import compare_runs
from fakd_jax.runs.files import (
    CONFIG_FILE,
    ENVIRONMENT_FILE,
    LOCK_FILE,
    PHASES,
    RECORDS_FILE,
    SPLIT_FILE,
)
from tests.tiny import as_flags, register_tiny_models, tiny_overrides, write_images

Action = Callable[[], None]
Strikes = Sequence[tuple[int, Action]]
"""Actions and the numbers of the writes that they strike at."""

SECONDS = 300  # no attempt takes that long
DAC_CAPABILITIES = 0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
WRITES = ("fsync", "replace", "rename", "rmdir")


@dataclasses.dataclass(frozen=True)
class End:
    """How an attempt ended.

    Attributes:
      code: its exit code; negative for a signal; None if it had to be ended.
      output: what it printed.
    """

    code: int | None
    output: str

    @property
    def is_clear_stop(self) -> bool:
        """Whether it stopped with one line that says why."""
        errors = [line for line in self.output.splitlines() if line.startswith("error: ")]
        noise = any(words in self.output for words in ("Traceback", "Logging error"))
        return self.code == 2 and len(errors) == 1 and not noise


@dataclasses.dataclass(frozen=True)
class Trial:
    """A fault that was tried: `result` is "equal", "stopped", "failed" or "missed"."""

    fault: str
    result: str
    detail: str
    seconds: float


class Lab:
    """The undisturbed run, and attempts at others with the same config."""

    def __init__(self, folder: Path, *, config: str = "teacher", disk: Path | None) -> None:
        self.folder = folder
        self.disk = disk
        self.reference = folder / "reference"
        self._numbers = itertools.count()
        os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder / "xla"))
        data = write_images(folder / "data")
        overrides = tiny_overrides(data, folder / "cache")
        overrides["checkpoint_minutes"] = 0
        self._flags = [f"--config={config}", *as_flags(overrides)]
        self._require_equal(self.reference)
        counted = folder / "counted"
        started = time.monotonic()
        self._require_equal(counted, strikes=[(0, lambda: None)])
        self.seconds = time.monotonic() - started
        self.writes = int((folder / "writes").read_text())
        shutil.rmtree(counted)

    def _require_equal(self, workdir: Path, **options: Any) -> None:
        end = self.run(workdir, **options)
        if end.code != 0:
            sys.exit(f"the undisturbed run failed ({end.code}):\n{end.output}")

    def workdir(self, parent: Path | None = None) -> Path:
        """A new workdir's path."""
        return (parent or self.folder) / f"run{next(self._numbers)}"

    def start(self, workdir: Path, **options: Any) -> tuple[multiprocessing.Process, Path]:
        """Starts an attempt; returns it and the file of its output. Options: of `_attempt`."""
        output = self.folder / f"output{next(self._numbers)}"
        context = multiprocessing.get_context("fork")
        process = context.Process(
            target=self._attempt, args=(workdir, output), kwargs=options, daemon=True
        )
        process.start()
        return process, output

    def end(self, process: multiprocessing.Process, output: Path) -> End:
        """Waits for an attempt to end."""
        process.join(SECONDS)
        code = process.exitcode
        if code is None:
            process.kill()
            process.join()
        text = output.read_text(errors="replace") if output.exists() else ""
        output.unlink(missing_ok=True)
        return End(code, text)

    def run(self, workdir: Path, **options: Any) -> End:
        """Makes an attempt."""
        return self.end(*self.start(workdir, **options))

    def _attempt(
        self,
        workdir: Path,
        output: Path,
        *,
        strikes: Strikes = (),
        prepare: Action | None = None,
        check: bool = False,
    ) -> None:
        """Runs `fakd train` and, if it finishes, compares; exits with 1 if anything differs."""
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        register_tiny_models()
        fakd_jax.train.use_compilation_cache = _cache_everything
        fakd_jax.experiment.run.train_and_evaluate = functools.partial(
            fakd_jax.experiment.run.train_and_evaluate, latency=False
        )
        if prepare:
            prepare()
        if check and any(_newest(workdir).values()):
            run_command(fakd_jax.check.main, [str(workdir)])
        count = _hook_writes(strikes) if strikes else None
        run_command(fakd_jax.train.main, [*self._flags, f"--workdir={workdir}"])
        if count and strikes[0][0] == 0:
            (self.folder / "writes").write_text(str(next(count) - 1))
        differing = [
            f"{kind.name}: {kind.different} of {kind.compared} differ, e.g. {kind.where}"
            for kind in compare_runs(self.reference, workdir)
            if not kind.is_same
        ]
        if differing:
            print("DIFFERENT:", "; ".join(differing))
            sys.exit(1)

    def finish(self, workdir: Path, end: End, mend: Action, had: dict[str, int]) -> tuple[str, str]:
        """Repeats a run until it finishes; returns the result and what was seen.

        Args:
          workdir: of the run.
          end: of the attempt that was struck.
          mend: undoes the cause.
          had: the newest checkpoint of each phase when the fault struck.
        """
        result, seen = "equal", ""
        for _ in range(3):
            if end.code == 0:
                return result, seen
            if end.code == 2:
                if not end.is_clear_stop:
                    return "failed", f"not one clear line: {end.output[-1500:]}"
                result = "stopped"
                seen = next(ln for ln in end.output.splitlines() if ln.startswith("error: "))
            elif end.code not in (-signal.SIGKILL, -signal.SIGTERM, 130):
                return "failed", f"exit code {end.code}: {end.output[-1500:]}"
            mend()
            if any(_newest(workdir)[phase] < step for phase, step in had.items()):
                return "failed", f"checkpoints were lost: {had} became {_newest(workdir)}"
            end = self.run(workdir, check=end.code == 2)
        return "failed", f"never finished: {end.output[-1500:]}"


# ------------------------------------------------------------------------------------ faults
def _struck(
    lab: Lab,
    draw: np.random.Generator,
    action: Callable[[Path, int], None],
    *,
    at_write: bool,
    mend: Callable[[Path], None] = lambda workdir: None,
    workdir: Path | None = None,
    prepare: Action | None = None,
) -> tuple[str, str]:
    """A fault that strikes a running process: at a random time, or at one of its writes."""
    workdir = workdir or lab.workdir()
    note = lab.folder / f"{workdir.name}.struck"

    def strike(pid: int | None = None) -> None:
        note.write_text(json.dumps(_newest(workdir)))
        action(workdir, pid or os.getpid())

    if at_write:
        number = int(draw.integers(1, lab.writes))
        process, output = lab.start(workdir, strikes=[(number, strike)], prepare=prepare)
        when = f"at write {number}"
    else:
        delay = float(draw.uniform(0, lab.seconds))
        process, output = lab.start(workdir, prepare=prepare)
        process.join(delay)
        when = f"after {delay:.2f} s"
        if process.is_alive():
            strike(process.pid)
    end = lab.end(process, output)
    had = json.loads(note.read_text()) if note.exists() else None
    result, seen = lab.finish(workdir, end, lambda: mend(workdir), had or {})
    mend(workdir)
    shutil.rmtree(workdir, ignore_errors=True)
    if had is None and result != "failed":
        return "missed", when
    return result, f"{when}: {seen}"


def kill(lab: Lab, draw: np.random.Generator) -> tuple[str, str]:
    return _struck(lab, draw, lambda _, pid: os.kill(pid, signal.SIGKILL), at_write=False)


def kill_at_write(lab: Lab, draw: np.random.Generator) -> tuple[str, str]:
    return _struck(lab, draw, lambda _, pid: os.kill(pid, signal.SIGKILL), at_write=True)


def terminate(lab: Lab, draw: np.random.Generator) -> tuple[str, str]:
    at_write = draw.random() < 0.5
    return _struck(lab, draw, lambda _, pid: os.kill(pid, signal.SIGTERM), at_write=at_write)


def fill_disk(lab: Lab, draw: np.random.Generator) -> tuple[str, str]:
    assert lab.disk is not None
    ballast = lab.disk / "ballast"

    def fill(workdir: Path, pid: int) -> None:
        descriptor = os.open(ballast, os.O_WRONLY | os.O_CREAT, 0o644)
        for size in (2**20, 2**12, 1):
            with suppress(OSError):
                while os.write(descriptor, b"\0" * size):
                    pass
        os.close(descriptor)

    return _struck(
        lab,
        draw,
        fill,
        at_write=draw.random() < 0.5,
        mend=lambda workdir: ballast.unlink(missing_ok=True),
        workdir=lab.workdir(lab.disk),
    )


def make_read_only(lab: Lab, draw: np.random.Generator) -> tuple[str, str]:
    def protect(workdir: Path, pid: int) -> None:
        _set_modes(workdir, folders=0o555, files=0o444)

    return _struck(
        lab,
        draw,
        protect,
        at_write=draw.random() < 0.5,
        mend=lambda workdir: _set_modes(workdir, folders=0o755, files=0o644),
        prepare=_obey_permissions,
    )


def move_away(lab: Lab, draw: np.random.Generator) -> tuple[str, str]:
    def elsewhere(workdir: Path) -> Path:
        return workdir.with_name(f"{workdir.name}.moved")

    def move(workdir: Path, pid: int) -> None:
        with suppress(FileNotFoundError):
            workdir.rename(elsewhere(workdir))

    def put_back(workdir: Path) -> None:
        if elsewhere(workdir).exists():
            shutil.rmtree(workdir, ignore_errors=True)
            elsewhere(workdir).rename(workdir)

    return _struck(lab, draw, move, at_write=draw.random() < 0.5, mend=put_back)


def _damaged(
    lab: Lab,
    draw: np.random.Generator,
    damage: Callable[[bytes], bytes],
    files: Callable[[Path], list[Path]],
) -> tuple[str, str]:
    """A fault in a file that a killed run left."""
    workdir = lab.workdir()
    number = int(draw.integers(1, lab.writes))
    lab.run(workdir, strikes=[(number, lambda: os.kill(os.getpid(), signal.SIGKILL))])
    found = [file for file in sorted(files(workdir)) if file.is_file() and file.stat().st_size]
    if not found:
        return "missed", f"no file at write {number}"
    file = found[draw.integers(len(found))]
    whole = file.read_bytes()
    had = _newest(workdir)
    file.write_bytes(damage(whole))

    def mend() -> None:
        if file.parent.is_dir():
            file.write_bytes(whole)

    result, seen = lab.finish(workdir, lab.run(workdir), mend, had)
    name = file.relative_to(workdir)
    shutil.rmtree(workdir)
    return result, f"{name} after write {number}: {seen}"


def _truncation(draw: np.random.Generator) -> Callable[[bytes], bytes]:
    return lambda whole: whole[: draw.integers(len(whole))]


def _flip(draw: np.random.Generator) -> Callable[[bytes], bytes]:
    def flip(whole: bytes) -> bytes:
        changed = bytearray(whole)
        changed[draw.integers(len(whole))] ^= 1 << int(draw.integers(8))
        return bytes(changed)

    return flip


def _checkpoint_files(workdir: Path) -> list[Path]:
    return [file for phase in PHASES for file in (workdir / phase).glob("*/[0-9]*/**/*")]


def _records(workdir: Path) -> list[Path]:
    names = (CONFIG_FILE, SPLIT_FILE, ENVIRONMENT_FILE, RECORDS_FILE)
    return [workdir / name for name in names]


def truncate(lab: Lab, draw: np.random.Generator) -> tuple[str, str]:
    return _damaged(lab, draw, _truncation(draw), _checkpoint_files)


def truncate_record(lab: Lab, draw: np.random.Generator) -> tuple[str, str]:
    return _damaged(lab, draw, _truncation(draw), _records)


def flip_bit(lab: Lab, draw: np.random.Generator) -> tuple[str, str]:
    return _damaged(lab, draw, _flip(draw), _checkpoint_files)


def flip_record(lab: Lab, draw: np.random.Generator) -> tuple[str, str]:
    return _damaged(lab, draw, _flip(draw), _records)


def put_nan(lab: Lab, draw: np.random.Generator) -> tuple[str, str]:
    number = int(draw.integers(1, 9))
    workdir = lab.workdir()
    count = itertools.count(1)
    original = fakd_jax.training.loop.train_iterator

    class WithNan:
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._iterator = original(*args, **kwargs)

        def __next__(self) -> dict[str, np.ndarray]:
            batch = next(self._iterator)
            if next(count) != number:
                return batch
            images = batch["image"].astype(np.float32)
            images[0] = np.nan
            return {**batch, "image": images}

        def __getattr__(self, name: str) -> Any:
            return getattr(self._iterator, name)

    normalise = fakd_jax.training.step.normalise

    def keep_nan(images: Any, *args: Any) -> Any:
        """Normalises images, which are of bytes otherwise, but leaves a NaN in them."""
        if images.dtype == np.uint8:
            return normalise(images, *args)
        return normalise(images.astype(np.uint8), *args) + 0 * images

    def prepare() -> None:  # in the forked process alone
        fakd_jax.training.loop.train_iterator = WithNan
        fakd_jax.training.step.normalise = keep_nan

    end = lab.run(workdir, prepare=prepare)
    if end.code == 0:
        return "failed", f"a NaN in batch {number} went unnoticed"
    result, seen = lab.finish(workdir, end, lambda: None, {})
    shutil.rmtree(workdir)
    return result, f"batch {number}: {seen}"


def start_twice(lab: Lab, draw: np.random.Generator) -> tuple[str, str]:
    workdir = lab.workdir()
    process, output = lab.start(workdir)
    while process.is_alive() and not (workdir / LOCK_FILE).exists():
        time.sleep(0.01)
    delay = float(draw.uniform(0.1, 0.5 * lab.seconds))
    process.join(delay)
    second = lab.run(workdir)
    was_alive = process.is_alive()
    first = lab.end(process, output)
    shutil.rmtree(workdir)
    when = f"after {delay:.2f} s"
    if first.code != 0:
        return "failed", f"{when}: the first ended with {first.code}: {first.output[-1500:]}"
    if second.code == 0 and not was_alive:
        return "missed", when
    if not second.is_clear_stop:
        return "failed", f"{when}: the second ended with {second.code}: {second.output[-1500:]}"
    return "equal", f"{when}: the second was refused"


def set_clock_back(lab: Lab, draw: np.random.Generator) -> tuple[str, str]:
    workdir = lab.workdir()
    first, second = sorted(int(number) for number in draw.integers(1, lab.writes, size=2))
    seconds = float(10 ** draw.uniform(3, 8.5))

    def set_back(seconds: float) -> None:
        now, now_ns = time.time, time.time_ns
        time.time = lambda: now() - seconds
        time.time_ns = lambda: now_ns() - int(seconds * 1e9)

    strikes = [
        (first, lambda: set_back(seconds)),
        (second + 1, lambda: os.kill(os.getpid(), signal.SIGKILL)),
    ]
    end = lab.run(workdir, strikes=strikes)
    if end.code == -signal.SIGKILL:
        end = lab.run(workdir, prepare=lambda: set_back(2 * seconds))
    result, seen = lab.finish(workdir, end, lambda: None, {})
    shutil.rmtree(workdir)
    return result, f"by {seconds:.0f} s at write {first}, killed at {second + 1}: {seen}"


FAULTS: dict[str, tuple[Callable[[Lab, np.random.Generator], tuple[str, str]], int]] = {
    "SIGKILL while a file is written": (kill_at_write, 100),
    "SIGKILL at a random time": (kill, 40),
    "SIGTERM": (terminate, 30),
    "full disk": (fill_disk, 25),
    "read-only workdir": (make_read_only, 25),
    "vanished workdir": (move_away, 20),
    "truncated checkpoint file": (truncate, 15),
    "flipped bit in a checkpoint": (flip_bit, 15),
    "truncated record": (truncate_record, 5),
    "flipped bit in a record": (flip_record, 5),
    "NaN in a batch": (put_nan, 10),
    "second process": (start_twice, 5),
    "clock set back": (set_clock_back, 5),
}
"""Faults by name, and how many of 300 are of each."""


# ------------------------------------------------------------------------------------ tools
def _cache_everything() -> None:
    """Caches the programs that compile in no time, too: an attempt is to compile nothing."""
    import jax

    jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _hook_writes(strikes: Strikes) -> itertools.count[int]:
    """Has actions strike just before syncs, renames and removals, numbered from 1."""
    count = itertools.count(1)
    actions = dict(strikes)

    def hooked(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def write(*args: Any, **kwargs: Any) -> Any:
            if action := actions.get(next(count)):
                action()
            return function(*args, **kwargs)

        return write

    for name in WRITES:
        setattr(os, name, hooked(getattr(os, name)))
    return count


def _newest(workdir: Path) -> dict[str, int]:
    """The step of each phase's newest checkpoint; 0 if there is none."""
    return {
        phase: max(
            (int(p.name) for p in (workdir / phase / "last").glob("*") if p.name.isdecimal()),
            default=0,
        )
        for phase in PHASES
    }


def _obey_permissions() -> None:
    """Has permissions hold for this process, even if root runs it."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # version 3, this process
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice 32 bits
    if libc.capget(header, sets):
        raise OSError(ctypes.get_errno(), "capget")
    sets[0] &= ~DAC_CAPABILITIES
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")


def _set_modes(folder: Path, *, folders: int, files: int) -> None:
    if folder.is_dir():
        folder.chmod(0o755)
        for child in list(folder.iterdir()):
            with suppress(FileNotFoundError):
                if child.is_dir():
                    _set_modes(child, folders=folders, files=files)
                else:
                    child.chmod(files)
        folder.chmod(folders)


def _mount_small_disk(folder: Path) -> Path | None:
    """A disk that can be filled; None without the right to mount one."""
    disk = folder / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(disk)]
    if shutil.which("mount") and not subprocess.run(command, capture_output=True).returncode:
        return disk
    print("full disk: skipped, because it takes a tmpfs and only root may mount one")
    return None


def try_faults(lab: Lab, faults: int, seed: int, only: str) -> list[Trial]:
    """Tries about `faults` faults, at least one of each kind; prints a line for each failure."""
    trials = []
    for number, (name, (fault, share)) in enumerate(FAULTS.items()):
        if only not in name or (fault is fill_disk and lab.disk is None):
            continue
        total = sum(share for name, (_, share) in FAULTS.items() if only in name)
        wanted = max(1, round(faults * share / total))
        draw = np.random.default_rng([seed, number])
        for _ in range(3 * wanted):  # some come after the run's end
            if not wanted:
                break
            started = time.monotonic()
            result, detail = fault(lab, draw)
            trials.append(Trial(name, result, detail, time.monotonic() - started))
            wanted -= result != "missed"
            if result == "failed":
                print(f"FAILED: {name}: {detail}", flush=True)

    return trials


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
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        disk = _mount_small_disk(folder)
        try:
            lab = Lab(folder, config=flags.config, disk=disk)
            print(f"undisturbed: {lab.seconds:.1f} s, {lab.writes} writes", flush=True)
            trials = try_faults(lab, flags.faults, flags.seed, flags.only)
        finally:
            if disk:
                subprocess.run(["umount", "--lazy", str(disk)], check=True)
    print(table(trials))
    if flags.json:
        flags.json.write_text(
            json.dumps([dataclasses.asdict(trial) for trial in trials], indent=2) + "\n"
        )
    if any(trial.result == "failed" for trial in trials):
        sys.exit(1)


if __name__ == "__main__":
    run_command(main, sys.argv[1:])
