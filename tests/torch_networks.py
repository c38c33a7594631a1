"""torchvision's ResNet in PyTorch, written down again: torchvision itself need not be installed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

EXPANSION = 4


class Bottleneck(nn.Module):
    """1×1, 3×3 (with the stride: v1.5), 1×1, and a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = width * EXPANSION
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride != 1 or inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn1(self.conv1(x)).relu()
        x = self.bn2(self.conv2(x)).relu()
        return (self.bn3(self.conv3(x)) + shortcut).relu()


class ResNet(nn.Module):
    """With the names of torchvision's; `tests.tiny` has the same in ours as `tiny_resnet`."""

    def __init__(
        self, stages: Sequence[int] = (1, 1, 1, 1), width: int = 8, num_classes: int = 4
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        inputs = width
        for number, blocks in enumerate(stages):
            layers = []
            for block in range(blocks):
                stride = 2 if number and not block else 1
                layers.append(Bottleneck(inputs, width << number, stride))
                inputs = (width << number) * EXPANSION
            setattr(self, f"layer{number + 1}", nn.Sequential(*layers))
        self.fc = nn.Linear(inputs, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.bn1(self.conv1(x)).relu())
        for number in range(1, 5):
            x = getattr(self, f"layer{number}")(x)
        return self.fc(x.mean((2, 3)))


def trained_resnet() -> ResNet:
    """One whose weights and statistics are random, its logits well apart."""
    torch.manual_seed(0)
    model = ResNet().train()
    with torch.no_grad():
        for _ in range(3):  # running statistics
            model(torch.randn(16, 3, 32, 32))
        model.fc.weight.mul_(30)
    return model.eval()
