"""The order of a network's outputs."""

from __future__ import annotations

from collections.abc import Sequence

from flax import nnx

from fakd_jax.errors import UserError
from fakd_jax.models.reinitialisation import last_layer


def reorder_classes(model: nnx.Module, given: Sequence[str], wanted: Sequence[str]) -> None:
    """Permutes the last layer, so that the outputs are in another order and otherwise the same.

    Args:
      model: Changed in place.
      given: The classes of its outputs, in their order.
      wanted: The same classes in the order wanted.

    Raises:
      UserError: Its last layer cannot be found.
    """
    order = [given.index(name) for name in wanted]
    try:
        layer = last_layer(model, len(given))
    except ValueError as error:
        raise UserError(
            f"the outputs of a {type(model).__name__} cannot be reordered ({error}); give one "
            f"whose classes are in the order {', '.join(wanted)}"
        ) from error
    for variable in (layer.kernel, layer.bias):
        variable.set_value(variable[...][..., order])
