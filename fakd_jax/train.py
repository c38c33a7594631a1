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

from fakd_jax.cli import config_flags
from fakd_jax.cli.runner import (
    CallableModule,
    CommandParser,
    run_command,
    use_compilation_cache,
)

FUNCTION = "fakd_jax.train:train"


DIFFERENT_EXIT_CODE = 1
"""Of `--reproduce`, if the new run differs from the original."""


def main(argv: list[str]) -> None:
    """Trains as the flags ask."""
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
    arguments, overrides = parser.parse_known_args(argv)
    if arguments.reproduce is not None:
        _reproduce(parser, arguments, overrides)
        return
    config, workdir = config_flags.read_config(parser, arguments, overrides)
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
    main([f"--config={config}", f"--workdir={workdir}", *flags])


sys.modules[__name__].__class__ = CallableModule  # `fakd_jax.train(...)` is :func:`train`

if __name__ == "__main__":
    run_command(main)
