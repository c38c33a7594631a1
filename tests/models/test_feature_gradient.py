"""Gradients by features: against finite differences, and against networks cut by hand."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fakd_jax.errors import UserError
from fakd_jax.models import create_model, feature_gradient, feature_shapes, forward
from fakd_jax.models.layers import global_average_pool
from fakd_jax.models.reinitialisation import reinitialise

IMAGES = jnp.asarray(np.random.default_rng(0).standard_normal((4, 32, 32, 3)), jnp.float32)


gradient_of = nnx.jit(feature_gradient, static_argnames="feature")


@cache
def tiny(arch: str) -> nnx.Module:
    """A network that lets the signal through."""
    metadata = {"arch": arch, "num_classes": 3}
    return reinitialise(metadata, 0, IMAGES)


def tail_of_mobilenet(model: nnx.Module, x: jax.Array, after: int) -> jax.Array:
    """What `tiny_mobilenet` computes from `features.<after>`, written again."""
    for layer in list(model.features)[after + 1 :]:
        x = layer(x)
    pooled = global_average_pool(x)[:, 0, 0]
    return model.classifier_3(nnx.hard_swish(model.classifier_0(pooled)))


def tail_of_resnet(model: nnx.Module, x: jax.Array, after: int) -> jax.Array:
    """What `tiny_resnet` computes from `layer<after>`, written again."""
    for stage in range(after + 1, 5):
        for block in getattr(model, f"layer{stage}"):
            x = block(x)
    return model.fc(global_average_pool(x)[:, 0, 0])


@pytest.mark.parametrize(
    ("arch", "feature", "after", "tail"),
    [
        ("tiny_mobilenet", "features.0", 0, tail_of_mobilenet),  # goes into a shortcut
        pytest.param("tiny_mobilenet", "features.4", 4, tail_of_mobilenet, marks=pytest.mark.slow),
        ("tiny_resnet", "layer1", 1, tail_of_resnet),
    ],
)
def test_the_gradient_is_that_of_the_rest_of_the_network(
    arch: str, feature: str, after: int, tail: object
) -> None:
    model = tiny(arch)
    value, gradient = gradient_of(model, IMAGES, feature, 1)
    captured = jax.jit(lambda images: forward(model, images, features=(feature,))[1][feature])
    np.testing.assert_allclose(value, captured(IMAGES), rtol=1e-4, atol=3e-6)
    expected = jax.jit(jax.grad(lambda x: tail(model, x, after)[:, 1].sum()))(value)
    assert value.shape == gradient.shape == expected.shape
    assert gradient.dtype == np.float32
    scale = np.abs(expected).max()
    assert scale > 0
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5 * scale)


def test_the_gradient_foretells_a_small_step() -> None:
    model = tiny("tiny_mobilenet")
    value, gradient = gradient_of(model, IMAGES[:1], "features.3", 2)
    direction = np.random.default_rng(1).standard_normal(value.shape).astype(np.float32)
    step = 2e-4  # few activations cross a kink

    @jax.jit
    def logit(x: jax.Array) -> jax.Array:
        return tail_of_mobilenet(model, x, 3)[0, 2]

    measured = (logit(value + step * direction) - logit(value - step * direction)) / (2 * step)
    assert np.vdot(gradient, direction) == pytest.approx(float(measured), rel=0.02)


def test_the_last_map_is_pooled_so_its_gradient_is_the_same_everywhere() -> None:
    _, gradient = gradient_of(tiny("tiny_mobilenet"), IMAGES, "features.4", 0)
    assert gradient.shape[1] * gradient.shape[2] > 1
    np.testing.assert_allclose(gradient, np.broadcast_to(gradient[:, :1, :1], gradient.shape))


def test_a_traced_class_is_a_class() -> None:
    model = tiny("tiny_mobilenet")
    run = jax.jit(lambda index: feature_gradient(model, IMAGES, "features.4", index)[1])
    for index in range(3):
        _, expected = gradient_of(model, IMAGES, "features.4", index)
        np.testing.assert_allclose(run(np.int32(index)), expected, rtol=1e-4, atol=1e-7)


def test_an_unknown_feature_lists_the_available() -> None:
    model = tiny("tiny_resnet")
    names = ", ".join(feature_shapes(model, 32))
    with pytest.raises(UserError, match=f"'layer9'.*{names}"):
        feature_gradient(model, IMAGES, "layer9", 0)


@pytest.mark.torch
@pytest.mark.parametrize("feature", ["features.12", "features.16"])
def test_grad_cam_is_pytorchs(feature: str) -> None:
    """Map and gradient by hooks on torchvision's network, Grad-CAM by its two equations."""
    torch = pytest.importorskip("torch")
    torchvision = pytest.importorskip("torchvision")
    from fakd_jax.explanation.methods.grad_cam import GradCam
    from fakd_jax.models.torch_weights.convert import load_state_dict

    torch.manual_seed(0)
    theirs = torchvision.models.mobilenet_v3_large(weights=None, num_classes=4)
    images = torch.randn(4, 3, 96, 96)
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        theirs(images)  # statistics that let the signal through
    theirs.eval()
    kept: list = []
    theirs.features[int(feature.split(".")[1])].register_forward_hook(
        lambda module, inputs, output: kept.append(output)
    )
    logits = theirs(images[:1])
    (gradient,) = torch.autograd.grad(logits[0, 2], kept[0])
    alpha = gradient.mean(dim=(2, 3), keepdim=True)
    expected = (alpha * kept[0]).sum(dim=1)[0].detach().numpy()

    ours = create_model("mobilenet_v3_large", num_classes=4, rngs=nnx.Rngs(0))
    load_state_dict(ours, {key: value.numpy() for key, value in theirs.state_dict().items()})
    ours.eval()
    inputs = jnp.asarray(images[:1].permute(0, 2, 3, 1).numpy())
    value, slope = (np.asarray(x)[0] for x in gradient_of(ours, inputs, feature, 2))
    actual = value @ GradCam.channel_weights(value, slope)
    np.testing.assert_allclose(actual, expected, atol=1e-3 * np.abs(expected).max())
