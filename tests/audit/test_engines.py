"""Audits on Ray: wrong flags, and real workers, one of which is killed."""

from __future__ import annotations

import importlib
import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fakd_jax.audit.__main__ import main
from fakd_jax.audit.matching import confirmation
from fakd_jax.audit.matching.registration import BATCH
from fakd_jax.cli.runner import run_command
from tests.ray_errors import EXCEPTIONS
from tests.ray_workers import kill_a_computing_worker

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
IMAGES, COPIES = 600, 24
COMPARED, REGISTERED, REFINED = 2, 2, 3  # arrays that each step computes


def closed_port() -> str:
    with socket.socket() as bound:  # and not listening
        bound.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--engine=cluster"], ["cluster", "local", "ray"]),
        (["--ray-address=auto"], ["--ray-address needs --engine ray"]),
        (["--engine=ray", f"--ray-address={closed_port()}"], ["cannot connect to Ray", "refused"]),
        (["--engine=ray"], ["fakd audit --engine ray needs ray: pip install 'fakd_jax[ray]'"]),
    ],
)
def test_wrong_flags_and_no_ray_are_one_line(capsys, tmp_path, monkeypatch, flags, words):
    class NoRay:
        exceptions = EXCEPTIONS
        init = staticmethod(pytest.fail)

    address = any("address" in flag for flag in flags)
    monkeypatch.setitem(sys.modules, "ray", NoRay if address else None)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        run_command(main, ["--data=nowhere", *flags])
    assert ended.value.code == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert all(word in errors for word in words), errors
    assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small phantoms, some of them copies of others."""
    folder = tmp_path_factory.mktemp("pictures")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(SCRIPTS))
        drawn = importlib.import_module("growth.pictures")
        for start in range(0, IMAGES - COPIES, drawn.PART):
            drawn.write_part(folder, IMAGES - COPIES, COPIES, start)
    return folder


@pytest.fixture
def audit(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict]:
    """Audits them anew in many chunks; what it wrote, and its numbers before any rounding."""
    monkeypatch.setattr("fakd_jax.audit.shortcuts.TREES", 5)
    monkeypatch.setattr(confirmation, "CHUNK", BATCH)
    collect = confirmation._collect

    def run(name: str, *flags: str, kill: bool = False) -> dict[str, bytes]:
        computed: list[np.ndarray] = []

        def collect_and_keep(columns, *others):
            if kill and len(computed) == COMPARED:  # what comes now are registrations
                threading.Thread(target=kill_a_worker).start()
            collect(columns, *others)
            computed.extend(columns)

        monkeypatch.setattr(confirmation, "_collect", collect_and_keep)
        output, cache = tmp_path / name, tmp_path / f"cache of {name}"
        main([f"--data={pictures}", f"--output={output}", f"--cache-dir={cache}", *flags])
        (stored,) = (cache / "audits").glob("*.json")
        assert len(json.loads(stored.read_text())["copies"]) >= COPIES // 2
        files = {path.name: path.read_bytes() for path in output.iterdir()}
        arrays = {str(number): array.tobytes() for number, array in enumerate(computed)}
        assert len(arrays) == COMPARED + REGISTERED + REFINED
        return {"stored": stored.read_bytes()} | files | arrays

    return run


@pytest.mark.slow
@pytest.mark.parametrize("exact", [True, False], ids=["exact", "approximate"])
def test_an_audit_on_ray_computes_the_same_bits_even_if_a_worker_is_killed(
    audit, exact, monkeypatch, capsys
):
    pytest.importorskip("ray")
    if not exact:
        pytest.importorskip("faiss")
        monkeypatch.setattr("fakd_jax.audit.plan.EXACT_UP_TO", 1)
    here = audit("local")
    assert audit("on ray", "--engine=ray") == here
    assert "worker was lost" not in capsys.readouterr().out
    assert audit("with a killed worker", "--engine=ray", kill=True) == here
    log = capsys.readouterr().out
    print(log)
    assert log.index("registering") < log.index("Ray: a worker was lost") < log.index("shortcuts")


def kill_a_worker() -> None:
    """Kills a worker of this process that is computing."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and not kill_a_computing_worker():
        time.sleep(0.001)
