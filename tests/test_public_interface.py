"""`fakd_jax.__all__`: all there, lazy, and callable whatever was imported first."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import fakd_jax

COMMANDS = ("evaluate", "explain", "predict", "train")


@pytest.mark.parametrize("name", fakd_jax.__all__)
def test_every_name_is_there_and_documented(name: str) -> None:
    assert name in dir(fakd_jax)
    assert getattr(fakd_jax, name).__doc__
    if name != "__version__":
        assert f"`{name}" in (fakd_jax.__doc__ or "")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="predictor"):
        fakd_jax.predictor  # noqa: B018


@pytest.mark.parametrize("name", COMMANDS)
def test_commands_have_their_functions_signature(name: str) -> None:
    first = next(iter(inspect.signature(getattr(fakd_jax, name)).parameters))
    assert (
        first
        == {
            "evaluate": "checkpoint",
            "explain": "predictor",
            "predict": "checkpoint",
            "train": "config",
        }[name]
    )


def test_importing_the_package_imports_nothing_heavy_and_commands_are_callable_in_any_order() -> (
    None
):
    code = f"""
import importlib, sys
import fakd_jax
assert "jax" not in sys.modules and "numpy" not in sys.modules
for name in {COMMANDS}:
    if name == "explain":  # the attribute first, then the module; for the others the other way
        first, second = getattr(fakd_jax, name), importlib.import_module("fakd_jax." + name)
    else:
        first, second = importlib.import_module("fakd_jax." + name), getattr(fakd_jax, name)
    assert first is second and callable(first) and callable(first.main)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
