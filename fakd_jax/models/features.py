"""Running a network together with its sown features, and differentiating by them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Float32, Int

from fakd_jax.errors import UserError
from fakd_jax.models.layers import sown_names
from fakd_jax.models.registry import create_model
from fakd_jax.models.reinitialisation import last_layer


def forward(
    model: nnx.Module,
    images: Float[Array, "B H W 3"],
    *,
    features: Sequence[str] = (),
    dropout_key: Array | None = None,
) -> tuple[Float32[Array, "B K"], dict[str, Float[Array, "B _ _ _"]]]:
    """Computes a network's logits and the features requested.

    In training mode the model's running statistics are updated; nothing else of it changes. Inside
    `jax.grad`, pass a model made inside the differentiated function
    (`nnx.merge(graphdef, params, rest, copy=True)`) and return its new statistics as auxiliary
    output.

    Args:
      model: A network of `create_model`.
      images: Normalised images.
      features: Names of intermediates as torchvision names them, such as `layer3` or
        `features.16`.
      dropout_key: Random key for dropout; needed by networks with dropout in training mode.

    Returns:
      Float32 logits, and the features by name in the order requested, in the model's compute
      dtype.

    Raises:
      UserError: The network lacks a feature.
      ValueError: Dropout lacks its key.
    """
    rngs = None if dropout_key is None else nnx.Rngs(dropout=dropout_key)
    if not features:
        return model(images, rngs=rngs), {}
    logits, sown = _run_captured(model, images, rngs)
    for name in features:
        _check_known(model, name, sown)
    return logits, {name: sown[name] for name in features}


def forward_last_layer(
    model: nnx.Module, images: Float[Array, "B H W 3"], num_classes: int
) -> tuple[Float32[Array, "B D"] | None, Float32[Array, "B K"]]:
    """Computes a network's logits and the input of the layer that computes them.

    Args:
      model: A network in evaluation mode, made for this call, such as by `nnx.merge`: its last
        layer is replaced by one that records its input.
      images: Normalised images.
      num_classes: K.

    Returns:
      The input of the last linear layer, None if that cannot be found, and the logits.
    """
    try:
        layer = last_layer(model, num_classes)
    except ValueError:
        return None, model(images)
    read: list[Array] = []

    def record(features: Array) -> Array:
        read.append(features)
        return layer(features)

    for _, module in list(nnx.iter_graph(model)):
        if isinstance(module, nnx.Module):
            for name, value in list(vars(module).items()):
                if value is layer:
                    setattr(module, name, record)
    logits = model(images)
    return (read[-1].astype(jnp.float32) if read else None), logits


def forward_and_gradient(
    model: nnx.Module,
    images: Float[Array, "B H W 3"],
    feature: str,
    score: Callable[[Float32[Array, "B K"]], Float32[Array, ""]],
    *,
    features: Sequence[str] = (),
    dropout_key: Array | None = None,
) -> tuple[Float32[Array, "B K"], dict[str, Float[Array, "B _ _ _"]], Float[Array, "B h w c"]]:
    """Does what :func:`forward` does, and differentiates a score of the logits.

    For losses that contain the gradient: it can be differentiated once more. Then only what the
    network computes after the feature is differentiated twice. In training mode images influence
    one another by the batch's moments, and the gradient includes that.

    Args:
      model: A network of `create_model`; in training mode its running statistics are updated.
      images: Normalised images.
      feature: Name of the intermediate to differentiate by; "" for the images.
      score: A sum over the images, of their logits.
      features: As in :func:`forward`.
      dropout_key: As in :func:`forward`.

    Returns:
      Logits and features as of :func:`forward`, and the gradient of the score.

    Raises:
      UserError: The network lacks a feature.
      ValueError: Dropout lacks its key.
    """

    def in_evaluation() -> nnx.Module:
        copy = nnx.clone(model)
        copy.eval()
        return copy

    sown = _shapes(in_evaluation, images)
    for name in filter(None, (feature, *features)):
        _check_known(model, name, sown)
    graphdef, state = nnx.split(model)

    def scored(perturbation: Array) -> tuple[Array, Any]:
        copy = nnx.merge(graphdef, state, copy=True)  # variables of this trace
        rngs = None if dropout_key is None else nnx.Rngs(dropout=dropout_key)
        if feature:
            logits, sown = _run_captured(copy, images, rngs, {feature: perturbation})
        else:
            logits, sown = _run_captured(copy, images + perturbation, rngs)
        wanted = {name: sown[name] for name in features}
        return score(logits), (logits, wanted, nnx.state(copy, nnx.BatchStat))

    zero = jnp.zeros_like(sown[feature] if feature else images)
    gradient, (logits, wanted, updated) = jax.grad(scored, has_aux=True)(zero)
    nnx.update(model, updated)
    return logits, wanted, gradient


def feature_gradient(
    model: nnx.Module,
    images: Float[Array, "B H W 3"],
    feature: str,
    class_index: int | Int[Array, ""],
) -> tuple[Float32[Array, "B h w c"], Float32[Array, "B h w c"]]:
    """Computes the gradient of one class's logit with respect to a feature.

    The feature is perturbed by zero where it is sown, so everything computed from it counts,
    shortcuts included.

    Args:
      model: A network of `create_model` in evaluation mode, in which images do not influence one
        another.
      images: Normalised images.
      feature: Name of an intermediate, as in :func:`forward`.
      class_index: In [0, K); may be traced.

    Returns:
      The feature and, for every image, the gradient of its own logit with respect to its own
      feature, computed in the model's compute dtype.

    Raises:
      UserError: The network lacks the feature.
    """
    sown = _shapes(lambda: model, images)
    _check_known(model, feature, sown)

    def score(perturbation: Array) -> tuple[Array, Array]:
        logits, sown = _run_captured(model, images, None, {feature: perturbation})
        return logits[:, class_index].sum(), sown[feature]

    zero = jnp.zeros(sown[feature].shape, sown[feature].dtype)
    gradient, value = jax.grad(score, has_aux=True)(zero)
    return value.astype(jnp.float32), gradient.astype(jnp.float32)


def feature_shapes(
    name_or_model: str | nnx.Module, image_size: int
) -> dict[str, tuple[int, int, int]]:
    """Determines the shapes of all features of a network without computing anything.

    Args:
      name_or_model: A name for `create_model`, or a network.
      image_size: Height and width of the images in pixels.

    Returns:
      Height, width and channels by name, in the order of computation.

    Raises:
      UserError: An unknown name.
    """

    def make() -> nnx.Module:
        if isinstance(name_or_model, str):
            model = create_model(name_or_model, num_classes=1, rngs=nnx.Rngs(0))
        else:
            model = nnx.clone(name_or_model)
        model.eval()
        return model

    images = jax.ShapeDtypeStruct((1, image_size, image_size, 3), jnp.float32)
    return {name: value.shape[1:] for name, value in _shapes(make, images).items()}


def _shapes(make: Callable[[], nnx.Module], images: Any) -> dict[str, Any]:
    """Shapes and dtypes of all features of a network, in the order of computation."""
    names: list[str] = []  # JAX returns dictionaries sorted by key

    def run(images: Array) -> dict[str, Array]:
        sown = _run_captured(make(), images, None)[1]
        names.extend(sown)
        return sown

    shapes = jax.eval_shape(run, images)
    return {name: shapes[name] for name in names}


def _run_captured(
    model: nnx.Module,
    images: Array,
    rngs: nnx.Rngs | None,
    perturbations: Mapping[str, Array] | None = None,
) -> tuple[Array, dict[str, Array]]:
    """Logits and all features in the order they were sown.

    Runs a view of the model under `nnx.capture`. The view shares the model's variables and is then
    dropped, so nothing sown is left in the model.
    """
    view: Any = nnx.clone(model, variables=False)
    added = nnx.State({name: nnx.Perturbation(x) for name, x in (perturbations or {}).items()})

    def run(view: Any) -> tuple[Array, tuple[str, ...]]:
        return view(images, rngs=rngs), sown_names(view)

    capturing: Any = nnx.capture(run, nnx.Intermediate, init=added)
    (logits, names), captured = capturing(view)
    return logits, {name: captured[name].get_value()[-1] for name in names}


def _check_known(model: nnx.Module, feature: str, sown: Mapping[str, object]) -> None:
    if feature not in sown:
        raise UserError(
            f"{type(model).__name__} has no feature named {feature!r}; "
            f"choose one of {', '.join(sown)}"
        )
