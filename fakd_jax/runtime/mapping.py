"""A pure function over many chunks, in order: by this process, or by workers elsewhere."""

from __future__ import annotations

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
    """This process, with a thread per core."""

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
        threads = os.cpu_count() or 1
        jobs: deque[Future[T]] = deque()
        with ThreadPoolExecutor(threads) as pool:
            try:
                for chunk in chunks:
                    jobs.append(pool.submit(function, *chunk))
                    if len(jobs) == CHUNKS_PER_THREAD * threads:
                        yield jobs.popleft().result()
                while jobs:
                    yield jobs.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)  # do not wait for the rest when interrupted


HERE = LocalMapper()
"""This process, the default of functions that take a mapper."""
