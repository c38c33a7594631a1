"""How the keys of a state dict fit a network: which find their place, and what is wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fakd_jax.errors import UserError, listed
from fakd_jax.models.state import has_prefix
from fakd_jax.models.torch_weights.files import as_array
from fakd_jax.models.torch_weights.names import KeyTable, Row


@dataclass(frozen=True)
class Allowances:
    """What may differ between a state dict and a network.

    Attributes:
      missing: prefixes of keys that may be absent, of another shape or replaced.
      extra: prefixes of keys that the network does not have.
      grey_stem: whether the first convolution has one channel for the network's three.
    """

    missing: Sequence[str] = ()
    extra: Sequence[str] = ()
    grey_stem: bool = False


@dataclass(frozen=True)
class Fit:
    """A state dict beside a network.

    Attributes:
      given: the state dict.
      wanted: shapes of the network's arrays, by our `collection.path`.
      keys: PyTorch's keys of the network's arrays, by path.
      values: the arrays that have a place in the network, by its path, in our layout.
      fresh: paths that keep their initial values, and their keys.
      left_out: what does not fit and is allowed not to, with shapes.
      ignored: keys without a use here.
      grey_stems: keys of convolutions of one channel where the network has three.
      notes: what was changed or left out as allowed.
      problems: "missing", "extra", "ambiguous", "misshaped" and "unusable", with what is.
    """

    given: Mapping[str, Any]
    wanted: Mapping[str, tuple[int, ...]]
    keys: Mapping[str, str]
    values: Mapping[str, np.ndarray]
    fresh: Mapping[str, str]
    left_out: tuple[str, ...]
    ignored: tuple[str, ...]
    grey_stems: tuple[str, ...]
    notes: tuple[str, ...]
    problems: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class _Matches:
    """The keys of a state dict, sorted by the table."""

    rows: dict[str, tuple[str, Row]]  # path → (key, row)
    ignored: tuple[str, ...]
    extra: tuple[str, ...]
    ambiguous: tuple[str, ...]


def fit_state_dict(
    given: Mapping[str, Any],
    wanted: Mapping[str, tuple[int, ...]],
    table: KeyTable,
    allowances: Allowances,
) -> Fit:
    """Puts each array of a state dict in its place in a network, and finds what has none.

    Args:
      given: arrays or tensors by PyTorch's key.
      wanted: shapes of the network's arrays by `collection.path`.
      table: the naming of the keys.
      allowances: what may differ.

    Raises:
      UserError: a grey stem is asked for, and the state dict has none.
    """
    keys = {path: table.key_of(path) or path for path in wanted}
    matches = _match(given, table, wanted.keys())
    values = {path: row.to_ours(as_array(given[key])) for path, (key, row) in matches.rows.items()}
    grey = [path for path, value in values.items() if _is_grey(value.shape, wanted[path])]
    notes = []
    if allowances.grey_stem:
        values |= {path: np.repeat(values[path] / 3, 3, axis=-2) for path in grey}
        notes.append(_describe_grey([keys[path] for path in grey]))

    misshaped = {
        key: f"{key} has {_shape(given[key])}, the model {row.torch_shape(wanted[path])}"
        for path, (key, row) in matches.rows.items()
        if values[path].shape != wanted[path]
    }
    absent = [keys[path] for path in wanted if path not in values]
    may_be_fresh = [key for key in [*absent, *misshaped] if has_prefix(key, allowances.missing)]
    fresh_layers = set(map(layer_of, may_be_fresh))
    fresh = {path: key for path, key in keys.items() if layer_of(key) in fresh_layers}

    # Other layers below an allowed prefix take the place of those that are initialised anew.
    replaced = [p for p in allowances.missing if any(has_prefix(key, [p]) for key in fresh_layers)]
    strangers = [key for key in matches.extra if has_prefix(key, replaced)]
    allowed = [key for key in matches.extra if has_prefix(key, allowances.extra)]
    if allowed:
        notes.append(f"left out, as allowed: {listed(allowed)}")
    unfit = [
        misshaped.get(key, f"{key} belongs to a layer that does not fit")
        for path, key in sorted(fresh.items())
        if path in values
    ]
    unfit += [f"{key} {_shape(given[key])} has no place in the model" for key in strangers]
    problems = {
        "missing": [key for key in absent if layer_of(key) not in fresh_layers],
        "extra": [key for key in matches.extra if key not in {*strangers, *allowed}],
        "ambiguous": matches.ambiguous,
        "misshaped": [text for key, text in misshaped.items() if layer_of(key) not in fresh_layers],
        "unusable": [
            f"{keys[path]} is {flaw}"
            for path, value in values.items()
            if path not in fresh and (flaw := _flaw(value))
        ],
    }
    return Fit(
        given=given,
        wanted=wanted,
        keys=keys,
        values=values,
        fresh=fresh,
        left_out=tuple(unfit),
        ignored=matches.ignored,
        grey_stems=tuple(keys[path] for path in grey),
        notes=tuple(notes),
        problems=problems,
    )


def layer_of(key: str) -> str:
    """The layer of a key's array: layers are loaded as a whole or not at all."""
    return key.rpartition(".")[0]


def _match(keys: Iterable[str], table: KeyTable, known: Iterable[str]) -> _Matches:
    """Looks every key up in the table; `known` are the model's paths."""
    known = set(known)
    claims: dict[str, list[tuple[str, Row]]] = defaultdict(list)
    ignored, extra, ambiguous = [], [], []
    for key in keys:
        rows = table.rows_of(key)
        if len(rows) > 1:
            ambiguous.append(f"{key} matches {', '.join(row.key for row in rows)}")
        elif not rows or ((path := rows[0].path_of(key)) is not None and path not in known):
            extra.append(key)
        elif path is None:
            ignored.append(key)
        else:
            claims[path].append((key, rows[0]))
    for path, claimants in claims.items():
        if len(claimants) > 1:
            ambiguous.append(f"{', '.join(key for key, _ in claimants)} all mean {path}")
    rows_by_path = {path: claimants[0] for path, claimants in claims.items()}
    return _Matches(rows_by_path, tuple(ignored), tuple(extra), tuple(ambiguous))


def _shape(array: Any) -> tuple[int, ...]:
    return tuple(np.shape(array))


def _flaw(value: np.ndarray) -> str | None:
    if not np.issubdtype(value.dtype, np.floating):
        return f"of dtype {value.dtype}, not floating point"
    return None if np.isfinite(value).all() else "not finite everywhere"


def _is_grey(given: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    """Whether a kernel [k, k, I, O] is of one channel where the network has three."""
    return len(given) == 4 and given[2] == 1 and wanted == (*given[:2], 3, given[3])


def _describe_grey(keys: Sequence[str]) -> str:
    if not keys:
        raise UserError("--grey-stem is for weights of a one-channel network; leave it out")
    return (
        f"one-channel stem {', '.join(keys)} spread over three channels, a third each: an image "
        "that repeats one channel gives what the channel alone gave"
    )
