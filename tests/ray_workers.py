"""The processes of a real Ray that this process has started, found without Ray."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path


def computing_workers(ancestor: int | None = None) -> Iterator[int]:
    """Workers of :class:`fakd_jax.runtime.ray_mapping.RayMapper` that compute a chunk.

    Args:
      ancestor: a process that they descend from; None for this one.
    """
    return (pid for pid in _descendants(ancestor) if _is_computing(pid))


def kill_a_computing_worker(ancestor: int | None = None) -> bool:
    """Kills a worker that is computing; returns whether there was one."""
    return any(map(_kill_if_computing, computing_workers(ancestor)))


def _descendants(ancestor: int | None = None) -> list[int]:
    """Children of a process, their children and so on; None stands for this process."""
    ancestor = ancestor or os.getpid()
    parents = {int(each.name): _parent(each) for each in Path("/proc").glob("[0-9]*")}
    return [pid for pid in parents if _descends(pid, ancestor, parents)]


def _descends(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    while pid := parents.get(pid, 0):
        if pid == ancestor:
            return True
    return False


def _kill_if_computing(pid: int) -> bool:
    """A process that is stopped cannot end its task between the look and the kill."""
    try:
        os.kill(pid, signal.SIGSTOP)
        computing = _is_computing(pid)
        os.kill(pid, signal.SIGKILL if computing else signal.SIGCONT)
    except ProcessLookupError:
        return False
    return computing


def _is_computing(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().startswith(b"ray::_compute")
    except OSError:  # it has ended
        return False


def _parent(process: Path) -> int:
    """The parent of a process in /proc; 0 if it has ended."""
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
