"""Flags of commands whose work Ray's workers may do."""

from __future__ import annotations

import argparse
import os

from fakd_jax.cli.runner import CommandParser
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
