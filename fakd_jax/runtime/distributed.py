"""The processes and devices of a training job: :mod:`jax.distributed`, or this process alone."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fakd_jax.errors import LostProcessError, UserError

HEARTBEAT_TIMEOUT_S = 30
"""A process that is not heard from for so long ends the job."""
JOIN_TIMEOUT_S = 300
_LINGER_S = 5.0
_REASON_LENGTH = 200
_BROKEN_COLLECTIVE = ("Gloo", "NCCL", "coordination service", "Connection closed by peer")


@dataclass(frozen=True)
class JobFlags:
    """The flags of `fakd train` that start its processes and choose its devices.

    Attributes:
      coordinator_address: host:port of process 0; "" to detect the job, if there is one.
      num_processes: in the job.
      process_id: of this process, from 0.
      platform: "cpu", "gpu", "tpu"; "" for JAX's choice.
      devices: indices of this process's devices; empty for all.
    """

    coordinator_address: str = ""
    num_processes: int | None = None
    process_id: int | None = None
    platform: str = ""
    devices: tuple[int, ...] = ()

    def check(self) -> None:
        """Checks that the flags fit together.

        Raises:
          UserError: they do not.
        """
        given = (self.coordinator_address or None, self.num_processes, self.process_id)
        if any(value is not None for value in given):
            if None in given:
                raise UserError(
                    "give --coordinator-address, --num-processes and --process-id together"
                )
            assert self.num_processes is not None
            assert self.process_id is not None
            if ":" not in self.coordinator_address:
                raise UserError(
                    f"--coordinator-address={self.coordinator_address} has no port; "
                    "give HOST:PORT, a free port of process 0's machine"
                )
            if self.process_id >= self.num_processes:
                raise UserError(
                    f"--process-id={self.process_id} is not below "
                    f"--num-processes={self.num_processes}; processes count from 0"
                )
        if len(set(self.devices)) < len(self.devices):
            raise UserError(f"--devices={','.join(map(str, self.devices))} names a device twice")

    def is_job(self, environment: Mapping[str, str] = os.environ) -> bool:
        """Whether this process may be one of several: by the flags, SLURM, Open MPI or a TPU."""
        if self.coordinator_address:
            return True
        if self.platform == "cpu" and not _launched_tasks(environment):
            return False
        return _launched_tasks(environment) > 1 or _on_cloud_tpu()


def _launched_tasks(environment: Mapping[str, str]) -> int:
    """The number of tasks in this `srun` step or `mpirun`; 0 outside of them."""
    for name in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE"):
        if (number := environment.get(name, "")).isdecimal():
            return int(number)
    return 0


def _on_cloud_tpu() -> bool:
    return find_spec("libtpu") is not None and any(
        Path("/dev").glob(pattern) for pattern in ("accel*", "vfio/[0-9]*")
    )


def refuse_several_processes(command: str) -> None:
    """Checks that a command that runs as one process was not started as several.

    Raises:
      UserError: it was.
    """
    if (tasks := _launched_tasks(os.environ)) > 1:
        raise UserError(
            f"{command} runs as one process and was started as {tasks}; start it once "
            "(srun --ntasks=1); only fakd train spreads over several"
        )


def join_job(flags: JobFlags) -> None:
    """Joins the other processes and chooses the devices, before JAX is first used.

    Raises:
      UserError: the processes do not find one another; there is no such device.
    """
    import jax

    flags.check()
    if flags.platform:
        jax.config.update("jax_platforms", flags.platform)
    if flags.is_job() and not jax.distributed.is_initialized():
        _initialize(flags)
    elif flags.devices:
        visible = ",".join(map(str, flags.devices))
        jax.config.update("jax_cuda_visible_devices", visible)
        jax.config.update("jax_rocm_visible_devices", visible)
    _choose_devices(flags.devices)


def _initialize(flags: JobFlags) -> None:
    import jax

    # Its handler of SIGTERM would replace the one that saves and stops.
    jax.config.update("jax_enable_preemption_service", False)
    explicit = bool(flags.coordinator_address)
    try:
        jax.distributed.initialize(
            flags.coordinator_address or None,
            flags.num_processes,
            flags.process_id,
            flags.devices or None,
            cluster_detection_method="deactivate" if explicit else None,
            initialization_timeout=JOIN_TIMEOUT_S,
            heartbeat_timeout_seconds=HEARTBEAT_TIMEOUT_S,
        )
        jax.devices()  # opens the backend, for which the processes wait for one another
    except (RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"this process could not join the job ({reason}); check that all processes are "
            "started, and that they reach the coordinator's address"
        ) from error


def _choose_devices(indices: tuple[int, ...]) -> None:
    """Restricts :func:`mesh_devices` to some of the local devices."""
    global _chosen
    import jax

    _chosen = None
    if not indices:
        return
    try:
        local = jax.local_devices()
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"no device of --devices can be used ({reason})") from error
    if jax.default_backend() == "gpu":  # JAX sees the chosen ones alone
        if len(local) < len(indices):
            raise UserError(f"--devices chooses {len(indices)} GPUs; JAX finds {len(local)}")
        return
    if jax.process_count() > 1:
        raise UserError(
            "--devices chooses GPUs when there are several processes; "
            "set JAX_NUM_CPU_DEVICES or TPU_VISIBLE_CHIPS for each process instead"
        )
    if unknown := [index for index in indices if index >= len(local)]:
        raise UserError(
            f"--devices: there is no device {unknown[0]}; JAX finds {len(local)} "
            f"({local[0].platform}), numbered from 0"
        )
    _chosen = tuple(local[index] for index in indices)
    jax.config.update("jax_default_device", _chosen[0])


_chosen: tuple[Any, ...] | None = None


def mesh_devices() -> list[Any]:
    """The devices of the job, those of process 0 first, as many of each process.

    Raises:
      UserError: the processes have different numbers of devices.
    """
    import jax

    if _chosen is not None:
        return list(_chosen)
    devices = sorted(jax.devices(), key=lambda device: (device.process_index, device.id))
    counts = [
        sum(device.process_index == process for device in devices)
        for process in range(jax.process_count())
    ]
    if len(set(counts)) > 1:
        raise UserError(
            f"the processes have {', '.join(map(str, counts))} devices; give each as many"
        )
    return devices


def process_count() -> int:
    """The number of processes in the job."""
    return _state().num_processes


def process_index() -> int:
    """This process's number in the job, from 0."""
    return _state().process_id


def is_writer() -> bool:
    """Whether this process writes files and logs: process 0 alone does."""
    return process_index() == 0


def coordination_client() -> Any:
    """The client of JAX's coordination service; only with several processes."""
    return _state().client


def _state() -> Any:
    """JAX's record of the job, for which it has no public name."""
    from jax._src.distributed import global_state

    return global_state


def leave_job(*, failed: bool = False) -> None:
    """Leaves the job.

    Args:
      failed: this process leaves early. Process 0 hosts the coordination service, without which the
        others abort: it gives them time to report their own end.
    """
    import jax

    if process_count() == 1:
        return
    if not failed:
        jax.distributed.shutdown()
    elif is_writer():
        time.sleep(_LINGER_S)


def lost_process(error: Exception) -> LostProcessError | None:
    """What to raise for an error of JAX whose cause is that another process ended; else None."""
    if process_count() == 1 or not any(words in str(error) for words in _BROKEN_COLLECTIVE):
        return None
    reason = str(error).partition("\n")[0][:_REASON_LENGTH]
    return LostProcessError(
        f"process {process_index()} lost another process of the job, which has ended or cannot be "
        "reached; its own log says why. The last checkpoint is kept: start all processes again to "
        f"resume ({reason})"
    )
