"""Feature alignment only: cross-entropy and aligned features, no softened logits (eq. 3).

fakd train --config feature
fakd train --config feature:phantom
"""

from ml_collections import ConfigDict

from fakd_jax.configs import fakd

CHANGES = {"name": "feature", "distillation": {"alpha": 0.0}}


def get_config(variant: str = "") -> ConfigDict:
    """Returns the settings of `configs/fakd.py` with the changes above."""
    config = fakd.get_config(variant)
    config.update(CHANGES)
    return config
