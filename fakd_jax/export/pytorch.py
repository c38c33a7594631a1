"""Safetensors with the names of torchvision's network, or of another library's that does the same.

A network with the settings of timm's or transformers' goes back to that library, as torchvision's
network would compute something else.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from flax import nnx

from fakd_jax.errors import UserError
from fakd_jax.export.header import as_texts, describe_network
from fakd_jax.export.request import Request
from fakd_jax.inference.predictor import Predictor
from fakd_jax.models.registry import create_as_stored
from fakd_jax.models.state import flatten_state, model_state
from fakd_jax.models.torch_weights import load_state_dict, read_weights, to_state_dict
from fakd_jax.models.torch_weights.names import matching_table

SUFFIX = ".safetensors"
_NETWORKS = {
    "torchvision": "torchvision.models.{arch}(num_classes=N)",
    "timm": "timm's {arch} (num_classes=N)",
    "timm_tf": "timm's {arch} of those called tf_… (num_classes=N)",
    "transformers": "transformers' {arch} (num_labels=N)",
}
NUM_IMAGES = 2  # that the exported and the original network are compared on


def write(request: Request, path: Path) -> None:
    """Writes a network's arrays as float32 in PyTorch's layouts, and what its use requires.

    The header has what :func:`fakd_jax.export.header.describe_network` returns and `naming`, as
    JSON texts.

    Raises:
      UserError: PyTorch has no names for this network.
    """
    import safetensors.numpy

    predictor = request.predictor
    state_dict = to_state_dict(model_state(predictor.network), matching_table(predictor.network))
    # safetensors writes a transposed view's memory as it lies.
    arrays = {key: np.ascontiguousarray(value, np.float32) for key, value in state_dict.items()}
    safetensors.numpy.save_file(arrays, path, _header(predictor))


def verify(request: Request, path: Path) -> str:
    """Reads a written file back into a new network, and compares weights and logits bit by bit.

    Raises:
      UserError: they differ.
    """
    predictor = request.predictor
    table = matching_table(predictor.network)
    model = nnx.eval_shape(lambda: create_as_stored(predictor.metadata, rngs=nnx.Rngs(0)))
    load_state_dict(model, read_weights(path, model, naming=table.naming).arrays, table=table)
    model.eval()
    written, original = flatten_state(model_state(model)), model_state(predictor.network)
    differing = [
        name
        for name, value in flatten_state(original).items()
        if not np.array_equal(np.asarray(value), np.asarray(written[name]))
    ]
    images = _images(predictor.preprocessing.image_size)
    logits = predictor.predict_logits(images)
    same = np.array_equal(predictor.with_network(model).predict_logits(images), logits)
    if differing or not same:
        raise UserError(
            f"{path} does not read back as it was written ({', '.join(differing) or 'logits'}); "
            "nothing was kept: check the disk, and export again"
        )
    return f"read back: {len(written)} arrays and the logits of {len(images)} images, bit for bit"


def usage(request: Request, path: Path) -> str:
    """How PyTorch loads the file."""
    predictor = request.predictor
    naming = matching_table(predictor.network).naming
    return (
        f"in PyTorch: model = {_NETWORKS[naming].format(arch=predictor.arch)}; "
        f"model.load_state_dict(safetensors.torch.load_file({path.name!r}))"
    )


def _header(predictor: Predictor) -> dict[str, str]:
    naming = matching_table(predictor.network).naming
    return {"format": "pt", **as_texts({**describe_network(predictor), "naming": naming})}


def _images(side: int) -> np.ndarray:
    """Images of noise, uint8 [N, S, S, 3]."""
    return np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, side, side, 3), np.uint8)
