"""The one choice of a compute type."""

from __future__ import annotations

import jax
import pytest

from fakd_jax.errors import UserError
from fakd_jax.runtime.precision import compute_dtype


@pytest.mark.parametrize(
    ("name", "backend", "expected"),
    [
        ("auto", "cpu", "float32"),
        ("auto", "gpu", "bfloat16"),
        ("float32", "gpu", "float32"),
        ("bfloat16", "cpu", "bfloat16"),
    ],
)
def test_auto_is_bfloat16_on_an_accelerator(
    name: str, backend: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    assert compute_dtype(name).name == expected


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(UserError, match="unknown dtype 'int8'"):
        compute_dtype("int8")
