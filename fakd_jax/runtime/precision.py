"""The floating-point type that networks compute in."""

from __future__ import annotations

import numpy as np

from fakd_jax.errors import UserError

DTYPES = ("auto", "float32", "bfloat16")


def compute_dtype(name: str) -> np.dtype:
    """The type called `name`; "auto" is bfloat16 on a GPU or TPU and float32 on a CPU.

    Raises:
      UserError: the name is not one of :data:`DTYPES`.
    """
    if name not in DTYPES:
        raise UserError(f"unknown dtype {name!r}; choose one of {', '.join(DTYPES)}")
    import jax

    if name == "auto":
        name = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    return jax.numpy.dtype(name)
