"""Scalars as TensorBoard events, each on the disk before the next.

tensorboardX's `SummaryWriter` writes from a thread of its own, which prints a traceback when the
disk is full, and whose queue its `flush` does not wait for.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any


class EventFile:
    """A new file of events in a folder.

    Args:
      folder: created if missing.
      first_step: events of earlier files from this step on are hidden.

    Raises:
      ImportError: tensorboardX is missing.
      OSError: no space, or no permission.
    """

    def __init__(self, folder: Path, first_step: int) -> None:
        from tensorboardX import RecordWriter
        from tensorboardX.proto.event_pb2 import SessionLog

        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}"
        self._records = RecordWriter(str(folder / name))
        self._write(file_version="brain.Event:2")
        self._write(step=first_step, session_log=SessionLog(status=SessionLog.START))

    def add_scalars(self, values: dict[str, float], step: int) -> None:
        """Adds scalars by their tags.

        Raises:
          OSError: no space, or no permission.
        """
        from tensorboardX.proto.summary_pb2 import Summary

        scalars = [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
        self._write(step=step, summary=Summary(value=scalars))
        self._records.flush()

    def close(self) -> None:
        """Closes the file.

        Raises:
          OSError: no space, or no permission.
        """
        self._records.close()

    def _write(self, **content: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self._records.write(Event(wall_time=time.time(), **content).SerializeToString())
