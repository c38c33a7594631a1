"""The log of a run: `train.log`, `metrics.jsonl` and TensorBoard events."""

from __future__ import annotations

import functools
import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fakd_jax.runs.files import LOG_FILE, RECORDS_FILE
from fakd_jax.runs.workdir import read_records
from fakd_jax.runtime.atomic_files import sync_file, write_whole, writing
from fakd_jax.runtime.distributed import is_writer
from fakd_jax.training.event_file import EventFile

LOGGER = logging.getLogger("fakd_jax")


@contextmanager
def logging_to(workdir: Path, file_name: str = LOG_FILE, *, console: bool = True) -> Iterator[None]:
    """Sends the package's log to a file, with times and debug messages, and to the console.

    Of several processes, process 0 alone logs; the others print warnings.

    Args:
      workdir: created if missing.
      file_name: of the log in it, which is appended to.
      console: False if the console shows the log already.

    Raises:
      UserError: the workdir cannot be written.
    """
    handlers: list[logging.Handler] = []
    if is_writer():
        with writing(workdir):
            workdir.mkdir(parents=True, exist_ok=True)
            file = logging.FileHandler(workdir / file_name, encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        handlers.append(file)
    if console:
        screen = logging.StreamHandler(sys.stdout)
        screen.setLevel(logging.INFO if is_writer() else logging.WARNING)
        handlers.append(screen)
    level, propagates = LOGGER.level, LOGGER.propagate
    LOGGER.setLevel(logging.DEBUG)
    LOGGER.propagate = False
    for handler in handlers:
        LOGGER.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            LOGGER.removeHandler(handler)
            handler.close()
        LOGGER.setLevel(level)
        LOGGER.propagate = propagates


class MetricLog:
    """The metrics of one phase, in `metrics.jsonl` and as TensorBoard events.

    Args:
      workdir: of the run.
      phase: "teacher" or "student".
      resume_step: later records of this phase are dropped; they will be written again.
      enabled: False if another process writes the log.
    """

    def __init__(
        self, workdir: Path, phase: str, *, resume_step: int, enabled: bool = True
    ) -> None:
        self.workdir = workdir
        self.phase = phase
        self.enabled = enabled
        if not enabled:
            return
        kept = [
            record
            for record in read_records(workdir)
            if record["phase"] != phase or record["step"] <= resume_step
        ]
        write_whole(workdir / RECORDS_FILE, "".join(json.dumps(record) + "\n" for record in kept))
        self._first_step = resume_step + 1

    @functools.cached_property
    def _events(self) -> EventFile | None:
        """The TensorBoard file, opened with the first record; None without tensorboardX."""
        try:
            return EventFile(self.workdir / "tensorboard" / self.phase, self._first_step)
        except ImportError:
            LOGGER.info("no TensorBoard events: they need pip install 'fakd_jax[tensorboard]'")
            return None

    def record(self, kind: str, *, step: int, epoch: int, values: dict[str, float]) -> None:
        """Adds one record.

        Args:
          kind: "train" or "val".
          step: number of optimizer steps so far.
          epoch: 1-based.
          values: metrics by name, e.g. {"loss": 0.3, "accuracy": 0.9}.

        Raises:
          UserError: no space, or no permission.
        """
        if not self.enabled:
            return
        line = {"phase": self.phase, "kind": kind, "step": step, "epoch": epoch, **values}
        with writing(self.workdir):
            with (self.workdir / RECORDS_FILE).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
                sync_file(file)  # before a checkpoint marks this epoch as over
            if self._events is not None:
                scalars = {f"{kind}/{name}": value for name, value in values.items()}
                self._events.add_scalars(scalars, step)

    def close(self) -> None:
        """Closes the TensorBoard file, if there is one.

        Raises:
          UserError: no space, or no permission.
        """
        if (events := vars(self).get("_events")) is not None:
            with writing(self.workdir):
                events.close()
