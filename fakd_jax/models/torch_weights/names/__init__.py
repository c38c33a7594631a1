"""The keys of PyTorch state dicts, as tables: one per family of networks and naming.

A naming is a library whose networks have these keys: torchvision, timm or transformers (Hugging
Face). It is recognised by the keys. Where the library's network computes something else than
torchvision's, the table has the settings under which ours computes the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from flax import nnx

from fakd_jax.errors import UserError
from fakd_jax.models.convnext import ConvNeXt
from fakd_jax.models.efficientnet import EfficientNet
from fakd_jax.models.mobilenet_v3 import MobileNetV3
from fakd_jax.models.resnet import ResNet
from fakd_jax.models.state import flatten_state, model_state
from fakd_jax.models.torch_weights.names import convnext, efficientnet, mobilenet_v3, resnet
from fakd_jax.models.torch_weights.names.table import KeyTable, Row

__all__ = [
    "NAMINGS",
    "KeyTable",
    "Row",
    "differing_settings",
    "key_table",
    "matching_table",
    "recognise",
]

NAMINGS = ("torchvision", "timm", "timm_tf", "transformers")
"""`timm_tf` are timm's networks called `tf_…`: their keys are timm's, so they have to be named."""

_TABLES: tuple[tuple[type[nnx.Module], Callable[[Any], tuple[KeyTable, ...]]], ...] = (
    (ResNet, resnet.tables),
    (MobileNetV3, mobilenet_v3.tables),
    (EfficientNet, efficientnet.tables),
    (ConvNeXt, convnext.tables),
)


def key_table(model: nnx.Module, naming: str = "torchvision") -> KeyTable:
    """The table of a model's keys in one naming; shapes of its weights suffice.

    Raises:
      UserError: a network of a family, or a naming of it, without a table.
    """
    tables = _tables(model)
    for table in tables:
        if table.naming == naming:
            return table
    raise UserError(
        f"no key table of {naming} for {type(model).__name__}; there are those of "
        f"{', '.join(dict.fromkeys(table.naming for table in tables))}"
    )


def recognise(model: nnx.Module, keys: Collection[str], naming: str = "") -> KeyTable:
    """The table whose keys these are: torchvision's, or another that has most of the network.

    Args:
      model: a network of ours; shapes of its weights suffice.
      keys: of a state dict, with or without prefixes such as `module.`.
      naming: one of :data:`NAMINGS`, to consider that alone; "" for all.

    Raises:
      UserError: as :func:`key_table`.
    """
    first = key_table(model, naming or "torchvision")
    paths = flatten_state(model_state(model)).keys()
    tables = [table for table in _tables(model) if not naming or table.naming == naming]
    shares = [table.share(keys, paths) for table in tables]
    best = tables[shares.index(max(shares))]  # of equals, the first
    return best if max(shares) > 0.5 else first


def differing_settings(model: nnx.Module, table: KeyTable) -> dict[str, Any]:
    """The settings of a table that a model was not made with.

    With them, `create_model(arch, …, **settings)` computes what the library's network does.
    """
    settings = table.settings.items()
    return {name: value for name, value in settings if getattr(model, name) != value}


def matching_table(model: nnx.Module) -> KeyTable:
    """The first table whose library's network computes what a model does: torchvision's if it can.

    Raises:
      UserError: no library's network does; or as :func:`key_table`.
    """
    tables = _tables(model)
    for table in tables:
        if not differing_settings(model, table):
            return table
    made = {name: getattr(model, name) for name in tables[0].settings}
    raise UserError(
        f"no library has a {type(model).__name__} with "
        f"{', '.join(f'{name} {value}' for name, value in made.items())}; there are no keys for it"
    )


def _tables(model: nnx.Module) -> tuple[KeyTable, ...]:
    for family, tables in _TABLES:
        if isinstance(model, family):
            return tables(model)
    known = ", ".join(family.__name__ for family, _ in _TABLES)
    raise UserError(
        f"no key table for {type(model).__name__} (there are: {known}); "
        "train it from random weights, or add a table to fakd_jax/models/torch_weights/names/"
    )
