"""PyTorch's side: torchvision's networks and an independent FAKD step, channels last.

The step takes normalised floats, without augmentation, and projects before upsampling, which is
cheaper: all in PyTorch's favour.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from benchmarks import data
from benchmarks.settings import (
    ALPHA,
    BETA,
    LEARNING_RATE,
    NUM_CLASSES,
    TEMPERATURE,
    WEIGHT_DECAY,
    Settings,
    batch_of,
)
from torch import nn
from torch.nn import functional

Prepared = tuple[Callable[[], object], Callable[[], dict[str, Any]], Callable[[], int | None]]
NETWORKS = {
    "teacher": torchvision.models.resnet50,
    "student": torchvision.models.mobilenet_v3_large,
}


def prepare(measure: str, side: str, settings: Settings) -> Prepared:
    """Prepares a measure; see :func:`benchmarks.ours.prepare`."""
    torch.manual_seed(settings.seed)
    torch.backends.cudnn.benchmark = True
    if measure.endswith("_step"):
        call = _step(measure, side, settings)
    elif "_forward" in measure:
        call = _forward(measure, side, settings)
    elif measure == "lime":
        call = _lime(settings)
    else:
        call = _input_pipeline(settings)
    return call, dict, _device_peak


def device() -> torch.device:
    """The accelerator if there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _device_peak() -> int | None:
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


def network(role: str) -> nn.Module:
    """A network of four classes with random weights, channels last."""
    made = NETWORKS[role](num_classes=NUM_CLASSES)
    return made.to(device(), memory_format=torch.channels_last)


def _autocast(side: str) -> Callable[[], AbstractContextManager[Any]]:
    if torch.cuda.is_available():
        dtype = torch.bfloat16 if side == "torch_bf16" else torch.float16
        return lambda: torch.autocast("cuda", dtype)
    if side == "torch_bf16":
        return lambda: torch.autocast("cpu", torch.bfloat16)
    return nullcontext


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _inputs(batch: int, settings: Settings) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = data.images_and_labels(batch, settings)
    pixels = torch.from_numpy(data.normalised(images).transpose(0, 3, 1, 2))
    pixels = pixels.to(device()).contiguous(memory_format=torch.channels_last)
    return pixels, torch.from_numpy(labels.astype(np.int64)).to(device())


class _Student(nn.Module):
    """The student's logits and, optionally, its projected last feature map."""

    def __init__(self, projects: bool) -> None:
        super().__init__()
        self.network = network("student")
        self.projection = nn.Conv2d(960, 1024, 1).to(device()) if projects else None

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None]:
        features = self.network.features(images)
        logits = self.network.classifier(self.network.avgpool(features).flatten(1))
        return logits, None if self.projection is None else self.projection(features)


class _Teacher(nn.Module):
    """The teacher's logits and `layer3`."""

    def __init__(self) -> None:
        super().__init__()
        self.network = network("teacher").eval()

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        net = self.network
        x = net.maxpool(net.relu(net.bn1(net.conv1(images))))
        features = net.layer3(net.layer2(net.layer1(x)))
        return net.fc(net.avgpool(net.layer4(features)).flatten(1)), features


def _fakd_loss(
    logits: torch.Tensor,
    projected: torch.Tensor,
    teacher_logits: torch.Tensor,
    teacher_features: torch.Tensor,
    labels: torch.Tensor,
) -> torch.Tensor:
    ce = functional.cross_entropy(logits, labels)
    kd = TEMPERATURE**2 * functional.kl_div(
        functional.log_softmax(logits / TEMPERATURE, dim=1),
        functional.softmax(teacher_logits / TEMPERATURE, dim=1),
        reduction="batchmean",
    )
    aligned = functional.interpolate(projected, teacher_features.shape[2:], mode="bilinear")
    return (1 - ALPHA) * ce + ALPHA * kd + BETA * functional.mse_loss(aligned, teacher_features)


def _step(measure: str, side: str, settings: Settings) -> Callable[[], None]:
    images, labels = _inputs(settings.batch, settings)
    learner = network("teacher") if measure == "teacher_step" else _Student(measure == "fakd_step")
    learner.train()
    optimizer = torch.optim.AdamW(learner.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    scaler = torch.amp.GradScaler(enabled=torch.cuda.is_available() and side != "torch_bf16")
    teacher = _Teacher() if measure == "fakd_step" else None
    autocast, compiles = _autocast(side), side == "torch_compile"
    run = torch.compile(learner) if compiles else learner
    ask = torch.compile(teacher) if compiles and teacher else teacher

    def call() -> None:
        optimizer.zero_grad(set_to_none=True)
        with autocast():
            if ask is not None:
                with torch.no_grad():
                    outputs = ask(images)
                loss = _fakd_loss(*run(images), *outputs, labels)
            else:
                out = run(images)
                logits = out if isinstance(out, torch.Tensor) else out[0]
                loss = functional.cross_entropy(logits, labels)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        loss.item()
        _wait()

    return call


def _forward(measure: str, side: str, settings: Settings) -> Callable[[], None]:
    model = network(measure.partition("_")[0]).eval()
    images, _ = _inputs(batch_of(measure, settings), settings)
    run = torch.compile(model) if side == "torch_compile" else model
    autocast = _autocast(side)

    def call() -> None:
        with torch.inference_mode(), autocast():
            run(images).float().cpu()

    return call


def _lime(settings: Settings) -> Callable[[], None]:
    """The lime package, in batches of the network's size."""
    from lime.lime_image import LimeImageExplainer

    model, image = network("student").eval(), data.head_phantom(settings)
    autocast = _autocast("torch")

    def predict(images: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(data.normalised(images).transpose(0, 3, 1, 2)).to(device())
        with torch.inference_mode(), autocast():
            return functional.softmax(model(pixels).float(), dim=1).cpu().numpy()

    def call() -> None:
        LimeImageExplainer(random_state=settings.seed).explain_instance(
            image,
            predict,
            labels=(0,),
            top_labels=None,
            num_samples=settings.lime_samples,
            batch_size=settings.batch,
            random_seed=settings.seed,
        )

    return call


def _input_pipeline(settings: Settings) -> Callable[[], None]:
    """One epoch with torchvision: two worker processes decode and augment every image."""
    from torchvision import datasets, transforms

    folder = tempfile.TemporaryDirectory()
    source = data.write_image_folder(Path(folder.name) / "images", settings) / "Training"
    side = (settings.image_size, settings.image_size)
    chain = transforms.Compose(
        [
            transforms.Resize(side),
            transforms.RandomHorizontalFlip(),
            transforms.RandomRotation(15),
            transforms.ToTensor(),
            transforms.Normalize((0.5,) * 3, (0.5,) * 3),
        ]
    )
    loader = torch.utils.data.DataLoader(
        datasets.ImageFolder(str(source), chain),
        batch_size=settings.batch,
        shuffle=True,
        drop_last=True,
        num_workers=2,
        persistent_workers=True,
    )

    def call(folder: object = folder) -> None:
        for images, _ in loader:
            images.to(device(), memory_format=torch.channels_last)
        _wait()

    return call
