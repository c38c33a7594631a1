"""Stand-ins for Ray's errors, so that its users are tested without it."""

from __future__ import annotations

from types import SimpleNamespace


class RayError(Exception):
    """Any error of Ray's."""


class LostWorkerError(RayError):
    """A worker has died, or its result with a machine."""


class TaskError(RayError):
    """A task has raised an error."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


EXCEPTIONS = SimpleNamespace(
    WorkerCrashedError=LostWorkerError,
    NodeDiedError=LostWorkerError,
    OutOfMemoryError=LostWorkerError,
    ObjectLostError=LostWorkerError,
    RayTaskError=TaskError,
    RayError=RayError,
)
"""In place of `ray.exceptions`."""
