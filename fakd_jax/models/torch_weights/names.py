"""Where each key of a PyTorch state dict belongs in our networks, as tables one can audit.

A row pairs two templates, torchvision's key and our path; `{name}` stands for a number and appears
in both, so that a table translates in either direction. PyTorch stores convolutions as OIHW and
linear layers as [out, in]; we store HWIO (a depthwise kernel [C, 1, k, k] becomes [k, k, 1, C])
and [in, out].
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

import numpy as np
from flax import nnx

from fakd_jax.errors import UserError
from fakd_jax.models.mobilenet_v3 import MobileNetV3
from fakd_jax.models.resnet import ResNet

OIHW_TO_HWIO = (2, 3, 1, 0)
TRANSPOSED = (1, 0)


@dataclass(frozen=True)
class Row:
    """One kind of array in PyTorch's naming and ours.

    Attributes:
      key: template of the PyTorch key.
      path: template of our `collection.path`; None for a known key without a use here.
      axes: PyTorch's axes in our order; None keeps them.
    """

    key: str
    path: str | None
    axes: tuple[int, ...] | None = None

    def path_of(self, key: str) -> str | None:
        """Our path for a key that the row matches."""
        return None if self.path is None else _translate(key, self.key, self.path)

    def matches(self, key: str) -> bool:
        """Whether the key belongs to this row."""
        return _pattern(self.key).fullmatch(key) is not None

    def key_of(self, path: str) -> str | None:
        """The PyTorch key of one of our paths, None if it does not belong to this row."""
        return None if self.path is None else _translate(path, self.path, self.key)

    def to_ours(self, value: np.ndarray) -> np.ndarray:
        """Reorders a PyTorch array's axes; an array of another rank is returned as it is."""
        if self.axes is None or value.ndim != len(self.axes):
            return value
        return value.transpose(self.axes)

    def to_torch(self, value: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`to_ours`."""
        return value if self.axes is None else value.transpose(np.argsort(self.axes))

    def torch_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """PyTorch's shape of an array of ours."""
        return self.to_torch(np.empty(shape, np.bool_)).shape


@dataclass(frozen=True)
class KeyTable:
    """All keys of a family of networks.

    Attributes:
      head: prefix of the layers after the pooled features; weights may lack it.
      logits: the layer in it with one output per class.
      rows: one per kind of array.
    """

    head: str
    logits: str
    rows: tuple[Row, ...]

    def key_of(self, path: str) -> str | None:
        """The PyTorch key of one of our paths, None if no row has it."""
        return next((key for row in self.rows if (key := row.key_of(path)) is not None), None)

    def row_of(self, path: str) -> Row | None:
        """The row of one of our paths, None if no row has it."""
        return next((row for row in self.rows if row.key_of(path) is not None), None)


def _conv(key: str, module: str) -> tuple[Row, ...]:
    return (Row(f"{key}.weight", f"params.{module}.kernel", OIHW_TO_HWIO),)


def _bias(key: str, module: str) -> tuple[Row, ...]:
    return (Row(f"{key}.bias", f"params.{module}.bias"),)


def _linear(key: str, module: str) -> tuple[Row, ...]:
    return (Row(f"{key}.weight", f"params.{module}.kernel", TRANSPOSED), *_bias(key, module))


def _norm(key: str, module: str) -> tuple[Row, ...]:
    return (
        Row(f"{key}.weight", f"params.{module}.scale"),
        Row(f"{key}.bias", f"params.{module}.bias"),
        Row(f"{key}.running_mean", f"batch_stats.{module}.mean"),
        Row(f"{key}.running_var", f"batch_stats.{module}.var"),
        Row(f"{key}.num_batches_tracked", None),  # only for PyTorch's momentum=None
    )


RESNET = KeyTable(
    head="fc",
    logits="fc",
    rows=(
        *_conv("conv1", "conv1"),
        *_norm("bn1", "bn1"),
        *_conv("layer{s}.{b}.conv{c}", "layer{s}.{b}.conv{c}"),
        *_norm("layer{s}.{b}.bn{c}", "layer{s}.{b}.bn{c}"),
        *_conv("layer{s}.{b}.downsample.0", "layer{s}.{b}.downsample_conv"),
        *_norm("layer{s}.{b}.downsample.1", "layer{s}.{b}.downsample_bn"),
        *_linear("fc", "fc"),
    ),
)

MOBILENET_V3 = KeyTable(
    head="classifier",
    logits="classifier.3",
    rows=(
        *_conv("features.{n}.0", "features.{n}.conv"),
        *_norm("features.{n}.1", "features.{n}.bn"),
        *_conv("features.{n}.block.{m}.0", "features.{n}.block.{m}.conv"),
        *_norm("features.{n}.block.{m}.1", "features.{n}.block.{m}.bn"),
        *_conv("features.{n}.block.{m}.fc{i}", "features.{n}.block.{m}.fc{i}"),
        *_bias("features.{n}.block.{m}.fc{i}", "features.{n}.block.{m}.fc{i}"),
        *_linear("classifier.{i}", "classifier_{i}"),
    ),
)

_TABLES: tuple[tuple[type[nnx.Module], KeyTable], ...] = (
    (ResNet, RESNET),
    (MobileNetV3, MOBILENET_V3),
)


def key_table(model: nnx.Module) -> KeyTable:
    """The table of a model's family (:class:`ResNet` or :class:`MobileNetV3` of any size).

    Raises:
      UserError: a network of another family.
    """
    for family, table in _TABLES:
        if isinstance(model, family):
            return table
    known = ", ".join(family.__name__ for family, _ in _TABLES)
    raise UserError(
        f"no key table for {type(model).__name__} (there are: {known}); "
        "train it from random weights, or add a table to fakd_jax/models/torch_weights/names.py"
    )


@functools.cache
def _pattern(template: str) -> re.Pattern[str]:
    """The regular expression of a template, with its fields as named groups of digits."""
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>\\d+)", re.escape(template)))


def _translate(text: str, source: str, target: str) -> str | None:
    match = _pattern(source).fullmatch(text)
    return None if match is None else target.format(**match.groupdict())
