"""Signals while a step runs."""

import signal

import pytest

from fakd_jax.training import interrupts
from fakd_jax.training.interrupts import StopRequest


@pytest.mark.parametrize("first", [signal.SIGUSR1, signal.SIGINT])
def test_a_second_signal_interrupts_a_process_of_its_own_only(monkeypatch, first):
    stop = StopRequest(0)
    stop.handle(first, None)
    assert stop.requested
    with pytest.raises(KeyboardInterrupt):
        stop.handle(signal.SIGTERM, None)
    monkeypatch.setattr(interrupts, "process_count", lambda: 2)
    stop = StopRequest(0)
    for number in (first, signal.SIGTERM, signal.SIGINT):
        stop.handle(number, None)
    assert not stop.requested  # not before all processes agree
