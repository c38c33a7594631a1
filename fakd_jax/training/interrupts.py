"""Ctrl-C and SIGTERM between two steps: save first, then stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Whether the user or the system has asked the process to stop."""

    def __init__(self) -> None:
        self.requested = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Handles the first signal by setting `requested`, the second by interrupting."""
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


@contextmanager
def deferred_interrupts() -> Iterator[StopRequest]:
    """Turns the first SIGINT or SIGTERM into a request to stop.

    A step donates its state, so an exception during a step would leave nothing to save: the loop
    checks the request after each step instead. Outside the main thread, where Python delivers no
    signals, nothing is changed.
    """
    stop = StopRequest()
    in_main_thread = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGINT, signal.SIGTERM) if in_main_thread else ()
    previous = {number: signal.signal(number, stop.handle) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
