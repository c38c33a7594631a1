"""Logit distillation only: cross-entropy and softened logits, no feature alignment (eq. 2).

fakd train --config kd
fakd train --config kd:phantom
"""

from ml_collections import ConfigDict

from fakd_jax.configs import fakd

CHANGES = {"name": "kd", "distillation": {"beta": 0.0}}


def get_config(variant: str = "") -> ConfigDict:
    """Returns the settings of `configs/fakd.py` with the changes above."""
    config = fakd.get_config(variant)
    config.update(CHANGES)
    return config
