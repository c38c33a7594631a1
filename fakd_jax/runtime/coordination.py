"""Agreement between the processes of a job: errors, order, and when to stop.

Process 0 alone writes. What it decides on the host reaches the others through the key-value store
of JAX's coordination service. With a single process every function here is trivial.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any, TypeVar, cast

from fakd_jax.errors import LostProcessError, UserError
from fakd_jax.runtime.distributed import (
    coordination_client,
    is_writer,
    process_count,
    process_index,
)

T = TypeVar("T")

_WAIT_MS = 7 * 24 * 3600 * 1000  # for process 0, which may prepare data or evaluate for hours
_calls = itertools.count()  # all processes make the same calls in the same order


def from_writer(action: Callable[[], T]) -> T:
    """Runs `action` on process 0 alone, while the others wait; they return or raise what it does.

    Args:
      action: its result must be JSON-able.

    Raises:
      UserError: if `action` raises it, on every process.
      KeyboardInterrupt: likewise.
      LostProcessError: on the others, for any other exception.
    """
    if process_count() == 1:
        return action()
    key = f"fakd/outcome/{next(_calls)}"
    if is_writer():
        return _tell(key, action)
    kind, value = json.loads(coordination_client().blocking_key_value_get(key, _WAIT_MS))
    if kind == "user_error":
        raise UserError(value)
    if kind == "interrupted":
        raise KeyboardInterrupt
    if kind == "failed":
        raise LostProcessError(f"process 0 failed: {value}")
    return cast("T", value)


def _tell(key: str, action: Callable[[], T]) -> T:
    """Runs `action` and stores its outcome under `key`."""
    outcome: tuple[str, Any] = ("failed", "")
    try:
        result = action()
        outcome = ("done", result)
        return result
    except UserError as error:
        outcome = ("user_error", str(error))
        raise
    except KeyboardInterrupt:
        outcome = ("interrupted", "")
        raise
    except BaseException as error:
        outcome = ("failed", f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
        raise
    finally:
        coordination_client().key_value_set(key, json.dumps(outcome))


def writer_first(action: Callable[[], T]) -> T:
    """Runs `action` on process 0, then on the others, which find what process 0 has written.

    Raises:
      UserError: on every process, if `action` raises it on process 0.
    """
    if process_count() == 1:
        return action()
    results: list[T] = []
    from_writer(lambda: results.append(action()))
    return results[0] if results else action()


def require_same(what: str, value: str) -> None:
    """Checks that every process has the same value as process 0.

    Raises:
      UserError: this one has another.
    """
    if process_count() == 1:
        return
    key = f"fakd/same/{next(_calls)}"
    if is_writer():
        coordination_client().key_value_set(key, value)
    elif (theirs := coordination_client().blocking_key_value_get(key, _WAIT_MS)) != value:
        raise UserError(
            f"process {process_index()} has another {what} than process 0 ({value}, not {theirs}); "
            "workdir and data must be the same files for every process, on a shared file system"
        )


def wait_for_all() -> None:
    """Waits until every process has called this."""
    if process_count() > 1:
        coordination_client().wait_at_barrier(f"fakd/barrier/{next(_calls)}", _WAIT_MS)


class StopVote:
    """Agreement of all processes on the step after which training stops.

    Any process may ask. Process 0 names a step that none has reached: steps are collective, so that
    a process that has sent step t knows everything that process 0 said before step t - 1 - ahead.

    Args:
      steps_ahead: programs that a process may have in flight when it sends the next.
    """

    def __init__(self, steps_ahead: int) -> None:
        self._margin = steps_ahead + 2
        self._folder = f"fakd/stop/{next(_calls)}"
        self._has_asked = False
        self._stop_at: int | None = None

    def agreed(self, asked: bool, step: int) -> bool:
        """Whether all processes stop after `step`, which this one has just sent.

        Args:
          asked: whether this process wants to stop.
          step: every process calls this after each step.
        """
        if process_count() == 1:
            return asked
        self._ask(asked)
        if self._stop_at is None and is_writer() and self._anyone_asks():
            self._announce(step + self._margin)
        return self._announced() and step >= (self._stop_at or 0)

    def agreed_at_end(self, asked: bool, step: int) -> bool:
        """As :meth:`agreed`, after the last step, when all processes wait for one another."""
        if process_count() == 1:
            return asked
        self._ask(asked)
        wait_for_all()
        if self._stop_at is None and is_writer() and self._anyone_asks():
            self._announce(step)
        wait_for_all()
        return self._announced()

    def _ask(self, asked: bool) -> None:
        if asked and not self._has_asked:
            self._has_asked = True
            coordination_client().key_value_set(f"{self._folder}/asked/{process_index()}", "yes")

    def _anyone_asks(self) -> bool:
        return bool(coordination_client().key_value_dir_get(f"{self._folder}/asked/"))

    def _announce(self, step: int) -> None:
        self._stop_at = step
        coordination_client().key_value_set(f"{self._folder}/at/step", str(step))

    def _announced(self) -> bool:
        if self._stop_at is None and not is_writer():  # process 0 alone announces
            for _, step in coordination_client().key_value_dir_get(f"{self._folder}/at/"):
                self._stop_at = int(step)
        return self._stop_at is not None
