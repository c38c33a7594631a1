"""What every door shares: errors as one line, exit codes, and a quiet, cached JAX."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn

from fakd_jax.errors import UserError

USER_ERROR_EXIT_CODE = 2
INTERRUPTED_EXIT_CODE = 130
# Freed memory stays with the process (one arena, for only the main one can hold such pieces; no
# piece is mapped for itself or given back), in pages of 2 MiB where the kernel has them on request.
ALLOCATOR_TUNABLES = (
    "glibc.malloc.hugetlb=1:glibc.malloc.arena_max=1:"
    "glibc.malloc.mmap_threshold=17179869184:glibc.malloc.trim_threshold=17179869184"
)


class CommandParser(argparse.ArgumentParser):
    """An argument parser that tells a wrong flag in one line, as every other error."""

    def error(self, message: str) -> NoReturn:
        """Raises :class:`UserError` in place of printing the usage and exiting."""
        raise UserError(f"{message} (see {self.prog} --help)")


def compilation_cache_folder() -> Path:
    """The folder of XLA's persistent compilation cache (`JAX_COMPILATION_CACHE_DIR` overrides)."""
    if chosen := os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return Path(chosen)
    cache_home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache_home) / "fakd_jax" / "xla"


def use_compilation_cache() -> None:
    """Lets a second start skip the compilation of what the first one compiled."""
    import jax

    jax.config.update("jax_compilation_cache_dir", str(compilation_cache_folder()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def allocator_environment(environment: Mapping[str, str]) -> dict[str, str] | None:
    """The environment in which glibc keeps freed memory and asks for huge pages.

    For every step XLA on CPU allocates its activations, gigabytes, in one piece, and frees them.
    glibc returns a piece of that size to the kernel at once, and the next step waits while the
    kernel hands the same memory out again, zeroed, in pages of 4 KiB: a fifth of a step and more.
    What reads these settings is the start of a process, hence an environment.

    Args:
      environment: the process's own.

    Returns:
      None where glibc is not the C library, or where the user has decided about its allocator
      (any `glibc.malloc` in `GLIBC_TUNABLES`).
    """
    tunables = environment.get("GLIBC_TUNABLES", "")
    libc = os.confstr("CS_GNU_LIBC_VERSION") if sys.platform == "linux" else None
    if not (libc or "").startswith("glibc") or "glibc.malloc" in tunables:
        return None
    asked = ":".join(filter(None, (tunables, ALLOCATOR_TUNABLES)))
    return {**environment, "GLIBC_TUNABLES": asked}


def use_allocator_settings() -> None:
    """Replaces this process by the same command under :func:`allocator_environment`.

    `GLIBC_TUNABLES=glibc.malloc.hugetlb=0` in the environment, for one, prevents it.
    """
    environment = allocator_environment(os.environ)
    if environment is not None:
        sys.stdout.flush()
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def run_command(main: Callable[[list[str]], None], argv: list[str] | None = None) -> None:
    """Runs a door's `main(argv)` and ends the process with its exit code.

    A process started for the door (no `argv`) first gets the allocator's settings: see
    :func:`use_allocator_settings`.

    Args:
      main: takes the arguments after the program's name; raises :class:`UserError` for
        whatever the user can mend.
      argv: those arguments; `sys.argv[1:]` when None.

    Exit codes: 0 done; 2 a :class:`UserError` or wrong flags, told in one line;
    130 interrupted with Ctrl-C. Anything else is a defect of ours and keeps its traceback.
    """
    if argv is None:
        use_allocator_settings()
    try:
        main(sys.argv[1:] if argv is None else argv)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(USER_ERROR_EXIT_CODE)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED_EXIT_CODE)
