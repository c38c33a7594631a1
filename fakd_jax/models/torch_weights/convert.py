"""State dicts of PyTorch into our networks, completely or not at all, and back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from flax import nnx

from fakd_jax.errors import UserError
from fakd_jax.models.state import (
    flatten_state,
    has_prefix,
    model_state,
    set_model_state,
    unflatten_state,
)
from fakd_jax.models.torch_weights.files import as_array
from fakd_jax.models.torch_weights.names import KeyTable, Row, differing_settings, recognise


@dataclass(frozen=True)
class LoadReport:
    """What was loaded from a state dict and what was not; keys as PyTorch names them.

    Attributes:
      loaded: number of arrays loaded.
      parameters: number of values loaded by group (`layer1`, `features.3`, …), without batch
        statistics.
      statistics: number of values of batch statistics loaded.
      fresh: keys that keep their initial values.
      left_out: keys that were there and did not fit, with both shapes; all are in `fresh`.
      ignored: keys without a use here (`num_batches_tracked`).
      source: the file or folder.
      sha256: of the file, or of a folder's arrays.
      naming: the library that names the keys so.
    """

    loaded: int
    parameters: Mapping[str, int]
    statistics: int
    fresh: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    source: str | None = None
    sha256: str | None = None
    naming: str = "torchvision"

    @property
    def head(self) -> str:
        """'pretrained', 'untrained' (the head did not fit) or 'absent'."""
        if not self.fresh:
            return "pretrained"
        return "untrained" if self.left_out else "absent"

    def summary(self) -> str:
        """The report as a few lines of text."""
        digest = f" (sha256 {self.sha256})" if self.sha256 else ""
        groups = ", ".join(f"{name} {count:,}" for name, count in self.parameters.items())
        lines = [
            f"weights from {self.source or 'a state dict'}{digest}",
            f"loaded {self.loaded} arrays: {sum(self.parameters.values()):,} parameters, "
            f"{self.statistics:,} batch statistics; the keys are named as in {self.naming}",
            f"parameters by group: {groups}",
        ]
        if self.fresh:
            lines.append(f"initialised at random: {', '.join(self.fresh)}")
        if self.left_out:
            lines.append(f"left out, of another shape: {'; '.join(self.left_out)}")
        if self.ignored:
            kinds = sorted({key.rpartition(".")[2] for key in self.ignored})
            lines.append(f"ignored: {len(self.ignored)} keys ({', '.join(kinds)})")
        return "\n".join(lines)


@dataclass(frozen=True)
class _Matches:
    """The keys of a state dict, sorted by the table."""

    rows: dict[str, tuple[str, Row]]  # path → (key, row)
    ignored: tuple[str, ...]
    extra: tuple[str, ...]
    ambiguous: tuple[str, ...]


def load_state_dict(
    model: nnx.Module,
    state_dict: Mapping[str, Any],
    *,
    allow_missing: Sequence[str] = (),
    table: KeyTable | None = None,
) -> LoadReport:
    """Fills a model with a PyTorch state dict, completely or not at all.

    Args:
      model: changed in place.
      state_dict: arrays or tensors by PyTorch's keys, in PyTorch's layouts.
      allow_missing: prefixes of keys, such as `fc` or `classifier`. A layer below one that the
        dict lacks, or has in another shape, keeps its initial values as a whole, and the report
        lists it.
      table: the naming of the keys; None recognises it, and checks that the model has the settings
        of that library's network.

    Returns:
      What was loaded, left at its initial values and ignored.

    Raises:
      UserError: lists every missing, extra, ambiguous, misshaped and unusable key, or the settings
        that the model should have; the model is then unchanged.
    """
    if table is None:
        table = recognise(model, state_dict)
        require_settings(model, table.naming, differing_settings(model, table))
    wanted = {path: np.shape(leaf) for path, leaf in flatten_state(model_state(model)).items()}
    key_by_path = {path: table.key_of(path) or path for path in wanted}
    _refuse_unknown_prefixes(allow_missing, key_by_path.values())
    matches = _match(state_dict, table, wanted.keys())
    values = {
        path: row.to_ours(as_array(state_dict[key])) for path, (key, row) in matches.rows.items()
    }

    misshaped = {
        key: f"{key} has {tuple(np.shape(state_dict[key]))}, "
        f"the model {row.torch_shape(wanted[path])}"
        for path, (key, row) in matches.rows.items()
        if values[path].shape != wanted[path]
    }
    absent = [key_by_path[path] for path in wanted if path not in values]
    fresh_layers = {_layer(key) for key in [*absent, *misshaped] if has_prefix(key, allow_missing)}
    fresh = {path: key for path, key in key_by_path.items() if _layer(key) in fresh_layers}
    problems = {
        "missing": [key for key in absent if _layer(key) not in fresh_layers],
        "extra": matches.extra,
        "ambiguous": matches.ambiguous,
        "misshaped": [text for key, text in misshaped.items() if _layer(key) not in fresh_layers],
        "unusable": [
            f"{key_by_path[path]} is {flaw}"
            for path, value in values.items()
            if path not in fresh and (flaw := _flaw(value))
        ],
    }
    if any(problems.values()):
        raise UserError(_complaint(model, problems, len(state_dict), len(values), table))

    kept = {path: value for path, value in values.items() if path not in fresh}
    bare = [path.partition(".")[2] for path in fresh]
    set_model_state(model, unflatten_state(kept), allow_missing=bare)
    return LoadReport(
        loaded=len(kept),
        parameters=_count_by_group(
            (key_by_path[path], kept[path].size)
            for path in wanted
            if path in kept and path.startswith("params.")
        ),
        statistics=sum(v.size for path, v in kept.items() if path.startswith("batch_stats.")),
        fresh=tuple(sorted(fresh.values())),
        left_out=tuple(
            misshaped.get(key, f"{key} belongs to a layer that does not fit")
            for path, key in sorted(fresh.items())
            if path in values
        ),
        ignored=matches.ignored,
        naming=table.naming,
    )


def require_settings(model: nnx.Module, whose: str, differing: Mapping[str, Any]) -> None:
    """Refuses a model that would compute something else than the network of its weights.

    Args:
      model: the network to be filled.
      whose: whose weights they are.
      differing: the settings that the model lacks, as of :func:`differing_settings`.

    Raises:
      UserError: there are any.
    """
    if differing:
        given = ", ".join(f"{name}={value!r}" for name, value in differing.items())
        raise UserError(
            f"these are weights of {whose} for another {type(model).__name__} than this one; make "
            f"the network with {given} (in Python create_model(..., {given}))"
        )


def to_state_dict(state: Mapping[str, Any], table: KeyTable) -> dict[str, np.ndarray]:
    """Names and lays out a model's state as PyTorch does: the inverse of :func:`load_state_dict`.

    Args:
      state: as of :func:`fakd_jax.models.state.model_state`.
      table: of the model's family.

    Returns:
      Arrays by key, without `num_batches_tracked`.

    Raises:
      UserError: a path that the table does not know.
    """
    state_dict = {}
    for path, leaf in flatten_state(state).items():
        row = table.row_of(path)
        if row is None:
            raise UserError(f"{path} is in no row of the key table; is it another network's?")
        state_dict[str(row.key_of(path))] = row.to_torch(np.asarray(leaf))
    return state_dict


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


def _layer(key: str) -> str:
    """The layer of a key's array: layers are loaded as a whole or not at all."""
    return key.rpartition(".")[0]


def _flaw(value: np.ndarray) -> str | None:
    if not np.issubdtype(value.dtype, np.floating):
        return f"of dtype {value.dtype}, not floating point"
    return None if np.isfinite(value).all() else "not finite everywhere"


def _refuse_unknown_prefixes(prefixes: Sequence[str], keys: Iterable[str]) -> None:
    keys = list(keys)
    unknown = [p for p in prefixes if not any(has_prefix(key, [p]) for key in keys)]
    if unknown:
        groups = sorted({key.partition(".")[0] for key in keys})
        raise UserError(
            f"allow_missing names {', '.join(unknown)}, which the network does not have; "
            f"it has {', '.join(groups)}"
        )


def _complaint(
    model: nnx.Module,
    problems: Mapping[str, Sequence[str]],
    given: int,
    matched: int,
    table: KeyTable,
) -> str:
    """One line with every problem, and what to do about the usual ones."""
    listed = "; ".join(f"{kind}: {', '.join(keys)}" for kind, keys in problems.items() if keys)
    counts = ", ".join(f"{len(keys)} {kind}" for kind, keys in problems.items() if keys)
    text = f"these weights do not fit a {type(model).__name__} ({counts}): {listed}"
    if given and not matched:
        return f"{text}; none of their {given} keys is known: is it another network's file?"
    in_question = [key for kind in ("missing", "misshaped") for key in problems[kind]]
    if any(has_prefix(key.split(" ")[0], [table.head]) for key in in_question):
        text += (
            f"; to initialise the head at random, add --allow-missing {table.head} "
            f"(in Python allow_missing=['{table.head}'])"
        )
    return text


def _count_by_group(sizes: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Adds up sizes by stage or block: `layer1`, `features.3`, `fc`, `classifier`."""
    counts: dict[str, int] = defaultdict(int)
    for key, size in sizes:
        parts = key.split(".")
        counts[".".join(parts[:2]) if parts[0] == "features" else parts[0]] += size
    return dict(counts)
