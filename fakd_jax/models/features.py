"""Running a network together with its sown intermediates."""

from __future__ import annotations

import re
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Float32

from fakd_jax.errors import UserError
from fakd_jax.models.registry import create_model


def forward(
    model: nnx.Module,
    images: Float[Array, "B H W 3"],
    *,
    features: Sequence[str] = (),
    dropout_key: Array | None = None,
) -> tuple[Float32[Array, "B K"], dict[str, Float[Array, "B h w c"]]]:
    """Runs a network and returns its logits and the features asked for.

    In training mode the model's running statistics move, and nothing else of it changes: what
    was sown is read from a view of the model that shares its variables and is then dropped, so
    the structure of its state stays the same. Inside `jax.grad`, pass a model made inside the
    differentiated function (`nnx.merge(graphdef, params, rest, copy=True)`) and return its new
    statistics as auxiliary output.

    Args:
      model: A network of `create_model`.
      images: Normalised images.
      features: Names of intermediates under torchvision's names, such as `layer3` or
        `features.16`.
      dropout_key: Random key of dropout; needed by networks with dropout in training mode.

    Returns:
      Float32 logits, and a dictionary of the features in the order asked for, in the model's
      compute dtype.

    Raises:
      UserError: For features that the network does not have.
      ValueError: If dropout lacks its key.
    """
    rngs = None if dropout_key is None else nnx.Rngs(dropout=dropout_key)
    if not features:
        return model(images, rngs=rngs), {}
    logits, sown = _run_captured(model, images, rngs)
    unknown = [name for name in features if name not in sown]
    if unknown:
        raise UserError(
            f"{type(model).__name__} has no feature named {', '.join(map(repr, unknown))}; "
            f"choose from {', '.join(sown)}"
        )
    return logits, {name: sown[name] for name in features}


def feature_shapes(
    name_or_model: str | nnx.Module, image_size: int
) -> dict[str, tuple[int, int, int]]:
    """The shapes of all features of a network, found without computing anything.

    Args:
      name_or_model: A name that `create_model` knows, or a network.
      image_size: Height and width of the images in pixels.

    Returns:
      Height, width and channels by name, sorted by name (numbers by value).

    Raises:
      UserError: For a name that is not known.
    """
    images = jax.ShapeDtypeStruct((1, image_size, image_size, 3), jnp.float32)

    def run(images: Array) -> dict[str, Array]:
        if isinstance(name_or_model, str):
            model = create_model(name_or_model, num_classes=1, rngs=nnx.Rngs(0))
        else:
            model = nnx.clone(name_or_model)
        model.eval()
        return _run_captured(model, images, None)[1]

    maps = jax.eval_shape(run, images)
    # JAX returns dictionaries sorted as text.
    return {name: tuple(maps[name].shape[1:]) for name in sorted(maps, key=_natural_order)}


def _run_captured(
    model: nnx.Module, images: Array, rngs: nnx.Rngs | None
) -> tuple[Array, dict[str, Array]]:
    """Runs a view of the model under `nnx.capture`; only the view is touched by it."""
    view = nnx.clone(model, variables=False)
    logits, captured = nnx.capture(view, nnx.Intermediate)(images, rngs=rngs)
    sown = {str(name): variable.get_value()[-1] for name, variable in captured.items()}
    return logits, {name: sown[name] for name in sorted(sown, key=_natural_order)}


def _natural_order(name: str) -> list[int | str]:
    """Sorts `features.2` before `features.10`: text and numbers alternate, so they compare."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
