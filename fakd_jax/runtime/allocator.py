"""glibc settings under which a training step on CPU reuses its memory."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

# Freed memory stays with the process (a single arena, since only the main one can hold blocks of
# this size, and neither mmap nor trimming), in pages of 2 MiB where the kernel offers them.
ALLOCATOR_TUNABLES = (
    "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1:"
    "glibc.malloc.mmap_threshold=17179869184:glibc.malloc.trim_threshold=17179869184"
)


def allocator_environment(environment: Mapping[str, str]) -> dict[str, str] | None:
    """Extends `GLIBC_TUNABLES` so that glibc keeps freed memory and asks for huge pages.

    XLA on CPU allocates a step's activations, gigabytes, as one block and frees them after it.
    By default glibc returns such a block to the kernel, and the next step waits while the kernel
    zeroes the same memory page by page: a fifth of a step and more.

    Returns:
      The new environment; None if glibc is not the C library, or if the user has set a
      `glibc.malloc` tunable.
    """
    tunables = environment.get("GLIBC_TUNABLES", "")
    libc = os.confstr("CS_GNU_LIBC_VERSION") if sys.platform == "linux" else None
    if not (libc or "").startswith("glibc") or "glibc.malloc" in tunables:
        return None
    extended = ":".join(filter(None, (tunables, ALLOCATOR_TUNABLES)))
    return {**environment, "GLIBC_TUNABLES": extended}


def use_allocator_settings() -> None:
    """Replaces this process by the same command under :func:`allocator_environment`.

    glibc reads its settings only when a process starts.
    """
    environment = allocator_environment(os.environ)
    if environment is not None:
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)
