"""Trains: `python -m fakd_jax.train --config configs/fakd.py[:variant] [--workdir DIR]`.

With `configs/fakd.py` it does the whole paper: fine-tunes the teacher unless one is given,
distils the student, and evaluates both on the test images.
"""

from __future__ import annotations

from fakd_jax.cli import config_flags
from fakd_jax.cli import runner as cli


def main(argv: list[str]) -> None:
    """Runs the door with the arguments after the program's name."""
    config, workdir = config_flags.parse_config_flags(
        argv, "fakd train", "trains a teacher, a student, or both, and evaluates on test"
    )
    cli.use_compilation_cache()

    from fakd_jax.experiment.run import train_and_evaluate
    from fakd_jax.experiment.settings import parse
    from fakd_jax.training.metric_log import LOGGER, start_logging

    settings = parse(config)
    end_logging = start_logging(workdir)
    try:
        LOGGER.info("workdir: %s", workdir)
        train_and_evaluate(settings, workdir)
    finally:
        end_logging()


if __name__ == "__main__":
    cli.run_command(main)
