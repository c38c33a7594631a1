"""PyTorch weights in and out: files, names (one table per naming), conversion, download.

Weights fit completely or are refused. May import models, runtime and errors.
"""

from fakd_jax.models.torch_weights.convert import LoadReport, load_state_dict, to_state_dict
from fakd_jax.models.torch_weights.files import read_state_dict, read_weights

__all__ = ["LoadReport", "load_state_dict", "read_state_dict", "read_weights", "to_state_dict"]
