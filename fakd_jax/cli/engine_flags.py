"""Flags of commands whose work Ray's workers may do."""

from __future__ import annotations

import argparse
import functools
import os
import socket
from collections.abc import Callable, Sequence

from fakd_jax.cli.imports import import_modules
from fakd_jax.cli.runner import CommandParser, use_compilation_cache
from fakd_jax.errors import UserError
from fakd_jax.runtime.ray import LOCAL

RAY = "ray"


def add_engine_flags(parser: CommandParser, local: str) -> argparse._ArgumentGroup:
    """Adds `--engine` and `--ray-address`.

    Args:
      parser: of the command.
      local: what `--engine local` means, for its help.

    Returns:
      The group for further flags that need `--engine ray`.
    """
    parser.add_argument(
        "--engine",
        choices=("local", RAY),
        default="local",
        help=f"local: {local}. ray: on Ray's workers (default: %(default)s)",
    )
    group = parser.add_argument_group("with --engine ray")
    group.add_argument(
        "--ray-address",
        metavar="HOST:PORT",
        help='a cluster to join; "auto" finds that of this machine (default: $RAY_ADDRESS, else '
        "Ray is started on this machine)",
    )
    return group


def ray_address(arguments: argparse.Namespace, *others: str) -> str | None:
    """The address to connect to; None if the engine is local.

    Args:
      arguments: the parsed flags.
      others: names of further flags that need `--engine ray`, None where they are not given.

    Raises:
      UserError: a flag of Ray's without `--engine ray`.
    """
    if arguments.engine == RAY:
        return arguments.ray_address or os.environ.get("RAY_ADDRESS") or LOCAL
    names = ("ray_address", *others)
    given = [name for name in names if getattr(arguments, name) is not None]
    if given:
        given = [f"--{name.replace('_', '-')}" for name in given]
        raise UserError(f"{', '.join(given)} needs --engine ray")
    return None


def worker_preparation(modules: Sequence[str]) -> Callable[[], None]:
    """What a worker calls before it works for this command; it can be pickled.

    Args:
      modules: as given to `--import`. Workers import them too, if need be from this process's
        working directory, which need not be theirs.
    """
    return functools.partial(_prepare_worker, tuple(modules), os.getcwd())


def _prepare_worker(modules: Sequence[str], folder: str) -> None:
    use_compilation_cache()
    try:
        import_modules(modules, folder)
    except UserError as error:
        raise UserError(
            f"on Ray's machine {socket.gethostname()}, {error}; every machine must have the "
            f"module, installed or in {folder}"
        ) from error
