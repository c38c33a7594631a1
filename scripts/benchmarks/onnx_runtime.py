"""ONNX Runtime's side: torchvision's networks as PyTorch exports them, inference only."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from benchmarks import data, pytorch
from benchmarks.settings import Settings, batch_of

Prepared = tuple[Callable[[], object], Callable[[], dict[str, Any]], Callable[[], int | None]]


def prepare(measure: str, side: str, settings: Settings) -> Prepared:
    """Prepares a measure; see :func:`benchmarks.ours.prepare`."""
    del side
    batch = batch_of(measure, settings)
    images, _ = data.images_and_labels(batch, settings)
    pixels = data.normalised(images).transpose(0, 3, 1, 2).copy()
    model = (
        pytorch.network(measure.partition("_")[0])
        .eval()
        .cpu()
        .to(memory_format=torch.contiguous_format)
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "model.onnx")
        torch.onnx.export(model, (torch.from_numpy(pixels),), file, dynamo=True, verbose=False)
        session = onnxruntime.InferenceSession(
            file, options, providers=onnxruntime.get_available_providers()
        )
    name = session.get_inputs()[0].name
    return lambda: session.run(None, {name: pixels}), dict, lambda: None
