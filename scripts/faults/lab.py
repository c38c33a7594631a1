"""The undisturbed run, and attempts at others: each in a process forked from this one."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import json
import multiprocessing
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import fakd_jax.check
import fakd_jax.evaluation.run
import fakd_jax.experiment.run
import fakd_jax.runs.integrity
import fakd_jax.train
from fakd_jax.cli.runner import run_command
from fakd_jax.runs.comparison import compare_runs
from fakd_jax.runs.files import PHASES
from tests.tiny import as_flags, register_tiny_models, tiny_overrides, write_images

Action = Callable[[], None]
Strikes = Sequence[tuple[int, Action]]
"""Actions and the numbers of the writes that they strike at."""

SECONDS = 300  # no attempt takes that long
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


class Lab:
    """The undisturbed run, and attempts at others with the same config.

    Attributes:
      seconds: how long the undisturbed run took.
      moments: of its start and of each of its writes, in seconds after the start.
      writes: how many there were.
    """

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
        timed, times = folder / "timed", folder / "times.json"
        started = time.monotonic()
        self._require_equal(timed, write_times=times)
        self.seconds = time.monotonic() - started
        since = sorted(moment - started for moment in json.loads(times.read_text()))
        self.moments = (0.0, *since)
        self.writes = len(since)
        shutil.rmtree(timed)

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
        write_times: Path | None = None,
    ) -> None:
        """Runs `fakd train` and, if it finishes, compares; exits with 1 if anything differs.

        `write_times` receives the moment of each write.
        """
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
        if check and any(newest(workdir).values()):
            run_command(fakd_jax.check.main, [str(workdir)])
        moments = _hook_writes(strikes)
        run_command(fakd_jax.train.main, [*self._flags, f"--workdir={workdir}"])
        if write_times:
            write_times.write_text(json.dumps(moments))
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
            if any(newest(workdir)[phase] < step for phase, step in had.items()):
                return "failed", f"checkpoints were lost: {had} became {newest(workdir)}"
            end = self.run(workdir, check=end.code == 2)
        return "failed", f"never finished: {end.output[-1500:]}"


def _cache_everything() -> None:
    """Caches the programs that compile in no time, too: an attempt is to compile nothing."""
    import jax

    jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _hook_writes(strikes: Strikes) -> list[float]:
    """Has actions strike just before syncs, renames and removals, numbered from 1.

    Returns:
      When each of them was, by the monotonic clock; a list that grows.
    """
    count, moments = itertools.count(1), []
    actions = dict(strikes)

    def hooked(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def write(*args: Any, **kwargs: Any) -> Any:
            number = next(count)  # atomic: threads write, too
            moments.append(time.monotonic())
            if action := actions.get(number):
                action()
            return function(*args, **kwargs)

        return write

    for name in WRITES:
        setattr(os, name, hooked(getattr(os, name)))
    return moments


def newest(workdir: Path) -> dict[str, int]:
    """The step of each phase's newest checkpoint; 0 if there is none."""
    return {
        phase: max(
            (int(p.name) for p in (workdir / phase / "last").glob("*") if p.name.isdecimal()),
            default=0,
        )
        for phase in PHASES
    }
