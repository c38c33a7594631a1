"""A checkpoint's weights in torchvision's network, run by PyTorch and as PyTorch exports it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchvision
from safetensors.torch import load_file
from torch import nn

from fakd_jax.errors import UserError
from fakd_jax.export import pytorch
from fakd_jax.export.request import Request
from fakd_jax.inference.onnx import session_options
from fakd_jax.inference.predictor import Predictor

Run = Callable[[np.ndarray], np.ndarray]


class Normalised(nn.Module):
    """From uint8 [B, S, S, 3] to logits, as exports of this package are."""

    def __init__(self, network: nn.Module, predictor: Predictor) -> None:
        super().__init__()
        self.network = network
        for name in ("mean", "std"):
            values = torch.tensor(getattr(predictor.preprocessing, name)).reshape(3, 1, 1)
            self.register_buffer(name, values)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Computes logits."""
        pixels = images.permute(0, 3, 1, 2).to(torch.float32) / 255
        return self.network((pixels - self.mean) / self.std)


def in_torchvision(predictor: Predictor, folder: Path) -> nn.Module:
    """The network, in inference mode; its weights pass through a file as a user's do.

    Raises:
      UserError: it standardises intensities, or torchvision has no such network.
    """
    if predictor.preprocessing.intensity != "none":
        raise UserError("--torchvision knows no intensity rule; give a checkpoint without one")
    file = folder / "network.safetensors"
    pytorch.write(Request(predictor), file)
    make = getattr(torchvision.models, predictor.arch, None)
    if make is None:
        raise UserError(f"torchvision has no {predictor.arch}; leave --torchvision out")
    network = make(num_classes=predictor.num_classes)
    network.load_state_dict(load_file(file))
    return Normalised(network, predictor).eval()


def runs(predictor: Predictor, folder: Path) -> dict[str, tuple[Run, int]]:
    """By runtime: what computes logits of a batch, and the weights' size in bytes."""
    import onnxruntime

    network = in_torchvision(predictor, folder)
    size = predictor.preprocessing.image_size
    file = folder / "network.onnx"
    torch.onnx.export(
        network,
        (torch.zeros(2, size, size, 3, dtype=torch.uint8),),
        str(file),
        dynamo=True,
        verbose=False,
        external_data=False,
        dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},),
    )
    session = onnxruntime.InferenceSession(str(file), session_options(), ["CPUExecutionProvider"])
    (name,) = (each.name for each in session.get_inputs())
    network = network.to(memory_format=torch.channels_last)

    def eager(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network(torch.from_numpy(images)).numpy()

    values = sum(each.numel() * each.element_size() for each in network.parameters())
    return {
        "PyTorch float32": (eager, values),
        "ONNX Runtime, PyTorch's export": (
            lambda images: session.run(None, {name: images})[0],
            file.stat().st_size,
        ),
    }
