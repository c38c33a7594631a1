"""One task at a time in a thread beside the main one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class BackgroundTask:
    """Runs functions in a thread, one after the other; the process ends only after the last.

    What a function raises is raised, once, by the next method that is called.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._running: Future[None] | None = None

    def start(self, function: Callable[[], None]) -> None:
        """Starts a function as soon as the one before has ended, without waiting for its end."""
        self.wait()
        self._running = self._thread.submit(function)

    def check(self) -> None:
        """Raises what the last function raised, if it has ended."""
        if self._running is not None and self._running.done():
            self.wait()

    def wait(self) -> None:
        """Waits for the last function to end."""
        if self._running is not None:
            running = self._running
            running.exception()  # an interrupt while waiting leaves it to be waited for again
            self._running = None
            running.result()

    def close(self) -> None:
        """Waits for the last function to end, and ends the thread."""
        try:
            self.wait()
        finally:
            self._thread.shutdown()
