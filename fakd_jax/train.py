"""Trains and evaluates: `fakd train --config CONFIG[:variant] [--workdir DIR]`.

The config `fakd` is the whole paper: it fine-tunes the teacher unless one is given, distils the
student, and evaluates both on the test images. `fakd train --reproduce WORKDIR` runs a finished run
again and compares.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from fakd_jax.cli import config_flags
from fakd_jax.cli.runner import (
    CallableModule,
    CommandParser,
    exit_code_of,
    integer,
    run_command,
    use_compilation_cache,
)
from fakd_jax.runtime.distributed import JobFlags, join_job, leave_job, lost_process
from fakd_jax.runtime.supervision import supervise

FUNCTION = "fakd_jax.train:train"


DIFFERENT_EXIT_CODE = 1
"""Of `--reproduce`, if the new run differs from the original."""


def make_parser() -> CommandParser:
    """The flags of `fakd train`."""
    parser = config_flags.config_parser(
        "fakd train", "trains a teacher, a student, or both, and evaluates on test"
    )
    parser.add_argument(
        "--reproduce",
        metavar="WORKDIR",
        type=Path,
        help="run a finished run again, in --workdir (default: WORKDIR-reproduced), and compare "
        "split, losses, weights and metrics; --config.data.source=SOURCE if the data has moved; "
        f"exit code {DIFFERENT_EXIT_CODE} if anything differs",
    )
    job = parser.add_argument_group("devices and processes (detected under SLURM and on Cloud TPU)")
    add = job.add_argument
    add("--platform", choices=("cpu", "gpu", "tpu"), default="", help="(default: JAX's choice)")
    devices = "the devices of this process to train on, e.g. 0,1 (default: all)"
    add("--devices", type=_device_numbers, default=(), metavar="N,...", help=devices)
    add("--coordinator-address", default="", metavar="HOST:PORT", help="of process 0")
    add("--num-processes", type=integer(1), metavar="N", help="in the job")
    add("--process-id", type=integer(0), metavar="N", help="of this process, from 0")
    return parser


def _device_numbers(text: str) -> tuple[int, ...]:
    return tuple(map(integer(0), text.split(",")))


def main(argv: list[str], *, supervised: bool = True) -> None:
    """Trains as the flags ask.

    Args:
      argv: arguments after the command's name.
      supervised: whether a process of a job may fork, see :func:`supervise`.
    """
    parser = make_parser()
    arguments, overrides = parser.parse_known_args(argv)
    job = JobFlags(**{field: getattr(arguments, field) for field in JobFlags.__annotations__})
    job.check()
    if arguments.reproduce is not None:
        if job.is_job():
            parser.error("--reproduce runs as one process")
        join_job(job)
        _reproduce(parser, arguments, overrides)
        return

    def run() -> None:
        config, workdir = config_flags.read_config(parser, arguments, overrides)
        join_job(job)
        try:
            _run(config, workdir)
        except (RuntimeError, ValueError) as error:
            if (lost := lost_process(error)) is None:
                raise
            raise lost from error
        leave_job()

    if supervised and job.is_job():
        supervise(lambda: exit_code_of(run), last=lambda: leave_job(failed=True))
    run()


def _run(config: ConfigDict, workdir: Path) -> None:
    use_compilation_cache()
    from fakd_jax.experiment.run import train_and_evaluate
    from fakd_jax.experiment.settings import parse
    from fakd_jax.training.metric_log import LOGGER, logging_to

    settings = parse(config)
    with logging_to(workdir):
        LOGGER.info("workdir: %s", workdir)
        train_and_evaluate(settings, workdir)


def _reproduce(parser: CommandParser, arguments: argparse.Namespace, overrides: list[str]) -> None:
    """Runs a finished run again, and exits with :data:`DIFFERENT_EXIT_CODE` if it differs."""
    if arguments.config is not None:
        parser.error("--reproduce takes the config of its run; leave out --config")
    use_compilation_cache()
    from fakd_jax.experiment.reproduce import reproduce, stored_config
    from fakd_jax.experiment.settings import parse
    from fakd_jax.training.metric_log import LOGGER, logging_to

    original = arguments.reproduce.absolute()
    config = stored_config(original)
    config_flags.override(parser, config, overrides)
    settings = parse(config)
    workdir = arguments.workdir or original.with_name(f"{original.name}-reproduced")
    with logging_to(workdir):
        LOGGER.info("reproducing %s in %s", original, workdir)
        same = reproduce(settings, original, workdir)
    if not same:
        sys.exit(DIFFERENT_EXIT_CODE)


def train(
    config: str | Path, workdir: str | Path, overrides: Mapping[str, Any] | None = None
) -> None:
    """Runs a config, as `fakd train` does; an interrupted run is resumed.

    Args:
      config: a packaged config or a config file, with its variant: `fakd:phantom`.
      workdir: the folder of the run.
      overrides: keys of the config to change, e.g. `{"student.num_epochs": 5}`.

    Raises:
      UserError: as the command.
    """
    flags = [f"--config.{key}={value}" for key, value in (overrides or {}).items()]
    main([f"--config={config}", f"--workdir={workdir}", *flags], supervised=False)


sys.modules[__name__].__class__ = CallableModule  # `fakd_jax.train(...)` is :func:`train`

if __name__ == "__main__":
    run_command(main)
