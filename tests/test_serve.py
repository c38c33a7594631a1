"""The command `fakd serve`: who may reach it, and a real server from start to end."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from fakd_jax.serve import choose_access
from tests.tiny import save_tiny_checkpoint


def test_only_this_machine_needs_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAKD_TOKEN", raising=False)
    token, hosts = choose_access("127.0.0.1", 8000, None)
    assert token is None
    assert hosts == {"127.0.0.1:8000", "localhost:8000", "[::1]:8000"}
    token, hosts = choose_access("0.0.0.0", 8000, None)
    assert token is not None
    assert len(token) >= 32
    assert token != choose_access("0.0.0.0", 8000, None)[0]
    assert not hosts
    assert choose_access("0.0.0.0", 8000, "mine")[0] == "mine"
    monkeypatch.setenv("FAKD_TOKEN", "from outside")
    token, hosts = choose_access("localhost", 80, None)
    assert token == "from outside"
    assert {"localhost", "localhost:80", "127.0.0.1", "[::1]"} <= hosts


@pytest.mark.slow
def test_a_server_starts_answers_refuses_a_second_and_ends(tmp_path: Path) -> None:
    run = save_tiny_checkpoint(tmp_path / "run")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "networks.py").write_text("import tests.tiny as t; t.register_tiny_models()\n")
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-m", "fakd_jax.serve", "--checkpoint", str(run)]
    command += ["--port", str(port), "--import", "networks"]
    options = {"cwd": tmp_path, "env": environment, "text": True}
    with subprocess.Popen(command, **options) as server:
        url = f"http://127.0.0.1:{port}/health"
        for _ in range(600):
            try:
                with urllib.request.urlopen(url, timeout=5) as response:
                    health = json.load(response)
                break
            except OSError:
                assert server.poll() is None
                time.sleep(0.2)
        assert health["status"] == "ok"
        second = subprocess.run(command, capture_output=True, check=False, timeout=300, **options)
        assert second.returncode == 2
        assert second.stderr.strip().splitlines()[-1].startswith("error: cannot listen")
        server.terminate()
        assert server.wait(30) in (0, -15, 143)
