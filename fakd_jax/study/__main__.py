"""Runs a study, or resumes it: `fakd study --config study[:variant] [--workdir DIR]`."""

from __future__ import annotations

from fakd_jax.cli import config_flags
from fakd_jax.cli import runner as cli


def main(argv: list[str]) -> None:
    """Runs the command with the arguments after the program's name."""
    config, workdir = config_flags.parse_config_flags(
        argv, "fakd study", "trains every method under every seed and split, and compares them"
    )
    cli.use_compilation_cache()

    from fakd_jax.runs.files import STUDY_LOG_FILE
    from fakd_jax.study.run import run_study
    from fakd_jax.training.metric_log import LOGGER, logging_to

    with logging_to(workdir, STUDY_LOG_FILE):
        LOGGER.info("workdir: %s", workdir)
        run_study(config, workdir)


if __name__ == "__main__":
    cli.run_command(main)
