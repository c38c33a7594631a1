"""Runs a study, or resumes it: `fakd study --config study[:variant] [--workdir DIR]`."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

from fakd_jax.cli import config_flags
from fakd_jax.cli import runner as cli
from fakd_jax.cli.engine_flags import add_engine_flags, ray_address

if TYPE_CHECKING:
    from fakd_jax.study.run import Engine


def main(argv: list[str]) -> None:
    """Runs the command with the arguments after the program's name."""
    parser = _parser()
    arguments, overrides = parser.parse_known_args(argv)
    config, workdir = config_flags.read_config(parser, arguments, overrides)
    engine = _engine(arguments, parser.modules)
    cli.use_compilation_cache()

    from fakd_jax.runs.files import STUDY_LOG_FILE
    from fakd_jax.study.run import run_study
    from fakd_jax.training.metric_log import LOGGER, logging_to

    with logging_to(workdir, STUDY_LOG_FILE):
        LOGGER.info("workdir: %s", workdir)
        run_study(config, workdir, engine)


def _parser() -> cli.CommandParser:
    parser = config_flags.config_parser(
        "fakd study", "trains every method under every seed and split, and compares them"
    )
    ray = add_engine_flags(
        parser, "in this process; start the same command several times to share the cells"
    )
    ray.add_argument(
        "--cpus-per-cell",
        type=cli.integer(1),
        metavar="N",
        help="CPUs reserved for a cell, and its threads (default: 4, or what the machine has)",
    )
    ray.add_argument(
        "--gpus-per-cell",
        type=_gpus,
        metavar="N",
        help="GPUs reserved for a cell, e.g. 1 or 0.5 (default: 1 if there are any, else 0)",
    )
    return parser


def _engine(arguments: argparse.Namespace, modules: tuple[str, ...]) -> Engine:
    """The engine that the flags ask for, whose workers import these modules.

    Raises:
      UserError: a flag of Ray's without `--engine ray`.
    """
    from fakd_jax.study.engines.local import LocalEngine
    from fakd_jax.study.engines.ray import RayEngine, RayOptions

    address = ray_address(arguments, "cpus_per_cell", "gpus_per_cell")
    if address is None:
        return LocalEngine()
    options = RayOptions(
        config=arguments.config,
        address=address,
        cpus_per_cell=arguments.cpus_per_cell,
        gpus_per_cell=arguments.gpus_per_cell,
        modules=modules,
    )
    return RayEngine(options)


def _gpus(text: str) -> float:
    """A number of GPUs: an integer, or a fraction below 1."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 <= value < math.inf or (value > 1 and not value.is_integer()):
        raise argparse.ArgumentTypeError(f"must be an integer or between 0 and 1, not {text}")
    return value


if __name__ == "__main__":
    cli.run_command(main)
