"""One process per side, with alternating repetitions."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.settings import OURS, Settings

from fakd_jax.errors import UserError
from fakd_jax.runtime.allocator import allocator_environment

SCRIPTS = Path(__file__).resolve().parent.parent


def _environment(side: str) -> dict[str, str]:
    """Allocator settings as a command of ours sets them; the others as users start them."""
    environment = dict(os.environ) | {"TQDM_DISABLE": "1"}  # of lime's progress bar
    if side in (*OURS, "torch_tuned"):
        return allocator_environment(environment) or environment
    return environment


class Worker:
    """A process that prepares one measure of one side, and runs it on request."""

    def __init__(self, measure: str, side: str, settings: Settings, cache: str) -> None:
        order = json.dumps({"measure": measure, "side": side, "settings": asdict(settings)})
        paths = [str(SCRIPTS), str(SCRIPTS.parent), os.environ.get("PYTHONPATH", "")]
        self._name = f"{side} on {measure}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", order],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=_environment(side)
            | {"PYTHONPATH": os.pathsep.join(paths), "JAX_COMPILATION_CACHE_DIR": cache},
        )
        self.prepared = self._answer()

    def take(self, repeats: int) -> list[float]:
        """Calls the measure `repeats` times; the seconds of each call."""
        return self._ask(f"take {repeats}")["seconds"]

    def memory(self) -> dict[str, int]:
        """Peak bytes: `peak` of the whole process, `steady` since the first call ended."""
        return self._ask("memory")

    def close(self) -> None:
        """Ends the process."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()

    def _ask(self, order: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):  # libraries print lines of their own
                return json.loads(line)
        raise UserError(f"the worker for {self._name} failed; see its output above")


def measure_all(
    measure: str, sides: list[str], settings: Settings, *, repeats: int, seconds: float
) -> dict[str, Any]:
    """Times one measure on several sides.

    Args:
      measure: its name.
      sides: their names.
      settings: sizes.
      repeats: rounds; in each, every side has a turn.
      seconds: duration of a turn, of at least one call.

    Returns:
      By side: median and quartiles of the seconds per call, the number of calls, peak memory, the
      first calls, and what else the side reports.
    """
    with _worker_set(measure, sides, settings) as workers:
        calls = {
            side: max(1, round(seconds / max(worker.take(1)[0], 1e-6)))
            for side, worker in workers.items()
        }
        taken: dict[str, list[float]] = {side: [] for side in sides}
        for _ in range(repeats):
            for side, worker in workers.items():
                taken[side] += worker.take(calls[side])
        return {
            side: _summary(taken[side]) | {"memory": worker.memory()} | worker.prepared
            for side, worker in workers.items()
        }


@contextmanager
def _worker_set(measure: str, sides: list[str], settings: Settings) -> Iterator[dict[str, Worker]]:
    """Prepares the sides one after the other; ours twice, to measure what the cache saves."""
    with ExitStack() as stack:
        workers = {}
        for side in sides:
            cache = stack.enter_context(tempfile.TemporaryDirectory())
            cold = Worker(measure, side, settings, cache)
            stack.callback(cold.close)
            if side in OURS:
                warm = Worker(measure, side, settings, cache)
                stack.callback(warm.close)
                for fact in ("first_call", "compilation"):
                    if fact in cold.prepared:
                        warm.prepared[f"{fact}_cold"] = cold.prepared[fact]
                cold.close()
                cold = warm
            workers[side] = cold
        yield workers


def _summary(taken: list[float]) -> dict[str, Any]:
    low, middle, high = statistics.quantiles(taken, n=4) if len(taken) > 1 else taken * 3
    return {"median": middle, "quartiles": [low, high], "calls": len(taken)}
