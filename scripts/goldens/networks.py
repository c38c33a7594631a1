"""Reference values of all networks from torchvision, stage by stage.

Computed in float64, so that tests measure our float32 rounding alone. Stored by
`<network>/…`: the state dict's keys and shapes (the values follow `common.weights`), the logits,
summaries (`common.summary`, channels last) of the features, and, of one network for each kind of
block, of running statistics and gradients of a training step.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import torchvision
from goldens import common
from torch import nn

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
RESNET_FEATURES = ("relu", "maxpool", "layer1", "layer2", "layer3", "layer4")


def features(count: int, pre_logits: str) -> dict[str, str]:
    """Of a network whose `features` has so many entries."""
    maps = {f"features.{index}": f"features.{index}" for index in range(count)}
    return {**maps, "pre_logits": pre_logits}


# Our feature's name -> torchvision's module.
FEATURES = {
    **{
        name: {**{key: key for key in RESNET_FEATURES}, "pre_logits": "avgpool"} for name in RESNETS
    },
    "mobilenet_v3_large": features(17, "classifier.1"),
    "mobilenet_v3_small": features(13, "classifier.1"),
    "efficientnet_b0": features(9, "avgpool"),
    "convnext_tiny": features(8, "classifier.1"),
}
STATISTICS = {
    "resnet18": ("bn1", "layer2.0.downsample.1", "layer4.1.bn2"),
    "resnet50": ("bn1", "layer2.0.downsample.1", "layer4.2.bn3"),
    "mobilenet_v3_large": ("features.0.1", "features.4.block.1.1", "features.16.1"),
    "efficientnet_b0": ("features.0.1", "features.3.0.block.1.1", "features.8.1"),
    "convnext_tiny": (),
}
GRADIENTS = {
    "resnet18": (
        "conv1.weight",
        "layer1.0.conv1.weight",
        "layer2.0.downsample.0.weight",
        "layer4.1.bn2.bias",
        "fc.bias",
    ),
    "resnet50": (
        "conv1.weight",
        "bn1.weight",
        "layer1.0.conv1.weight",
        "layer2.0.conv2.weight",
        "layer3.0.downsample.0.weight",
        "layer4.2.bn3.bias",
        "fc.bias",
    ),
    "mobilenet_v3_large": (
        "features.0.0.weight",
        "features.2.block.1.0.weight",
        "features.4.block.1.0.weight",
        "features.4.block.2.fc1.bias",
        "features.11.block.0.1.weight",
        "features.16.0.weight",
        "classifier.3.bias",
    ),
    "efficientnet_b0": (
        "features.0.0.weight",
        "features.1.0.block.1.fc1.weight",
        "features.3.0.block.1.0.weight",
        "features.5.2.block.2.fc2.bias",
        "features.8.1.weight",
        "classifier.1.weight",
    ),
    "convnext_tiny": (
        "features.0.0.weight",
        "features.1.0.block.0.weight",
        "features.1.0.block.3.weight",
        "features.3.1.layer_scale",
        "features.4.0.weight",
        "features.6.1.weight",
        "classifier.2.bias",
    ),
}
RANDOM_LAYERS = (nn.Dropout, torchvision.ops.StochasticDepth)


def write(output: Path) -> None:
    """Writes `output` (.npz) with the values of all networks."""
    arrays: dict[str, np.ndarray] = {}
    for name in FEATURES:
        model = getattr(torchvision.models, name)(num_classes=common.NUM_CLASSES)
        shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
        state = common.state_dict(shapes)
        model.load_state_dict({key: torch.from_numpy(value) for key, value in state.items()})
        model.double()
        results = {"shapes": np.array(json.dumps(shapes)), **evaluated(name, model)}
        if name in GRADIENTS:
            results |= trained(name, model)
        arrays |= {f"{name}/{key}": value for key, value in results.items()}
    np.savez_compressed(output, **arrays)


def batch() -> torch.Tensor:
    return torch.from_numpy(common.images()).double().permute(0, 3, 1, 2)


def evaluated(name: str, model: nn.Module) -> dict[str, np.ndarray]:
    """Logits and features in evaluation mode."""
    results: dict[str, np.ndarray] = {}

    def keep(feature: str) -> object:
        def hook(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
            # A vector is a map of one position; copied, since later layers may work in place.
            maps = output.reshape(*output.shape, 1, 1) if output.ndim == 2 else output
            results[f"feature/{feature}"] = common.summary(maps.permute(0, 2, 3, 1).numpy().copy())

        return hook

    handles = [
        model.get_submodule(path).register_forward_hook(keep(feature))
        for feature, path in FEATURES[name].items()
    ]
    with torch.no_grad():
        results["logits"] = model.eval()(batch()).numpy()
    for handle in handles:
        handle.remove()
    return results


def trained(name: str, model: nn.Module) -> dict[str, np.ndarray]:
    """Logits, gradients and new running statistics of a training step, without random layers."""
    model.train()
    for module in model.modules():
        if isinstance(module, RANDOM_LAYERS):
            module.eval()
    logits = model(batch())
    nn.functional.cross_entropy(logits, torch.from_numpy(common.LABELS)).backward()
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    results = {"train_logits": logits.detach().numpy()}
    for key in GRADIENTS[name]:
        results[f"gradient/{key}"] = common.summary(parameters[key].grad.numpy())
    for norm in STATISTICS[name]:
        for key in (f"{norm}.running_mean", f"{norm}.running_var"):
            results[f"statistic/{key}"] = common.summary(buffers[key].numpy())
    return results
