"""All networks against torchvision's, stage by stage (scripts/goldens/networks.py)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.typing import DTypeLike

from fakd_jax.models import create_model, forward
from fakd_jax.models.state import model_state
from fakd_jax.models.torch_weights import load_state_dict, to_state_dict
from fakd_jax.models.torch_weights.names import key_table
from scripts.goldens import common

GOLDENS = np.load(Path(__file__).parents[1] / "goldens" / "networks.npz")
# Made of the same blocks as others; `test_names.py` compares the logits of the last two by default.
SLOW = ("resnet34", "resnet101", "resnet152", "mobilenet_v3_small", "efficientnet_b0")
ARCHITECTURES = (
    *("resnet18", "resnet50", "mobilenet_v3_large", "convnext_tiny"),
    *(pytest.param(arch, marks=pytest.mark.slow) for arch in SLOW),
)


def golden(arch: str, kind: str) -> dict[str, np.ndarray]:
    """The stored values `<arch>/<kind>/<name>` by name, in the order of the network."""
    prefix = f"{arch}/{kind}/"
    return {key.removeprefix(prefix): GOLDENS[key] for key in GOLDENS if key.startswith(prefix)}


@cache
def state_dict(arch: str) -> dict[str, np.ndarray]:
    shapes = json.loads(str(GOLDENS[f"{arch}/shapes"]))
    return common.state_dict({key: tuple(shape) for key, shape in shapes.items()})


def network(arch: str, dtype: DTypeLike = jnp.float32) -> nnx.Module:
    def create() -> nnx.Module:
        return create_model(arch, num_classes=common.NUM_CLASSES, dtype=dtype, rngs=nnx.Rngs(0))

    model = nnx.eval_shape(create)  # without values, which would be overwritten
    load_state_dict(model, state_dict(arch))
    return model


def assert_close(actual: np.ndarray, expected: np.ndarray, tolerance: float, what: str) -> None:
    """Compares relative to the expected values' own spread."""
    error = np.max(np.abs(actual - expected)) / np.sqrt(np.mean(np.square(expected)))
    assert error <= tolerance, f"{what} is {error:.1e} off, more than {tolerance:.0e}"


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_stage_is_torchvisions(arch: str) -> None:
    model = network(arch)
    model.eval()
    graphdef, state = nnx.split(model)
    expected = golden(arch, "feature")

    @jax.jit
    def run(state: nnx.State, images: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
        return forward(nnx.merge(graphdef, state), images, features=tuple(expected))

    logits, features = run(state, jnp.asarray(common.images()))
    # In the network's order, so that the first failure names the stage that is wrong.
    for name, values in expected.items():
        assert_close(common.summary(features[name]), values, 1e-4, f"{arch}'s {name}")
    assert_close(np.asarray(logits), GOLDENS[f"{arch}/logits"], 1e-4, f"{arch}'s logits")


@pytest.mark.parametrize(
    "arch",
    [
        *(pytest.param(arch, marks=pytest.mark.slow) for arch in ("resnet18", "resnet50")),
        "mobilenet_v3_large",
        pytest.param("efficientnet_b0", marks=pytest.mark.slow),
        pytest.param("convnext_tiny", marks=pytest.mark.slow),
    ],
)
def test_a_training_step_is_torchvisions(arch: str) -> None:
    # In float64: at this size batch statistics and ReLUs amplify rounding so much that PyTorch's
    # own float32 logits are 2e-4, and single gradients 100 % off its float64 ones.
    with jax.enable_x64(True):
        logits, result = training_step(arch)
        ours = to_state_dict(model_state(result), key_table(result))
    assert_close(logits, GOLDENS[f"{arch}/train_logits"], 1e-5, "logits")
    for key, values in golden(arch, "gradient").items():
        assert_close(common.summary(ours[key]), values, 1e-5, f"the gradient of {key}")
    for key, values in golden(arch, "statistic").items():
        value = ours[key]
        if key.endswith("running_var"):
            value = unbiased(value, state_dict(arch)[key], arch, values_a_channel(key))
        assert_close(common.summary(value), values, 1e-6, key)


def training_step(arch: str) -> tuple[np.ndarray, nnx.Module]:
    """Training logits, and a network whose parameters are the gradients of the cross-entropy."""
    model = network(arch, jnp.float64)
    model.train()
    model.set_attributes(deterministic=True, raise_if_not_found=False)  # random layers off
    graphdef, params, statistics = nnx.split(model, nnx.Param, nnx.BatchStat)
    labels = jnp.asarray(common.LABELS)

    @jax.jit
    def step(params: nnx.State, images: jax.Array) -> tuple[nnx.State, tuple[jax.Array, nnx.State]]:
        def loss(params: nnx.State) -> tuple[jax.Array, tuple[jax.Array, nnx.State]]:
            model = nnx.merge(graphdef, params, statistics, copy=True)
            logits, _ = forward(model, images)
            chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=1)
            return -jnp.mean(chosen), (logits, nnx.state(model, nnx.BatchStat))

        return jax.grad(loss, has_aux=True)(params)

    gradients, (logits, new_statistics) = step(params, jnp.asarray(common.images(), jnp.float64))
    return np.asarray(logits), nnx.merge(graphdef, gradients, new_statistics)


def values_a_channel(key: str) -> int:
    """How many values of a 64-pixel batch of two the named batch norm averages."""
    side = {
        "bn1": 32,
        "layer2.0.downsample.1": 8,
        "layer4.1.bn2": 2,
        "layer4.2.bn3": 2,
        "features.0.1": 32,
        "features.3.0.block.1.1": 8,
        "features.4.block.1.1": 8,
        "features.8.1": 2,
        "features.16.1": 2,
    }[key.removesuffix(".running_var")]
    return common.BATCH * side**2


def unbiased(new: np.ndarray, old: np.ndarray, arch: str, count: int) -> np.ndarray:
    """What PyTorch's running variance is where ours is `new`: it adds n/(n-1) times as much."""
    momentum = 0.99 if arch.startswith("mobilenet") else 0.9
    return momentum * old + (new - momentum * old) * count / (count - 1)
