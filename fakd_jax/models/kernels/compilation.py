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


# Without it, algorithms that are chosen by timing and atomic additions change the last bits.
_DETERMINISTIC_GPU_OPTIONS = {"xla_gpu_deterministic_ops": True}


def compiler_options(*, deterministic: bool = True) -> dict[str, str | bool]:
    """The `compiler_options` of `jax.jit` for a network on the default device.

    Args:
      deterministic: whether a program must give the same bits each time it is compiled and run. A
        GPU may be slower then; a CPU does so anyway.
    """
    if jax.default_backend() == "cpu":
        return dict(_known_cpu_options())
    deterministic_gpu = deterministic and jax.default_backend() == "gpu"
    return dict(_DETERMINISTIC_GPU_OPTIONS) if deterministic_gpu else {}


@cache
def _known_cpu_options() -> dict[str, str]:
    """The CPU's options; none where JAX does not know them.

    They are experimental: a JAX that does not know an option, or its values, compiles with its
    defaults. Results differ by rounding at most.
    """
    try:
        jax.jit(jnp.negative, compiler_options=_CPU_OPTIONS).lower(jnp.zeros(())).compile()
    except (jax.errors.JaxRuntimeError, ValueError):
        return {}
    return _CPU_OPTIONS
