"""A pure function over many chunks, in order: by this process, or by workers elsewhere."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol, TypeVar, runtime_checkable

T = TypeVar("T")

CHUNKS_PER_THREAD = 2


@runtime_checkable
class Mapper(Protocol):
    """What computes a function of chunks."""

    def map(
        self,
        function: Callable[..., T],
        chunks: Iterable[tuple[Any, ...]],
        *,
        threaded: bool = True,
    ) -> Iterator[T]:
        """`function(*chunk)` for every chunk, in order, with a bounded number ahead of the caller.

        Args:
          function: a function of a module; must change none of its arguments.
          chunks: the arguments of each call, drawn as they are needed. Small: they may travel to
            another machine.
          threaded: whether this process may call the function in several threads; False where
            one call uses all cores.
        """


class LocalMapper:
    """This process, with a thread per core.

    Args:
      ahead: most calls ahead of the caller; None for `CHUNKS_PER_THREAD` per thread.
      max_bytes: results that wait for the caller, beyond which a single call per thread is ahead.
      size_of: size of a result in bytes.
    """

    def __init__(
        self,
        ahead: int | None = None,
        *,
        max_bytes: float = math.inf,
        size_of: Callable[[Any], int] = lambda result: 0,
    ) -> None:
        self._threads = os.cpu_count() or 1
        self._ahead = max(ahead or 0, CHUNKS_PER_THREAD * self._threads)
        self._max_bytes, self._size_of = max_bytes, size_of

    def map(
        self,
        function: Callable[..., T],
        chunks: Iterable[tuple[Any, ...]],
        *,
        threaded: bool = True,
    ) -> Iterator[T]:
        """See :meth:`Mapper.map`."""
        if not threaded:
            for chunk in chunks:
                yield function(*chunk)
            return
        jobs: deque[Future[T]] = deque()
        with ThreadPoolExecutor(self._threads) as pool:
            try:
                for chunk in chunks:
                    jobs.append(pool.submit(function, *chunk))
                    while not self._has_room(jobs):
                        yield jobs.popleft().result()
                while jobs:
                    yield jobs.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)  # do not wait for the rest when interrupted

    def _has_room(self, jobs: deque[Future[T]]) -> bool:
        """Whether another call may be ahead."""
        if len(jobs) < self._threads:
            return True
        done = (job for job in jobs if job.done() and not job.exception())
        waiting = sum(self._size_of(job.result()) for job in done)
        return len(jobs) < self._ahead and waiting <= self._max_bytes


HERE = LocalMapper()
"""This process, the default of functions that take a mapper."""
