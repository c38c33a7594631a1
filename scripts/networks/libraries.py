"""The networks of torchvision, timm and transformers that ours are compared with."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from goldens import common

CLASSES = {"num_classes": common.NUM_CLASSES}
LABELS = {"num_labels": common.NUM_CLASSES}


def _torchvision(name: str) -> Callable[[], Any]:
    return lambda: importlib.import_module("torchvision").models.get_model(name, **CLASSES)


def _timm(name: str) -> Callable[[], Any]:
    return lambda: importlib.import_module("timm").create_model(name, **CLASSES)


def _transformers(family: str, **config: Any) -> Callable[[], Any]:
    def create() -> Any:
        transformers = importlib.import_module("transformers")
        settings = getattr(transformers, f"{family}Config")(**LABELS, **config)
        return getattr(transformers, f"{family}ForImageClassification")(settings)

    return create


def _hf_resnet(layer_type: str, depths: list[int]) -> Callable[[], Any]:
    widths = [64, 128, 256, 512] if layer_type == "basic" else [256, 512, 1024, 2048]
    return _transformers("ResNet", layer_type=layer_type, depths=depths, hidden_sizes=widths)


_HF_EFFICIENTNET_B0 = _transformers(
    "EfficientNet", width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280, image_size=224
)

# Our network → library → how its network is made, and the naming if it cannot be recognised.
NETWORKS: dict[str, dict[str, tuple[Callable[[], Any], str]]] = {
    **{
        name: {
            "torchvision": (_torchvision(name), ""),
            "timm": (_timm(name), ""),
            "transformers": (_hf_resnet(kind, depths), ""),
        }
        for name, kind, depths in (
            ("resnet18", "basic", [2, 2, 2, 2]),
            ("resnet34", "basic", [3, 4, 6, 3]),
            ("resnet50", "bottleneck", [3, 4, 6, 3]),
            ("resnet101", "bottleneck", [3, 4, 23, 3]),
            ("resnet152", "bottleneck", [3, 8, 36, 3]),
        )
    },
    **{
        f"mobilenet_v3_{size}": {
            "torchvision": (_torchvision(f"mobilenet_v3_{size}"), ""),
            "timm": (_timm(f"mobilenetv3_{size}_100"), ""),
            "timm tf_": (_timm(f"tf_mobilenetv3_{size}_100"), "timm_tf"),
        }
        for size in ("large", "small")
    },
    "efficientnet_b0": {
        "torchvision": (_torchvision("efficientnet_b0"), ""),
        "timm": (_timm("efficientnet_b0"), ""),
        "timm tf_": (_timm("tf_efficientnet_b0"), "timm_tf"),
        "transformers": (_HF_EFFICIENTNET_B0, ""),
    },
    "convnext_tiny": {
        "torchvision": (_torchvision("convnext_tiny"), ""),
        "timm": (_timm("convnext_tiny"), ""),
        "transformers": (_transformers("ConvNext"), ""),
    },
}
