"""What a job's parent process prints, how it exits and which signals it passes on."""

import os
import signal
import subprocess
import sys

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


def supervised(body):
    """Starts a process that supervises a `run` of these lines; it must not have imported JAX."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    script = (
        "import os, signal\n"
        "from fakd_jax.runtime.supervision import supervise\n"
        f"def run():\n{lines}"
        "supervise(run, last=lambda: os.write(1, b'last\\n') and 1 / 0)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


LOG_AN_ABORT = f"os.write(2, {ABORT.encode()})\n"


@pytest.mark.parametrize(
    ("end", "code", "shown"),
    [
        ("raise ValueError('a bug')", 1, "ValueError: a bug"),
        ("os.kill(os.getpid(), signal.SIGTERM)", 130, "interrupted"),
        ("os.abort()", 3, "error: another process of the job has ended"),
    ],
)
def test_only_an_abort_is_replaced(end, code, shown):
    process = supervised(LOG_AN_ABORT + end)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == code
    assert shown in errors
    assert ("stack trace" in errors) == (code != 3)
    assert output == ("last\n" if code == 1 else "")


def test_sigusr1_asks_the_child_as_often_as_it_comes():
    wait = "signal.sigwait([signal.SIGUSR1]); os.write(1, b'asked\\n')\n"
    mask = "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1]); os.write(1, b'asked\\n')\n"
    with supervised(f"{mask}{wait * 3}return 130") as process:
        for number in (signal.SIGUSR1, signal.SIGUSR1, signal.SIGTERM):
            assert process.stdout.readline() == "asked\n"
            process.send_signal(number)
        assert process.wait(60) == 130
        assert process.stdout.readline() == "asked\n"


def test_the_second_request_to_stop_kills_the_child():
    ready = (
        "signal.signal(signal.SIGUSR1, lambda *_: os.write(1, b'asked\\n')); os.write(1, b'\\n')"
    )
    with supervised(f"{ready}\nwhile True: signal.pause()") as process:
        process.stdout.readline()
        for number in (signal.SIGINT, signal.SIGTERM):
            process.send_signal(number)
            process.stdout.readline()
        assert process.wait(60) == 130
