"""A parent process that turns the end of a job's process into one line and an exit code.

When process 0 dies, JAX's coordination service aborts the others from a C++ thread, with a stack
trace and no way to catch it from Python. So each process of a job has a parent, which does
nothing else: it passes on standard error, signals and the exit code, and replaces the abort.
"""

from __future__ import annotations

import ctypes
import os
import re
import select
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from fakd_jax.errors import LostProcessError

STOP_SIGNAL = signal.SIGUSR1
"""What the parent sends for SIGINT and SIGTERM: save, then stop."""

INTERRUPTED_EXIT_CODE = 130
_FORWARDED = (signal.SIGINT, signal.SIGTERM, STOP_SIGNAL)
_PR_SET_PDEATHSIG = 1
# The first line of what the coordination service logs before it aborts.
_ABORT = re.compile(rb"[EF]\d{4} \S+ +\d+ (coordination_service\w*\.cc|client\.h):")
_LINE_ENDS = re.compile(rb"([\r\n])")  # a progress bar ends its lines with \r
_LOST = (
    "error: another process of the job has ended or cannot be reached; its own log says why. "
    "The last checkpoint is kept: start all processes again to resume\n"
)


def supervise(run: Callable[[], int], *, last: Callable[[], None]) -> NoReturn:
    """Runs `run` in a child process and exits as it does.

    Must be called before JAX is imported: the process forks.

    Args:
      run: returns the exit code.
      last: called in the child after a `run` that fails.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    reading, writing = os.pipe()
    parent = os.getpid()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)  # until there are handlers
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(reading)
        _become_child(parent, writing)
        _run_and_exit(run, last)
    os.close(writing)
    interrupted = _forward_signals(child)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    output = _StandardError(reading)
    status = _wait(child, output)
    code = os.waitstatus_to_exitcode(status)
    is_aborted = -code == signal.SIGABRT and bool(output.held)
    if not is_aborted and code != LostProcessError.exit_code:
        sys.stderr.write(output.held.decode(errors="replace"))
    if code >= 0:
        sys.exit(code)
    if interrupted or -code in (STOP_SIGNAL, signal.SIGINT, signal.SIGTERM):
        sys.stderr.write("interrupted\n")
        sys.exit(INTERRUPTED_EXIT_CODE)
    if is_aborted:
        sys.stderr.write(_LOST)
        sys.exit(LostProcessError.exit_code)
    sys.stderr.write(f"error: the process was ended by {signal.Signals(-code).name}\n")
    sys.exit(128 - code)


def _become_child(parent: int, standard_error: int) -> None:
    """Sends standard error to the parent, and dies when the parent dies."""
    os.setpgid(0, 0)  # a terminal's Ctrl-C goes to the parent alone, which passes it on
    os.dup2(standard_error, 2)
    os.close(standard_error)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has died already
        os._exit(1)


def _run_and_exit(run: Callable[[], int], last: Callable[[], None]) -> NoReturn:
    """Exits without waiting for the other processes, as JAX's own clean-up would."""
    code = 1
    try:
        try:
            code = run()
        except BaseException:
            traceback.print_exc()
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            if code:
                last()
    except BaseException:
        code = code or 1
        traceback.print_exc()
    finally:
        os._exit(code)


def _forward_signals(child: int) -> list[int]:
    """Turns the first SIGINT or SIGTERM into :data:`STOP_SIGNAL`, the second into SIGKILL.

    :data:`STOP_SIGNAL` itself is passed on as often as it comes.

    Returns:
      The signals received so far.
    """
    received: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        is_second = number != STOP_SIGNAL and bool({*received} - {STOP_SIGNAL})
        received.append(number)
        with suppress(ProcessLookupError):  # it has ended
            os.kill(child, signal.SIGKILL if is_second else STOP_SIGNAL)

    for number in _FORWARDED:
        signal.signal(number, forward)
    return received


class _StandardError:
    """The child's standard error, passed on line by line up to the log of an abort."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.held = b""
        self._line = b""

    def read(self) -> bool:
        """Passes on what is there; False at the end."""
        content = os.read(self.descriptor, 1 << 16)
        *lines, self._line = _LINE_ENDS.split(self._line + content)
        for line, end in zip(lines[::2], lines[1::2], strict=True):
            self._pass_on(line + end)
        if not content:
            self._pass_on(self._line)
            self._line = b""
        return bool(content)

    def _pass_on(self, line: bytes) -> None:
        if line.startswith(b"error: ") or not (self.held or _ABORT.match(line)):
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()
        else:
            self.held += line


def _wait(child: int, output: _StandardError) -> int:
    """Reads until the child has ended; returns its status."""
    is_open, status = True, None
    while status is None:
        if is_open and select.select([output.descriptor], [], [], 0.2)[0]:
            is_open = output.read()
        pid, ended = os.waitpid(child, 0 if not is_open else os.WNOHANG)
        status = ended if pid else None
    while is_open and select.select([output.descriptor], [], [], 0)[0]:
        is_open = output.read()
    return status
