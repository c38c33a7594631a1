"""What to do about weights that do not fit a network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fakd_jax.models.state import has_prefix
from fakd_jax.models.torch_weights.fit import Fit, layer_of
from fakd_jax.models.torch_weights.names import KeyTable


def advise(fit: Fit, table: KeyTable) -> str:
    """Advice on the usual problems, to follow the list of all; "" if there is none."""
    if not fit.values:
        return f"; none of their {len(fit.given)} keys is known: is it another network's file?"
    text = ""
    in_question = [*fit.problems["missing"], *fit.problems["misshaped"]]
    if any(has_prefix(each.split(" ")[0], [table.head]) for each in in_question):
        text += (
            f"; to initialise the head at random, add --allow-missing {table.head} "
            f"(in Python allow_missing=['{table.head}'])"
        )
        if layer := _only_linear_layer(fit, table):
            text += (
                f"; if {layer} is its last layer, with nothing but dropout before it and nothing "
                f"after, add --head {layer}"
            )
    if any(each.split(" ")[0] in fit.grey_stems for each in fit.problems["misshaped"]):
        text += "; for a network of one-channel images add --grey-stem (in Python grey_stem=True)"
    return text


def _only_linear_layer(fit: Fit, table: KeyTable) -> str | None:
    """The linear layer that is all that the file's own head has; None if it is anything else."""
    in_head = {key for key in fit.problems["extra"] if has_prefix(key, [table.head])}
    layers: Sequence[str] = sorted(set(map(layer_of, in_head)))
    if len(layers) != 1 or in_head != {f"{layers[0]}.weight", f"{layers[0]}.bias"}:
        return None
    (kernel,) = (path for path, key in fit.keys.items() if key == f"{table.logits}.weight")
    shape = np.shape(fit.given[f"{layers[0]}.weight"])
    return layers[0] if len(shape) == 2 and shape[1] == fit.wanted[kernel][0] else None
