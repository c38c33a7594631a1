"""Ray: joining a cluster or starting it here, and what its workers need (extra `ray`)."""

from __future__ import annotations

import logging
import os
import socket
from types import ModuleType
from typing import Any

from fakd_jax.errors import UserError
from fakd_jax.runtime.allocator import allocator_environment
from fakd_jax.runtime.extras import import_extra
from fakd_jax.version import __version__

LOCAL = "local"
"""The address that starts Ray on this machine."""

MAX_LOST_WORKERS = 10
"""Workers lost with one task, after which something else than chance kills them."""

CONNECT_SECONDS = 10.0
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""What a client of gRPC, which Ray speaks, sends first: RFC 9113, section 3.4."""
FRAME_HEADER_BYTES = 9
SETTINGS = 4  # type of the frame, in the header's fourth byte, that a server answers with

NO_IMPORT = "failed to import on the worker"  # in Ray's error where this package is missing


def connect(address: str, purpose: str, object_store_bytes: int) -> ModuleType:
    """Joins a cluster, or starts Ray on this machine; it ends with this process at the latest.

    Args:
      address: of a cluster, as HOST:PORT or "auto"; :data:`LOCAL` starts Ray.
      purpose: the command, for messages.
      object_store_bytes: memory for tasks' arguments and results, where Ray is started.

    Returns:
      The module `ray`.

    Raises:
      UserError: Ray is not installed, or there is no cluster at the address.
    """
    ray = import_extra("ray", "ray", purpose)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    here = {"include_dashboard": False, "object_store_memory": object_store_bytes}
    try:
        _require_service(address)
        ray.init(
            address=address,
            logging_level=logging.ERROR,
            log_to_driver=False,
            **(here if address == LOCAL else {}),
        )
    except (OSError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        raise UserError(
            f"cannot connect to Ray at {address} ({' '.join(str(error).split())}); start "
            "it there with `ray start --head`, set RAY_AUTH_MODE=token if it asks for Ray's token, "
            "or leave out --ray-address and unset RAY_ADDRESS to start it on this machine"
        ) from error
    return ray


def _require_service(address: str) -> None:
    """Raises an OSError unless something that speaks gRPC is at HOST:PORT.

    Ray itself would try again for minutes: where nothing listens, and where another program does,
    such as its own dashboard.
    """
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or "/" in host:
        return
    with socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS) as connection:
        if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):  # as Ray reads it
            return  # an encrypted service does not answer in the clear
        connection.sendall(HTTP2_PREFACE)
        answer = connection.makefile("rb").read(FRAME_HEADER_BYTES)
    if answer[3:4] != bytes([SETTINGS]):
        raise ConnectionError("what listens there is not Ray's head node")


def machines(ray: ModuleType) -> list[dict[str, float]]:
    """The resources of each machine that Ray has now, such as CPU and GPU."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def lost_worker_errors(ray: ModuleType) -> tuple[type[Exception], ...]:
    """The errors of a task whose worker died, or whose result died with a machine."""
    errors = ray.exceptions
    return (
        errors.WorkerCrashedError,
        errors.NodeDiedError,
        errors.OutOfMemoryError,
        errors.ObjectLostError,
    )


def result_of(ray: ModuleType, task: Any) -> Any:
    """Waits for a task, and returns its result or raises what it raised.

    Raises:
      UserError: a worker cannot import this package, or Ray itself fails; and the task's own.
      Exception: one of :func:`lost_worker_errors`: give the task again; or a bug in the task.
    """
    errors = ray.exceptions
    try:
        return ray.get(task)
    except lost_worker_errors(ray):
        raise
    except errors.RayTaskError as error:
        cause = error.cause
        if isinstance(cause, ImportError) or NO_IMPORT in str(cause):
            last = str(cause).strip().rpartition("\n")[-1]
            raise UserError(
                f"a worker cannot import what it needs ({last}); install fakd_jax {__version__} "
                "on every machine of Ray's"
            ) from error
        raise cause from error
    except errors.RayError as error:
        raise UserError(f"Ray failed ({reason(error)}); run the same command again") from error


def reason(error: Exception) -> str:
    """The first sentence of an error of Ray's, on one line."""
    return " ".join(str(error).partition(". ")[0].split())


def worker_environment(cpus: int) -> dict[str, str]:
    """Environment variables under which a worker keeps to its CPUs and reuses its memory."""
    environment = {"NPROC": str(cpus)}  # XLA's number of threads
    if tunables := allocator_environment(os.environ):
        environment["GLIBC_TUNABLES"] = tunables["GLIBC_TUNABLES"]
    elif "GLIBC_TUNABLES" in os.environ:
        environment["GLIBC_TUNABLES"] = os.environ["GLIBC_TUNABLES"]
    return environment


def require_version(version: str) -> None:
    """Refuses to work, on a worker, for another version of this package.

    Raises:
      UserError: this machine has another one.
    """
    if version != __version__:
        raise UserError(
            f"{socket.gethostname()} has fakd_jax {__version__}, the machine that gave the task "
            f"{version}; install the same"
        )
