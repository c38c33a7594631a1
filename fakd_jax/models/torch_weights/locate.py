"""Where the weights of a network are in what a training script saved.

Files nest them (`state_dict`, `net`, …), wrappers and classes put a prefix before every key
(`module.`, `model.`, `_orig_mod.`), and averaged weights may lie beside the plain ones. A network
is found by its own keys: where, and after which prefix, most of them are.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from fakd_jax.errors import UserError, listed
from fakd_jax.models.state import has_prefix
from fakd_jax.models.torch_weights.names import KeyTable

_MAX_DEPTH = 6  # of mappings in mappings

# Parts of names under which training scripts keep averaged weights: `state_dict_ema`, `swa_model`.
_AVERAGED = frozenset({"ema", "swa", "averaged", "average", "avg", "shadow"})
_COUNTER = "n_averaged"  # beside the keys of PyTorch's AveragedModel, which begin with `module.`
_AVERAGED_MODEL_PREFIX = "module."


@dataclass(frozen=True)
class Weights:
    """A network's weights in a file.

    Attributes:
      arrays: arrays or tensors by key, without the prefix.
      path: names of the mappings that lead to them, outermost first.
      prefix: that all their keys had in common, such as `module.`.
      averaged: whether they are averages over training steps.
      beside: arrays of the same mapping without the prefix.
      notes: what was chosen, taken off and left out; one line each, for the user.
      table: the naming of the keys; None if no network was given.
    """

    arrays: Mapping[str, Any]
    path: tuple[str, ...] = ()
    prefix: str = ""
    averaged: bool = False
    beside: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    table: KeyTable | None = None

    @property
    def name(self) -> str:
        """What `--key` calls the place: path and prefix, joined by dots; "" for the whole file."""
        return ".".join([*self.path, *filter(None, [self.prefix.rstrip(".")])])

    def describe(self) -> str:
        """The place and its size in a few words."""
        values = sum(math.prod(array.shape) for array in self.arrays.values())
        where = self.name or "the file itself"
        return f"{where} ({len(self.arrays)} arrays, {values:,} values)"


def find_weights(
    tree: Any,
    source: str,
    table: KeyTable | None = None,
    *,
    key: str | None = None,
    ema: bool = False,
) -> Weights:
    """Finds a network's weights in the content of a file.

    Args:
      tree: mappings of mappings of arrays or tensors, with anything else among them.
      source: what errors call it.
      table: the names of the network's arrays; None takes any for the network's.
      key: dotted name of the place to look at; None for all of the file.
      ema: whether to take averaged weights rather than plain ones.

    Raises:
      UserError: no arrays; none at `key`, or none that are averaged; weights in several places,
        listed with their sizes.
    """
    mappings = dict(_mappings_with_arrays(tree))
    if not mappings:
        raise UserError(
            f"no state dict in {source}: expected arrays by name, or mappings of such by name; "
            "save model.state_dict()"
        )
    places = _places(mappings, table)
    if not places:  # another network's: its own keys are what the complaint should list
        places = _places(mappings, None)
    if key is not None:
        places = _under(places, key, source)
    chosen = _chosen(places, source, ema)
    notes = tuple(_notes(chosen, mappings[chosen.path], places))
    return replace(chosen, notes=notes, table=table)


def keys_of_arrays(tree: Any, key: str | None = None) -> set[str]:
    """The keys of all arrays in the content of a file, or of those at a place in it.

    Args:
      tree: as of :func:`find_weights`.
      key: dotted name of the place; None for all of the file.
    """
    return {
        name
        for path, mapping in _mappings_with_arrays(tree)
        for name, value in mapping.items()
        if is_array(value) and (key is None or has_prefix(".".join([*path, name]), [key]))
    }


def with_head(weights: Weights, head: str, table: KeyTable, source: str) -> Weights:
    """The weights with a linear layer of another name in the place of the network's last one.

    Args:
      weights: as found.
      head: name of the layer, `fc.1` for `fc.1.weight` and `fc.1.bias`, with or without the prefix.
      table: the names of the network's arrays.
      source: what errors call the file.

    Raises:
      UserError: the file has no such layer, or has the network's own last layer too.
    """
    arrays, beside = dict(weights.arrays), dict(weights.beside)
    wanted = [f"{table.logits}.{kind}" for kind in ("weight", "bias")]
    if own := [key for key in wanted if key in arrays and table.logits != head]:
        raise UserError(
            f"{source} has the network's own last layer ({', '.join(own)}); leave out --head {head}"
        )
    layer = head.removeprefix(weights.prefix)
    for held, name in ((arrays, layer), (beside, head)):
        keys = [f"{name}.{kind}" for kind in ("weight", "bias")]
        if all(key in held for key in keys):
            values = [held.pop(key) for key in keys]
            break
    else:
        layers = _linear_layers(arrays) + _linear_layers(beside)
        raise UserError(
            f"{source} has no linear layer {head!r} with a weight and a bias; it has "
            f"{listed(layers) or 'none'}"
        )
    note = (
        f"{head} taken as {table.logits}, which is right if nothing but dropout stands before it "
        "and nothing after"
    )
    arrays |= dict(zip(wanted, values, strict=True))
    return replace(weights, arrays=arrays, beside=beside, notes=(*weights.notes, note))


def is_array(value: Any) -> bool:
    """Whether a value in a file is an array or a tensor."""
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _mappings_with_arrays(tree: Any) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
    """Each mapping that holds arrays itself, by the names that lead to it.

    One that is in the file under several names, or in itself, counts once.
    """
    seen: set[int] = set()

    def visit(
        node: Mapping[Any, Any], path: tuple[str, ...]
    ) -> Iterator[tuple[tuple[str, ...], Mapping[str, Any]]]:
        if id(node) in seen or len(path) > _MAX_DEPTH:
            return
        seen.add(id(node))
        named = {key: value for key, value in node.items() if isinstance(key, str)}
        if any(map(is_array, named.values())):
            yield path, named
        for key, value in named.items():
            if isinstance(value, Mapping):
                yield from visit(value, (*path, key))

    if isinstance(tree, Mapping):
        yield from visit(tree, ())


def _places(
    mappings: Mapping[tuple[str, ...], Mapping[str, Any]], table: KeyTable | None
) -> list[Weights]:
    """Where at least half as many of a network's keys are as where the most of them are."""
    counts: Counter[tuple[tuple[str, ...], str]] = Counter()
    for path, mapping in mappings.items():
        for key, value in mapping.items():
            if not is_array(value):
                continue
            rest = key if table is None else table.without_prefix(key)
            if rest is not None:
                counts[path, key.removesuffix(rest)] += 1
    most = max(counts.values(), default=0)
    return [
        _place(path, prefix, mappings[path])
        for (path, prefix), count in counts.items()
        if 2 * count >= most
    ]


def _place(path: tuple[str, ...], prefix: str, mapping: Mapping[str, Any]) -> Weights:
    arrays = {key: value for key, value in mapping.items() if is_array(value)}
    counter = f"{prefix.removesuffix(_AVERAGED_MODEL_PREFIX)}{_COUNTER}"
    is_counted = arrays.pop(counter, None) is not None
    inside = {key.removeprefix(prefix): v for key, v in arrays.items() if key.startswith(prefix)}
    outside = {key: value for key, value in arrays.items() if not key.startswith(prefix)}
    words = re.split(r"[._]", ".".join([*path, prefix]).lower())
    averaged = is_counted or not _AVERAGED.isdisjoint(words)
    return Weights(inside, path, prefix, averaged, outside)


def _under(places: list[Weights], key: str, source: str) -> list[Weights]:
    """The places that `key` names, or that lie below it."""
    if found := [place for place in places if has_prefix(place.name, [key])]:
        return found
    raise UserError(f"{source} has no weights of the network under {key!r}; {_list(places)}")


def _chosen(places: list[Weights], source: str, ema: bool) -> Weights:
    averaged = [place for place in places if place.averaged]
    plain = [place for place in places if not place.averaged]
    if ema and not averaged:
        raise UserError(f"{source} has no averaged weights; {_list(places)}; leave out --ema")
    candidates = averaged if ema or not plain else plain
    if len(candidates) > 1:
        raise UserError(
            f"{source} has weights of the network in several places; {_list(candidates)}; "
            "choose one with --key NAME (in Python key='NAME')"
        )
    return candidates[0]


def _list(places: list[Weights]) -> str:
    return f"it has {listed([place.describe() for place in places], separator='; ')}"


def _notes(chosen: Weights, mapping: Mapping[str, Any], places: list[Weights]) -> Iterator[str]:
    """What the user should know about a choice."""
    if chosen.path:
        yield f"found under {'.'.join(chosen.path)}"
    if chosen.prefix:
        yield f"prefix {chosen.prefix} taken off {len(chosen.arrays)} keys"
    others = [place for place in places if place.averaged and place is not chosen]
    if chosen.averaged:
        yield "these are averaged weights"
    elif others:
        names = listed([place.describe() for place in others], separator="; ")
        yield f"averaged weights are there too, and not taken: {names}; to take them, add --ema"
    if chosen.beside:
        outside = listed(list(chosen.beside))
        yield f"left out, as their keys do not begin with {chosen.prefix}: {outside}"
    if strangers := [key for key, value in mapping.items() if _is_plain(value)]:
        yield f"left out, as they are not arrays: {listed(strangers)}"


def _is_plain(value: Any) -> bool:
    return not is_array(value) and not isinstance(value, Mapping)


def _linear_layers(arrays: Mapping[str, Any]) -> list[str]:
    """Names of the layers that have a matrix and a bias."""
    return [
        layer
        for key, value in arrays.items()
        if (layer := key.removesuffix(".weight")) != key
        and len(value.shape) == 2
        and f"{layer}.bias" in arrays
    ]
