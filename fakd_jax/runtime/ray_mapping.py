"""Chunks as tasks of Ray, with one CPU each."""

from __future__ import annotations

import functools
import pickle
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from fakd_jax.errors import UserError
from fakd_jax.runtime.ray import (
    MAX_LOST_WORKERS,
    connect,
    lost_worker_errors,
    machines,
    reason,
    require_version,
    result_of,
    worker_environment,
)
from fakd_jax.version import __version__

T = TypeVar("T")

OBJECT_STORE_BYTES = 2 * 2**30
BYTES_AHEAD = 2**30
"""Size of the chunks that are given to Ray at once, as long as one fits."""

TASKS_PER_CPU = 2
"""Tasks given to Ray at once, so that a worker need not wait for its next one."""


@dataclass(frozen=True)
class _Given:
    """A chunk that Ray has.

    Attributes:
      start: gives it to a worker, and returns the task.
      task: what `start` returned first.
      size: of the chunk, in bytes.
    """

    start: Callable[[], Any]
    task: Any
    size: int


class RayMapper:
    """The workers of a cluster, or of this machine; a context manager, which leaves Ray.

    The chunk of a lost worker is given to another one. Workers compute on CPUs, with one thread.

    Args:
      address: see :func:`fakd_jax.runtime.ray.connect`.
      purpose: likewise.
      prepare: called by workers before the function; a function of a module.
      log: receives a line about the cluster, and one per lost worker.

    Raises:
      UserError: Ray is not installed, there is no cluster at the address, or it has no CPU.
    """

    def __init__(
        self,
        address: str,
        purpose: str,
        prepare: Callable[[], None],
        log: Callable[[str], object] = print,
    ) -> None:
        self._ray = connect(address, purpose, OBJECT_STORE_BYTES)
        self._prepare, self._log = prepare, log
        cpus = self._cpus()
        if cpus < 1:
            self._ray.shutdown()
            raise UserError(f"no machine of Ray's at {address} has a CPU; start Ray on some")
        log(f"machines in Ray: {len(machines(self._ray))}, with CPUs: {cpus}")
        # Lost workers are counted here: where memory is short, Ray would try again without end.
        self._task = self._ray.remote(
            num_cpus=1,
            max_retries=0,
            runtime_env={"env_vars": worker_environment(1) | {"JAX_PLATFORMS": "cpu"}},
        )(_compute)

    def __enter__(self) -> RayMapper:
        return self

    def __exit__(self, *_: object) -> None:
        self._ray.shutdown()

    def map(
        self,
        function: Callable[..., T],
        chunks: Iterable[tuple[Any, ...]],
        *,
        threaded: bool = True,
    ) -> Iterator[T]:
        """See :meth:`fakd_jax.runtime.mapping.Mapper.map`; the arrays returned are read-only.

        Raises:
          UserError: from the function; or a worker has another version of this package, worker
            after worker is lost with one chunk, or Ray itself fails.
        """
        given: deque[_Given] = deque()
        for chunk in chunks:
            size = _size(chunk)
            while given and not self._has_room(given, size):
                yield self._result(given.popleft())
            given.append(self._give(function, chunk, size))
        while given:
            yield self._result(given.popleft())

    def _cpus(self) -> int:
        return sum(int(machine.get("CPU", 0)) for machine in machines(self._ray))

    def _has_room(self, given: deque[_Given], size: int) -> bool:
        room = BYTES_AHEAD - sum(each.size for each in given) >= size
        return room and len(given) < TASKS_PER_CPU * self._cpus()

    def _give(self, function: Callable[..., T], chunk: tuple[Any, ...], size: int) -> _Given:
        functions = pickle.dumps((self._prepare, function))
        kept = self._ray.put(chunk)
        start = functools.partial(self._task.remote, __version__, functions, kept)
        return _Given(start, start(), size)

    def _result(self, given: _Given) -> Any:
        task = given.task
        for lost in range(1, MAX_LOST_WORKERS + 1):
            try:
                return result_of(self._ray, task)
            except lost_worker_errors(self._ray) as error:
                why = reason(error)
            if lost < MAX_LOST_WORKERS:
                self._log(f"Ray: a worker was lost ({why}); its task is given to another")
                task = given.start()
        raise UserError(
            f"{lost} workers were lost with one task, last because: {why}; see that Ray's machines "
            "have memory to spare, or find the cause with --engine local"
        )


def _compute(version: str, functions: bytes, chunk: tuple[Any, ...]) -> Any:
    """What a worker does."""
    require_version(version)
    prepare, function = pickle.loads(functions)  # of another version they may not exist
    prepare()
    return function(*chunk)


def _size(chunk: tuple[Any, ...]) -> int:
    """Size in bytes, found without copying arrays."""
    arrays: list[pickle.PickleBuffer] = []
    rest = pickle.dumps(chunk, protocol=5, buffer_callback=arrays.append)
    return len(rest) + sum(array.raw().nbytes for array in arrays)
