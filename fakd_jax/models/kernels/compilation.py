"""How the networks' programs are compiled."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp

# Which operations XLA on CPU hands to its library YNNPACK: matrix products and reductions, as by
# default, but not convolutions, which XLA's other library (Eigen) runs up to twice as fast here.
_CPU_OPTIONS = {
    "xla_cpu_experimental_ynn_fusion_type": (
        "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"
    )
}


@cache
def compiler_options() -> dict[str, str]:
    """What to give `jax.jit(..., compiler_options=...)` for a network on the default device.

    The option is experimental, so it is tried first: a JAX that does not know it, or has given
    it other values, compiles with its own defaults. Results differ by rounding at most.
    """
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(jnp.negative, compiler_options=_CPU_OPTIONS).lower(jnp.zeros(())).compile()
    except (jax.errors.JaxRuntimeError, ValueError):
        return {}
    return _CPU_OPTIONS
