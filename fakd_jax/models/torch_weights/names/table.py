"""Rows and tables: where each key of a PyTorch state dict belongs in a network of ours.

A row pairs two templates, a library's key and our path; `{name}` stands for a number and appears
in both, so that a table translates in either direction. PyTorch stores convolutions as OIHW and
linear layers as [out, in]; we store HWIO (a depthwise kernel [C, 1, k, k] becomes [k, k, 1, C])
and [in, out].
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

OIHW_TO_HWIO = (2, 3, 1, 0)
TRANSPOSED = (1, 0)
_MAX_PREFIX_PARTS = 8


@dataclass(frozen=True)
class Row:
    """One kind of array in PyTorch's naming and ours.

    Attributes:
      key: template of the PyTorch key.
      path: template of our `collection.path`; None for a known key without a use here.
      axes: PyTorch's axes in our order; None keeps them.
      leading: number of axes of length 1 that our array then has in front and PyTorch's lacks, or,
        negative, that PyTorch's has and ours lacks.
    """

    key: str
    path: str | None
    axes: tuple[int, ...] | None = None
    leading: int = 0

    def path_of(self, key: str) -> str | None:
        """Our path for a key that the row matches."""
        return None if self.path is None else _translate(key, self.key, self.path)

    def matches(self, key: str) -> bool:
        """Whether the key belongs to this row."""
        return _translate(key, self.key, "") is not None

    def key_of(self, path: str) -> str | None:
        """The PyTorch key of one of our paths, None if it does not belong to this row."""
        return None if self.path is None else _translate(path, self.path, self.key)

    def to_ours(self, value: np.ndarray) -> np.ndarray:
        """Reorders a PyTorch array's axes; an array of another rank is returned as it is."""
        if self.axes is not None and value.ndim == len(self.axes):
            value = value.transpose(self.axes)
        return _with_leading(value, self.leading)

    def to_torch(self, value: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`to_ours`."""
        value = _with_leading(value, -self.leading)
        return value if self.axes is None else value.transpose(np.argsort(self.axes))

    def torch_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """PyTorch's shape of an array of ours."""
        return self.to_torch(np.empty(shape, np.bool_)).shape


@dataclass(frozen=True)
class KeyTable:
    """All keys of a family of networks in one library's naming.

    Attributes:
      head: prefix of the layers after the pooled features; weights may lack it.
      logits: the layer in it with one output per class.
      rows: one per kind of array.
      naming: the library.
      settings: keywords of our network's class, with the values under which it computes what the
        library's network of these keys does.
    """

    head: str
    logits: str
    rows: tuple[Row, ...]
    naming: str = "torchvision"
    settings: Mapping[str, Any] = field(default_factory=dict)

    def key_of(self, path: str) -> str | None:
        """The PyTorch key of one of our paths, None if no row has it."""
        row = self.row_of(path)
        return None if row is None else row.key_of(path)

    def row_of(self, path: str) -> Row | None:
        """The row of one of our paths, None if no row has it."""
        if path in self._by_path:
            return self._by_path[path]
        alike = self._templates_by_path.get(_outline(path), ())
        return next((row for row in alike if row.key_of(path) is not None), None)

    def rows_of(self, key: str) -> list[Row]:
        """The rows that a key belongs to; more than one where the table is ambiguous."""
        alike = self._templates_by_key.get(_outline(key), ())
        return [*self._by_key.get(key, ()), *(row for row in alike if row.matches(key))]

    def share(self, keys: Iterable[str], paths: Collection[str]) -> float:
        """The share of a network's paths that have a key of this table among those given.

        Args:
          keys: with or without prefixes.
          paths: of the network's arrays.
        """
        known = filter(None, map(self.without_prefix, keys))
        found = {row.path_of(key) for key in known for row in self.rows_of(key)}
        return len(found & set(paths)) / len(paths)

    def without_prefix(self, key: str) -> str | None:
        """The key without what wrappers put before it (`module.`), None if it is not of a network.

        The shortest prefix counts, the empty one included.
        """
        rest = key
        for _ in range(_MAX_PREFIX_PARTS):
            if any(row.path is not None for row in self.rows_of(rest)):
                return rest
            rest = rest.partition(".")[2]
        return None

    @functools.cached_property
    def _templates_by_key(self) -> dict[str, list[Row]]:
        """The rows with fields by the outline of their keys: a key is tried on few of them."""
        rows: dict[str, list[Row]] = {}
        for row in self.rows:
            if "{" in row.key:
                rows.setdefault(_outline(row.key), []).append(row)
        return rows

    @functools.cached_property
    def _templates_by_path(self) -> dict[str, list[Row]]:
        rows: dict[str, list[Row]] = {}
        for row in self.rows:
            if "{" in row.key and row.path is not None:
                rows.setdefault(_outline(row.path), []).append(row)
        return rows

    @functools.cached_property
    def _by_key(self) -> dict[str, list[Row]]:
        """The rows without fields, some hundred where blocks are listed one by one."""
        rows: dict[str, list[Row]] = {}
        for row in self.rows:
            if "{" not in row.key:
                rows.setdefault(row.key, []).append(row)
        return rows

    @functools.cached_property
    def _by_path(self) -> dict[str, Row]:
        exact = (row for rows in self._by_key.values() for row in rows)
        return {row.path: row for row in exact if row.path is not None}


def conv(key: str, module: str) -> tuple[Row, ...]:
    """A convolution without bias."""
    return (Row(f"{key}.weight", f"params.{module}.kernel", OIHW_TO_HWIO),)


def bias(key: str, module: str) -> tuple[Row, ...]:
    """The bias of any layer."""
    return (Row(f"{key}.bias", f"params.{module}.bias"),)


def biased_conv(key: str, module: str) -> tuple[Row, ...]:
    """A convolution with bias."""
    return (*conv(key, module), *bias(key, module))


def linear(key: str, module: str) -> tuple[Row, ...]:
    """A fully connected layer."""
    return (Row(f"{key}.weight", f"params.{module}.kernel", TRANSPOSED), *bias(key, module))


def linear_as_pointwise(key: str, module: str) -> tuple[Row, ...]:
    """A fully connected layer of theirs that is a 1×1 convolution of ours."""
    weight = Row(f"{key}.weight", f"params.{module}.kernel", TRANSPOSED, leading=2)
    return (weight, *bias(key, module))


def pointwise_as_linear(key: str, module: str) -> tuple[Row, ...]:
    """A 1×1 convolution of theirs that is a fully connected layer of ours."""
    weight = Row(f"{key}.weight", f"params.{module}.kernel", OIHW_TO_HWIO, leading=-2)
    return (weight, *bias(key, module))


def layer_norm(key: str, module: str) -> tuple[Row, ...]:
    """A normalisation without statistics."""
    return (Row(f"{key}.weight", f"params.{module}.scale"), *bias(key, module))


def batch_norm(key: str, module: str) -> tuple[Row, ...]:
    """A batch norm with its running statistics."""
    return (
        *layer_norm(key, module),
        Row(f"{key}.running_mean", f"batch_stats.{module}.mean"),
        Row(f"{key}.running_var", f"batch_stats.{module}.var"),
        Row(f"{key}.num_batches_tracked", None),  # only for PyTorch's momentum=None
    )


def _with_leading(value: np.ndarray, count: int) -> np.ndarray:
    """Adds axes of length 1 in front, or removes them; others are left, for the shape to differ."""
    if count >= 0:
        return value.reshape((1,) * count + value.shape)
    removable = value.shape[:-count] == (1,) * -count
    return value.reshape(value.shape[-count:]) if removable else value


def _outline(text: str) -> str:
    """A key or template with one sign for each number or field: what both have in common.

    >>> _outline("layer{stage}.{block}.conv1.weight") == _outline("layer4.10.conv2.weight")
    True
    """
    return re.sub(r"(?:\d|\{\w+\})+", "#", text)


@functools.cache
def _pattern(template: str) -> re.Pattern[str]:
    """The regular expression of a template, with its fields as named groups of digits."""
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>\\d+)", re.escape(template)))


def _translate(text: str, source: str, target: str) -> str | None:
    """The target with the fields that the text has in the source; None if it does not match."""
    if "{" not in source:
        return target if text == source else None
    match = _pattern(source).fullmatch(text)
    return None if match is None else target.format(**match.groupdict())
