"""What a run tells: `train.log`, `metrics.jsonl`, TensorBoard events and a progress bar."""

from __future__ import annotations

import functools
import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fakd_jax.errors import UserError
from fakd_jax.runs.files import LOG_FILE, RECORDS_FILE
from fakd_jax.runs.workdir import read_records
from fakd_jax.runtime.atomic_files import write_whole

LOGGER = logging.getLogger("fakd_jax")


def start_logging(
    workdir: Path, file_name: str = LOG_FILE, *, console: bool = True
) -> Callable[[], None]:
    """Sends the package's log to a file, with times and details, and to the console.

    Args:
      workdir: made if absent; the log is appended to.
      file_name: of the log in it.
      console: False for the file alone, where the console has the log already.

    Returns:
      A function that ends it.

    Raises:
      UserError: the workdir can't be written.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        file = logging.FileHandler(workdir / file_name, encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"cannot write to the workdir {workdir}: {error.strerror}; choose another --workdir"
        ) from error
    file.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    handlers: list[logging.Handler] = [file]
    if console:
        screen = logging.StreamHandler(sys.stdout)
        screen.setFormatter(logging.Formatter("%(message)s"))
        screen.setLevel(logging.INFO)
        handlers.append(screen)
    LOGGER.setLevel(logging.DEBUG)
    LOGGER.propagate = False
    for handler in handlers:
        LOGGER.addHandler(handler)

    def end() -> None:
        for handler in handlers:
            LOGGER.removeHandler(handler)
        file.close()

    return end


class Logbook:
    """The records of one phase, in `metrics.jsonl` and as TensorBoard events."""

    def __init__(self, workdir: Path, phase: str, *, resume_step: int) -> None:
        """Opens the book at a step.

        Args:
          workdir: of the run.
          phase: "teacher" or "student".
          resume_step: records of this phase after it are dropped: they will be made again.
        """
        self.workdir = workdir
        self.phase = phase
        kept = [
            record
            for record in read_records(workdir)
            if record["phase"] != phase or record["step"] <= resume_step
        ]
        write_whole(workdir / RECORDS_FILE, "".join(json.dumps(record) + "\n" for record in kept))
        self._first_step = resume_step + 1

    @functools.cached_property
    def _events(self) -> Any:
        """Opened with the first record: its import takes as long as a step or two."""
        from tensorboardX import SummaryWriter

        folder = self.workdir / "tensorboard" / self.phase
        return SummaryWriter(str(folder), purge_step=self._first_step)

    def record(self, kind: str, *, step: int, epoch: int, values: dict[str, float]) -> None:
        """Adds one record.

        Args:
          kind: "train" or "val".
          step: updates made.
          epoch: 1-based.
          values: named figures, e.g. {"loss": .3, "accuracy": .9}.

        Raises:
          UserError: no room, or no permission.
        """
        line = {"phase": self.phase, "kind": kind, "step": step, "epoch": epoch, **values}
        with self._writing():
            with (self.workdir / RECORDS_FILE).open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            for name, value in values.items():
                self._events.add_scalar(f"{kind}/{name}", value, step)
            self._events.flush()

    def close(self) -> None:
        """Ends the TensorBoard file, if there is one.

        Raises:
          UserError: no room, or no permission.
        """
        if "_events" in vars(self):
            with self._writing():
                self._events.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Tells in one line that a record could not be written."""
        try:
            yield
        except OSError as error:
            raise UserError(
                f"cannot write the records of {self.workdir}: {error.strerror or error}; "
                "free some room or choose another --workdir"
            ) from error


def progress_bar(*, total: int, done: int, description: str) -> Any:
    """A bar counting images, with images/s and the time left.

    Where the output is no terminal it prints a line every half minute instead of reinitialisation.
    """
    from tqdm import tqdm

    return tqdm(
        total=total,
        initial=done,
        desc=description,
        unit=" images",
        mininterval=0.2 if sys.stderr.isatty() else 30.0,
        dynamic_ncols=True,
        leave=False,
    )
