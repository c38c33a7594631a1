"""Claims on cells: which process works on which, among all that share a study's workdir."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import LeaseCompromise, SoftFileLease, Timeout

from fakd_jax.errors import UserError
from fakd_jax.runs.files import CLAIM_FILE
from fakd_jax.runtime.atomic_files import writing

LEASE_SECONDS = 120.0
"""How long a process on another machine may show no sign of life before its cell is taken over.

Signs of life come every 40 s, and an NFS client may see them 60 s late.
"""
_POLL_SECONDS = 0.05


class Claims:
    """This process's claims on the cells of a study, each a file `.claim` in the cell's workdir.

    The file names its process, which touches it every :data:`LEASE_SECONDS` / 3. A claim is taken
    over at once if its process ran on this machine and has ended, else when the file has not
    changed for :data:`LEASE_SECONDS` by the observer's monotonic clock: wall clocks play no part.
    A process that finds its claim taken over ends itself, before it writes more.

    Args:
      lease_seconds: the same in all processes.
    """

    def __init__(self, lease_seconds: float = LEASE_SECONDS) -> None:
        self._lease_seconds = lease_seconds
        # Kept: a lease remembers since when another's claim has not changed.
        self._leases: dict[Path, SoftFileLease] = {}

    @contextmanager
    def claim(self, folder: Path, *, wait: bool = False) -> Iterator[bool]:
        """Claims a cell for the block, and yields whether this process has it.

        Args:
          folder: the cell's workdir, created if missing. The cell may have been finished by others
            meanwhile: look again in the block.
          wait: whether to wait until no other process has it.

        Raises:
          UserError: the folder cannot be written.
        """
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lease = self._lease(folder)
            before = lease.owner
            try:
                lease.acquire(-1 if wait else 2 * _POLL_SECONDS, poll_interval=_POLL_SECONDS)
                acquired = True
            except Timeout:
                acquired = False
        if not acquired:
            yield False
            return
        try:
            if before is not None:
                logging.getLogger("fakd_jax").info(
                    "%s: claimed before by process %d on %s, which has left it or does not respond",
                    folder,
                    before.pid,
                    before.hostname,
                )
            yield True
        finally:
            lease.release()

    def _lease(self, folder: Path) -> SoftFileLease:
        if folder not in self._leases:
            self._leases[folder] = SoftFileLease(
                folder / CLAIM_FILE, lease_duration=self._lease_seconds, on_compromise=_end_process
            )
        return self._leases[folder]


def _end_process(lost: LeaseCompromise) -> None:
    """Ends this process as a kill would: another one may write the same files by now."""
    print(
        f"error: another process has taken over {Path(lost.lock_file).parent}, because this one "
        f"stood still for too long ({lost.reason}); run the same command to go on",
        file=sys.stderr,
        flush=True,
    )
    os._exit(UserError.exit_code)
