"""Feature alignment only: cross-entropy and aligned features, no softened logits (eq. 3).

python -m fakd_jax.train --config configs/feature.py
python -m fakd_jax.train --config configs/feature.py:phantom
"""

from ml_collections import ConfigDict

from fakd_jax.configs import fakd

CHANGES = {"name": "feature", "distillation": {"alpha": 0.0}}


def get_config(variant: str = "") -> ConfigDict:
    """Returns the settings of `configs/fakd.py` with what makes this experiment another."""
    config = fakd.get_config(variant)
    config.update(CHANGES)
    return config
