"""A study of three tiny cells, and what its report must have in common with another run's."""

SMALL_STUDY = {"methods": ("teacher", "student", "fakd"), "seeds": (0,)}

# The same as a config file: processes of their own import it, and with it the tiny networks.
CONFIG_FILE = f"""
from fakd_jax.configs import study
from tests.tiny import register_tiny_models

register_tiny_models()


def get_config():
    config = study.get_config()
    config.study.update({SMALL_STUDY})
    config.base.checkpoint_minutes = 0.0
    return config
"""


def without_times(report):
    """A report but for how long its cells took."""
    cells = [{key: row[key] for key in row if key != "seconds"} for row in report["cells"]]
    return report | {"cells": cells}
