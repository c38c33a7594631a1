"""The robust recipe, and taught where to look: at the lesions outlined in training images.

    fakd train --config lesions --config.data.lesion_masks=FOLDER_OR_ARCHIVE
    fakd train --config lesions:phantom

The phantoms come with masks of their lesions.
"""

from ml_collections import ConfigDict

from fakd_jax.configs import robust

CHANGES = {
    "name": "lesions",
    "data": {"lesion_masks": "own"},
    "augmentation": {"lesion_infill": 0.5},
    "distillation": {"terms": {"counterfactual": 0.1}},
}


def get_config(variant: str = "") -> ConfigDict:
    """Returns the settings of `configs/robust.py` with the changes above."""
    config = robust.get_config(variant)
    config.update(CHANGES)
    return config
