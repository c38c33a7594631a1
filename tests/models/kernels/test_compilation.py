"""Options of the compiler: tried before they are used."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fakd_jax.models.kernels import compilation
from fakd_jax.models.kernels.dense import dense_conv


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    compilation._known_cpu_options.cache_clear()
    yield
    compilation._known_cpu_options.cache_clear()


@pytest.mark.parametrize(
    "unknown",
    [
        {"xla_cpu_no_such_option": "1"},
        {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_NO_SUCH"},
    ],
)
def test_options_that_this_jax_does_not_know_are_left_out(
    monkeypatch: pytest.MonkeyPatch, unknown: dict[str, str]
) -> None:
    monkeypatch.setattr(compilation, "_CPU_OPTIONS", unknown)
    assert compilation.compiler_options() == {}


def test_options_keep_convolutions_from_ynnpack_and_change_rounding_alone() -> None:
    generator = np.random.default_rng(0)
    x = jnp.asarray(generator.standard_normal((2, 14, 14, 32)), jnp.float32)
    kernel = jnp.asarray(generator.standard_normal((3, 3, 32, 48)), jnp.float32)
    options = compilation.compiler_options()
    if not options:
        pytest.skip(f"JAX {jax.__version__} on {jax.default_backend()} does not know the options")
    compiled = jax.jit(dense_conv, compiler_options=options).lower(x, kernel).compile()
    assert "__ynn_fusion" not in compiled.as_text()
    expected = jax.jit(dense_conv)(x, kernel)
    np.testing.assert_allclose(compiled(x, kernel), expected, rtol=1e-5, atol=1e-4)


def test_a_gpu_is_asked_for_the_same_bits_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    options = compilation.compiler_options()
    assert options == {"xla_gpu_deterministic_ops": True}
    assert compilation.compiler_options(deterministic=False) == {}
    # Every build of XLA knows the option, and takes it: an unknown one is an error.
    np.testing.assert_array_equal(jax.jit(jnp.negative, compiler_options=options)(1.0), -1.0)
