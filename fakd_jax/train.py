"""Trains and evaluates: `fakd train --config CONFIG[:variant] [--workdir DIR]`.

The config `fakd` is the whole paper: it fine-tunes the teacher unless one is given, distils the
student, and evaluates both on the test images.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fakd_jax.cli import config_flags
from fakd_jax.cli.runner import CallableModule, run_command, use_compilation_cache

FUNCTION = "fakd_jax.train:train"


def main(argv: list[str]) -> None:
    """Trains as the flags ask."""
    config, workdir = config_flags.parse_config_flags(
        argv, "fakd train", "trains a teacher, a student, or both, and evaluates on test"
    )
    use_compilation_cache()
    from fakd_jax.experiment.run import train_and_evaluate
    from fakd_jax.experiment.settings import parse
    from fakd_jax.training.metric_log import LOGGER, logging_to

    settings = parse(config)
    with logging_to(workdir):
        LOGGER.info("workdir: %s", workdir)
        train_and_evaluate(settings, workdir)


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
