"""State dicts of PyTorch into our networks, completely or not at all, and back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
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
from fakd_jax.models.torch_weights.advice import advise
from fakd_jax.models.torch_weights.fit import Allowances, Fit, fit_state_dict
from fakd_jax.models.torch_weights.locate import find_weights
from fakd_jax.models.torch_weights.names import KeyTable, differing_settings, recognise
from fakd_jax.models.torch_weights.report import LoadReport


def load_state_dict(
    model: nnx.Module,
    state_dict: Mapping[str, Any],
    *,
    allow_missing: Sequence[str] = (),
    allow_extra: Sequence[str] = (),
    grey_stem: bool = False,
    table: KeyTable | None = None,
) -> LoadReport:
    """Fills a model with a PyTorch state dict, completely or not at all.

    Args:
      model: changed in place.
      state_dict: arrays or tensors by PyTorch's keys, in PyTorch's layouts. A prefix that all
        keys have in common (`module.`) is taken off, and the report says so.
      allow_missing: prefixes of keys, such as `fc` or `classifier`. A layer below one that the
        dict lacks, or has in another shape, keeps its initial values as a whole, and the report
        lists it; so it does other layers that the dict has in its place.
      allow_extra: prefixes of keys that the network does not have, which are left out.
      grey_stem: whether the dict is of a network of one-channel images. Its first convolution is
        spread over three channels, a third each: an image that repeats one channel gives what the
        channel alone gave, to the rounding of float32.
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
    found = find_weights(state_dict, "the state dict", table)
    wanted = {path: np.shape(leaf) for path, leaf in flatten_state(model_state(model)).items()}
    _refuse_unknown_prefixes(allow_missing, [table.key_of(path) or path for path in wanted])
    allowances = Allowances(tuple(allow_missing), tuple(allow_extra), grey_stem)
    fit = fit_state_dict(found.arrays, wanted, table, allowances)
    if any(fit.problems.values()):
        raise UserError(_complaint(model, fit) + advise(fit, table))
    kept = {path: value for path, value in fit.values.items() if path not in fit.fresh}
    bare = [path.partition(".")[2] for path in fit.fresh]
    set_model_state(model, unflatten_state(kept), allow_missing=bare)
    return LoadReport(
        loaded=len(kept),
        parameters=_count_by_group(
            (fit.keys[path], kept[path].size)
            for path in wanted
            if path in kept and path.startswith("params.")
        ),
        statistics=sum(v.size for path, v in kept.items() if path.startswith("batch_stats.")),
        fresh=tuple(sorted(fit.fresh.values())),
        left_out=fit.left_out,
        ignored=fit.ignored,
        notes=(*found.notes, *fit.notes),
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


def _refuse_unknown_prefixes(prefixes: Sequence[str], keys: Iterable[str]) -> None:
    keys = list(keys)
    unknown = [p for p in prefixes if not any(has_prefix(key, [p]) for key in keys)]
    if unknown:
        groups = sorted({key.partition(".")[0] for key in keys})
        raise UserError(
            f"allow_missing names {', '.join(unknown)}, which the network does not have; "
            f"it has {', '.join(groups)}"
        )


def _complaint(model: nnx.Module, fit: Fit) -> str:
    """One line with every problem."""
    problems = {kind: texts for kind, texts in fit.problems.items() if texts}
    found = "; ".join(f"{kind}: {', '.join(texts)}" for kind, texts in problems.items())
    counts = ", ".join(f"{len(texts)} {kind}" for kind, texts in problems.items())
    return f"these weights do not fit a {type(model).__name__} ({counts}): {found}"


def _count_by_group(sizes: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Adds up sizes by stage or block: `layer1`, `features.3`, `fc`, `classifier`."""
    counts: dict[str, int] = defaultdict(int)
    for key, size in sizes:
        parts = key.split(".")
        counts[".".join(parts[:2]) if parts[0] == "features" else parts[0]] += size
    return dict(counts)
