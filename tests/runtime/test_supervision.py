"""What a job's process prints when JAX aborts it."""

import os

import pytest

from fakd_jax.runtime.supervision import _StandardError

ABORT = """\
E1128 18:59:52.105895    7214 coordination_service_agent.cc:289] Polled an error from coordination
F1128 18:59:52.105900    7214 client.h:80] Terminating process because the JAX distributed service
*** Check failure stack trace: ***
    @     0x7ff330640634  absl::lts_20260107::log_internal::LogMessage::SendToLog()
"""


@pytest.mark.parametrize("size", [7, 4096])
def test_the_log_of_an_abort_is_held_back_and_nothing_else(capfd, size):
    reading, writing = os.pipe()
    text = f"epoch 1\repoch 2\nE1128 18:59:52.1 7 gpu.cc:1] other\n{ABORT}error: lost\nno end"
    content = text.encode()
    output = _StandardError(reading)
    for start in range(0, len(content), size):
        os.write(writing, content[start : start + size])
        assert output.read()
    os.close(writing)
    assert not output.read()
    os.close(reading)
    assert output.held.decode() == ABORT + "no end"
    shown = "epoch 1\repoch 2\nE1128 18:59:52.1 7 gpu.cc:1] other\nerror: lost\n"
    assert capfd.readouterr().err == shown
