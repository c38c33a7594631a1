"""Compiler options for the networks."""

from __future__ import annotations

from functools import cache

import jax
import jax.numpy as jnp

# XLA on CPU hands operations to its library YNNPACK. This keeps its defaults, matrix products and
# reductions, but leaves out convolutions, which Eigen runs up to twice as fast here.
_CPU_OPTIONS = {
    "xla_cpu_experimental_ynn_fusion_type": (
        "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"
    )
}


@cache
def compiler_options() -> dict[str, str]:
    """The `compiler_options` of `jax.jit` for a network on the default device.

    The CPU option is experimental: a JAX that does not know it, or its values, compiles with its
    defaults. Results differ by rounding at most.
    """
    if jax.default_backend() != "cpu":
        return {}
    try:
        jax.jit(jnp.negative, compiler_options=_CPU_OPTIONS).lower(jnp.zeros(())).compile()
    except (jax.errors.JaxRuntimeError, ValueError):
        return {}
    return _CPU_OPTIONS
