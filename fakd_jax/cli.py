"""What every door shares: errors as one line, exit codes, and a quiet, cached JAX."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from fakd_jax.errors import UserError

USER_ERROR_EXIT_CODE = 2
INTERRUPTED_EXIT_CODE = 130


class DoorParser(argparse.ArgumentParser):
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
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 1.0)


def run_door(main: Callable[[list[str]], None], argv: list[str] | None = None) -> None:
    """Runs a door's `main(argv)` and ends the process with its exit code.

    Args:
      main: takes the arguments after the program's name; raises :class:`UserError` for
        whatever the user can mend.
      argv: those arguments; `sys.argv[1:]` when None.

    Exit codes: 0 done; 2 a :class:`UserError` or wrong flags, told in one line;
    130 interrupted with Ctrl-C. Anything else is a defect of ours and keeps its traceback.
    """
    try:
        main(sys.argv[1:] if argv is None else argv)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(USER_ERROR_EXIT_CODE)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED_EXIT_CODE)
