"""Ctrl-C, SIGTERM and SIGUSR1 between two steps: save first, then stop, all processes together."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from fakd_jax.runtime.coordination import StopVote
from fakd_jax.runtime.distributed import process_count

# SIGUSR1 is what the parent of a job's process sends, and `sbatch --signal=USR1@60`.
_ASK_ONCE = signal.SIGUSR1
_SIGNALS = (signal.SIGINT, signal.SIGTERM, _ASK_ONCE)


class StopRequest:
    """Whether training stops because the user or the system has asked a process to.

    Args:
      steps_ahead: see :class:`StopVote`.

    Attributes:
      requested: with several processes, True from the step on that they have agreed on.
    """

    def __init__(self, steps_ahead: int) -> None:
        self.requested = False
        self._asked = False
        self._vote = StopVote(steps_ahead)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Handles the first signal by asking to stop, the second by interrupting.

        With several processes, every signal only asks: a launcher may signal a process and its
        parent, which signals it too. A second signal to the parent kills the process.
        """
        if process_count() == 1:
            if self._asked and number != _ASK_ONCE:
                raise KeyboardInterrupt
            self.requested = True
        self._asked = True

    def vote(self, step: int) -> None:
        """Agrees with the other processes, after each step that was sent."""
        self.requested = self.requested or self._vote.agreed(self._asked, step)

    def vote_at_end(self, step: int) -> None:
        """Agrees with the other processes after the last step."""
        self.requested = self._vote.agreed_at_end(self._asked, step)


@contextmanager
def deferred_interrupts(steps_ahead: int = 0) -> Iterator[StopRequest]:
    """Turns the first SIGINT, SIGTERM or SIGUSR1 into a request to stop.

    A step donates its state, so an exception during a step would leave nothing to save: the loop
    checks the request after each step instead. Outside the main thread, where Python delivers no
    signals, nothing is changed.
    """
    stop = StopRequest(steps_ahead)
    in_main_thread = threading.current_thread() is threading.main_thread()
    numbers = _SIGNALS if in_main_thread else ()
    previous = {number: signal.signal(number, stop.handle) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
