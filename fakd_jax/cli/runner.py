"""What every command shares: flags, one-line errors, exit codes and the compilation cache."""

from __future__ import annotations

import argparse
import errno
import inspect
import os
import pkgutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from fakd_jax.cli.imports import import_modules
from fakd_jax.errors import UserError
from fakd_jax.runtime.allocator import use_allocator_settings
from fakd_jax.runtime.supervision import INTERRUPTED_EXIT_CODE

# Flags that have another name now; the old one is still accepted.
RENAMED_FLAGS = {"--redraws": "--reinitialisations"}


class CommandParser(argparse.ArgumentParser):
    """An argument parser with one-line errors and flags in kebab-case.

    `--per_class` and `--per-class` are the same flag: declare the latter. Every command has
    `--import`, see :mod:`fakd_jax.cli.imports`.

    Attributes:
      modules: what `--import` named, once arguments have been parsed.
    """

    modules: tuple[str, ...] = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.add_argument(
            "--import",
            dest="modules",
            metavar="MODULE",
            action="append",
            default=[],
            help="import this module first, such as one that registers networks; repeatable",
        )

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parses `args` after bringing flags in an old spelling up to date, and imports modules."""
        args = list(sys.argv[1:] if args is None else args)
        end = args.index("--") if "--" in args else len(args)
        current = [self._current_spelling(argument) for argument in args[:end]]
        flags, others = super().parse_known_args(current + args[end:], namespace)
        self.modules = tuple(flags.modules)
        del flags.modules  # commands pass their flags on
        import_modules(self.modules)
        return flags, others

    def _current_spelling(self, argument: str) -> str:
        """`--per_class=2` as `--per-class=2`, where that is a flag; anything else as it is."""
        name, equals, value = argument.partition("=")
        if not name.startswith("--") or name in self._option_string_actions:
            return argument
        flag = RENAMED_FLAGS.get(name, name).replace("_", "-")
        known = any(option.startswith(flag) for option in self._option_string_actions)
        return f"{flag}{equals}{value}" if known else argument

    def error(self, message: str) -> NoReturn:
        """Raises :class:`UserError` instead of printing the usage and exiting."""
        raise UserError(f"{message} (see {self.prog} --help)")


def integer(minimum: int, maximum: int | None = None) -> Callable[[str], int]:
    """The type of a flag that takes an integer of at least `minimum` and at most `maximum`."""

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not an integer") from None
        if value < minimum or (maximum is not None and value > maximum):
            bounds = f"at least {minimum}" if maximum is None else f"from {minimum} to {maximum}"
            raise argparse.ArgumentTypeError(f"must be an integer {bounds}, not {text}")
        return value

    return convert


def shares(text: str) -> tuple[float, ...]:
    """The type of a flag that takes shares between 0 and 1, separated by commas."""
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of numbers") from None
    if not all(0 < value < 1 for value in values):
        raise argparse.ArgumentTypeError(f"must lie between 0 and 1, such as 0.95, not {text}")
    return values


class CallableModule(ModuleType):
    """A command's module that is also the library function of the same name.

    Thus `fakd_jax.explain(...)` works whether or not the module has been imported. The module
    names the function in `FUNCTION`, as `module:function`, which is imported when it is called.
    """

    FUNCTION: str

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the function."""
        return pkgutil.resolve_name(self.FUNCTION)(*args, **kwargs)

    @property
    def __signature__(self) -> inspect.Signature:
        """The function's, for `help` and `inspect.signature`."""
        return inspect.signature(pkgutil.resolve_name(self.FUNCTION))


def compilation_cache_folder() -> Path:
    """The folder of XLA's persistent compilation cache (`JAX_COMPILATION_CACHE_DIR` overrides)."""
    if chosen := os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        return Path(chosen)
    cache_home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache_home) / "fakd_jax" / "xla"


def use_compilation_cache() -> None:
    """Keeps compiled programs on disk, so that a second start need not compile them."""
    import jax

    jax.config.update("jax_compilation_cache_dir", str(compilation_cache_folder()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def run_command(main: Callable[[list[str]], None], argv: list[str] | None = None) -> None:
    """Runs a command's `main(argv)` and exits with its code if it fails.

    Exit codes: see :func:`exit_code_of`.

    Args:
      main: takes the arguments after the command's name.
      argv: those arguments. None takes `sys.argv[1:]` and restarts the process with
        :func:`use_allocator_settings` first.
    """
    if argv is None:
        use_allocator_settings()
        argv = sys.argv[1:]
    _pass_over_late_writes()
    if code := exit_code_of(lambda: main(argv)):
        sys.exit(code)


def _pass_over_late_writes() -> None:
    """Prints no traceback for each write of TensorStore that ends after another one has failed.

    Orbax closes its event loop at the first failure, which is reported itself.
    """
    show = sys.unraisablehook

    def show_others(unraisable: sys.UnraisableHookArgs) -> None:
        if str(unraisable.exc_value) != "Event loop is closed":
            show(unraisable)

    sys.unraisablehook = show_others


def exit_code_of(run: Callable[[], None]) -> int:
    """Runs a command, prints why it fails on one line and returns its exit code.

    Returns:
      0 done; 2 a :class:`UserError`, a wrong flag or a path that is too long; 3 another process of
      the job was lost; 130 interrupted with Ctrl-C. Anything else is a bug and is raised.
    """
    try:
        run()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        print(f"error: {error.filename!r} is too long for a path", file=sys.stderr)
        return UserError.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED_EXIT_CODE
    return 0
