"""The teacher alone: ResNet-50 fine-tuned with cross-entropy (paper, section III-A).

fakd train --config teacher
fakd train --config teacher:phantom
"""

from ml_collections import ConfigDict

from fakd_jax.configs import fakd

CHANGES = {"name": "teacher", "train": "teacher"}


def get_config(variant: str = "") -> ConfigDict:
    """Returns the settings of `configs/fakd.py` with the changes above."""
    config = fakd.get_config(variant)
    config.update(CHANGES)
    return config
