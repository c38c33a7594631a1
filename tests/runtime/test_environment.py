"""The description of software and hardware."""

from __future__ import annotations

import os

import jax
import pytest

from fakd_jax.runtime import distributed
from fakd_jax.runtime.environment import (
    LIBRARIES,
    describe_environment,
    environment_differences,
)


def test_it_names_devices_flags_and_versions() -> None:
    here = describe_environment()
    assert here["platform"] == jax.devices()[0].platform
    assert here["device_count"] == jax.device_count()
    assert here["jax"] == jax.__version__
    assert here["device"]
    assert set(LIBRARIES) <= here.keys()
    assert all(isinstance(value, str | int) for value in here.values())


def test_the_devices_are_those_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = (jax.devices()[-1],) * (jax.device_count() + 1)
    monkeypatch.setattr(distributed, "_chosen", chosen)
    assert describe_environment()["device_count"] == len(chosen)


def test_the_processors_are_those_that_xla_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NPROC", "3")
    assert describe_environment()["cpu_count"] == 3
    monkeypatch.delenv("NPROC")
    assert describe_environment()["cpu_count"] == len(os.sched_getaffinity(0))


def test_differences_are_those_of_keys_that_both_know() -> None:
    before = {"jax": "1.0", "numpy": "2.0", "gone": 1}
    after = {"numpy": "2.0", "jax": "1.1", "new": 2}
    assert environment_differences(before, after) == ["jax was 1.0, is 1.1"]
    assert environment_differences(after, after) == []
