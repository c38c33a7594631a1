"""The software and hardware that a result depends on."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from fakd_jax.runtime.distributed import mesh_devices
from fakd_jax.version import __version__

# Libraries whose version can change a result's last bits, or the images that are read.
LIBRARIES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "numpy",
    "grain",
    "array-record",
    "tensorflow-datasets",
    "pillow",
)


def describe_environment() -> dict[str, Any]:
    """The devices of the mesh, the flags they compile with, and the software's versions.

    Returns:
      `platform`, `device`, `device_count`, `process_count`, `cpu_count`, `system`, `xla_flags`
      (`XLA_FLAGS`, "" if unset), `python`, `fakd_jax`, and a version per library.
    """
    import jax

    devices = mesh_devices()
    device = devices[0]
    name = _processor_name() if device.platform == "cpu" else device.device_kind
    return {
        "platform": device.platform,
        "device": name,
        "device_count": len(devices),
        "process_count": jax.process_count(),
        "cpu_count": _usable_cpus(),
        "system": f"{platform.system()} {platform.machine()}",
        "xla_flags": os.environ.get("XLA_FLAGS", "").strip(),
        "python": platform.python_version(),
        "fakd_jax": __version__,
        **{library: metadata.version(library) for library in LIBRARIES},
    }


def environment_differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What differs between two environments, in the order of the second: "jax was 0.10, is 0.11".

    A key that one of them lacks, since another version of the package wrote it, is left out.
    """
    return [
        f"{key} was {before[key]!s}, is {value!s}"
        for key, value in after.items()
        if key in before and before[key] != value
    ]


def _processor_name() -> str:
    """The CPU's model where Linux reports it, else its architecture."""
    information = Path("/proc/cpuinfo")
    text = information.read_text(encoding="utf-8") if information.is_file() else ""
    named = re.search(r"^model name\s*: *(.*\S)", text, re.MULTILINE)
    return named[1] if named else platform.processor() or platform.machine()


def _usable_cpus() -> int:
    """The processors that this process may use: `NPROC`, or a container, may allow fewer.

    XLA has as many threads, on which the last bits of its sums depend.
    """
    if (reserved := os.environ.get("NPROC", "")).isdecimal():
        return int(reserved)
    if hasattr(os, "sched_getaffinity"):  # on Linux only
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
