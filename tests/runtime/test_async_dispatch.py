"""How far the host runs ahead of the device."""

from __future__ import annotations

import pytest

from fakd_jax.runtime import async_dispatch as dispatch
from fakd_jax.runtime.async_dispatch import steps_ahead, wait_for_room, wait_until_done


@pytest.mark.parametrize(
    ("backend", "sent", "waited_for"),
    [("cpu", "", []), ("cpu", "abc", ["c"]), ("gpu", "ab", []), ("gpu", "abcd", ["b"])],
)
def test_only_an_accelerator_has_programs_in_flight(
    backend: str, sent: str, waited_for: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[str] = []
    monkeypatch.setattr(dispatch.jax, "default_backend", lambda: backend)
    assert steps_ahead() == (0 if backend == "cpu" else 2)
    monkeypatch.setattr(dispatch.jax, "block_until_ready", waited.append)
    wait_for_room(list(sent))
    assert waited == waited_for


@pytest.mark.parametrize(
    ("backend", "seconds", "moments"),
    [("cpu", 0.1, [0.001]), ("cpu", 2.0, [0.005]), ("cpu", 0.0, [0.0]), ("gpu", 2.0, [])],
)
def test_a_pause_on_cpu_lets_memory_be_released(
    backend: str, seconds: float, moments: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    now, napped = [100.0], []
    monkeypatch.setattr(dispatch.jax, "default_backend", lambda: backend)
    monkeypatch.setattr(
        dispatch.jax, "block_until_ready", lambda results: now.append(now[-1] + seconds)
    )
    monkeypatch.setattr(dispatch.time, "monotonic", lambda: now[-1])
    monkeypatch.setattr(dispatch.time, "sleep", napped.append)
    wait_until_done("results")
    assert napped == pytest.approx(moments)
    assert now[-1] == 100.0 + seconds
