"""The baseline: the student learns from the labels only, no teacher (paper, Table 3).

fakd train --config student
fakd train --config student:phantom
"""

from ml_collections import ConfigDict

from fakd_jax.configs import fakd

CHANGES = {"name": "student", "distillation": {"alpha": 0.0, "beta": 0.0}}


def get_config(variant: str = "") -> ConfigDict:
    """Returns the settings of `configs/fakd.py` with the changes above."""
    config = fakd.get_config(variant)
    config.update(CHANGES)
    return config
